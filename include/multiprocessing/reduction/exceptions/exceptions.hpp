// multiprocessing/reduction/exceptions/exceptions.hpp
//
// How an exception reaches another process as its own type: the standard ones and the library's
// (standard_exceptions.hpp), and those that the program names with register_exception. Others
// arrive as RemoteError. Floor 2. Start at save_exception.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <concepts>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>

#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/exceptions/standard_exceptions.hpp"
#include "multiprocessing/reduction/picklable.hpp"

namespace multiprocessing::detail {

/// Returns how exceptions of the type of this mangled name travel, or null.
const ExceptionWay* find_exception(std::string_view name);

/// Lets find_exception find this one too. It is never destroyed.
void add_exception(ExceptionWay* way);

/// Returns the name as C++ writes it.
std::string demangle(const char* mangled);

/// What is known of any exception.
struct ExceptionText {
    std::string mangled;
    std::string type;
    std::string message;          // its own
    std::string cause;            // " (caused by type: message)" when one is nested in it
    std::exception_ptr nested{};  // that one
};

/// Describes the exception that is being handled.
ExceptionText describe_current_exception();

/// Returns "type: message" for any exception, e.g. "std::runtime_error: no such file".
std::string describe_exception(const std::exception_ptr& error);

/// How many levels of nested exceptions arrive as exceptions. Deeper ones are told as text.
constexpr int most_nested = 64;

/// Writes an exception: its texts, which any receiver understands; the data from which a receiver
/// that knows the type makes it again; and the exception that is nested in it.
/// @param process_name,pid where it was thrown
/// @throws std::bad_alloc only; an exception that cannot be written travels as its texts
void save_exception(OutputArchive& archive, const std::exception_ptr& error,
                    const std::string& process_name, pid_t pid, int depth = 0);

/// Makes the exception that save_exception wrote, or a RemoteError for one whose type is unknown
/// here.
/// @param where the task that threw it; its text says so where it is made of text
std::exception_ptr load_exception(InputArchive& archive, const std::string& where = {});

template <class E>
concept made_from_text =
    std::derived_from<E, std::exception> && std::constructible_from<E, std::string>;

}  // namespace multiprocessing::detail

namespace multiprocessing {

/// Lets exceptions of type E reach other processes as themselves, instead of as RemoteError. E
/// travels by its cereal functions, or as a struct whose fields can travel. Otherwise it travels as
/// its what(), and a constructor from a std::string, which must keep that text as it is, makes it
/// again.
///
/// Call it once, where every process of the family calls it: at namespace scope,
///
///     const bool parse_error_travels = mp::register_exception<ParseError>();
///
/// or before the pool or process is made.
/// @returns true, so that it can initialise a variable
template <class E>
bool register_exception() {
    static_assert(std::is_class_v<E> && std::is_copy_constructible_v<E>,
                  "multiprocessing: register_exception<E>() needs a copyable class");
    constexpr bool by_value =
        detail::cereal_type<E> || (!detail::made_from_text<E> && picklable<E>);
    static_assert(by_value || detail::made_from_text<E>,
                  "multiprocessing: this exception type cannot travel between processes: give it a "
                  "cereal serialize() function, or derive it from std::exception and give it a "
                  "constructor from std::string that what() gives back");
    if (detail::find_exception(typeid(E).name()) != nullptr) return true;
    if constexpr (by_value || detail::made_from_text<E>) {
        // Leaked on purpose: exceptions travel until the process ends.
        auto* const way = new detail::ExceptionWay{&typeid(E), nullptr};
        if constexpr (by_value) {
            way->save = detail::ValueWay<E>::save;
            way->load = detail::ValueWay<E>::load;
        } else {
            way->make = detail::throw_from_text<E>;
        }
        way->nest = detail::nest_one_of<E, E>;
        detail::add_exception(way);
    }
    return true;
}

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/reduction/exceptions/exceptions.ipp"
#endif
