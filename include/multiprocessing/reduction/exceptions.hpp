// multiprocessing/reduction/exceptions.hpp
//
// How an exception reaches another process as its own type: the standard ones and the library's
// (standard_exceptions.hpp), and those that the program names with register_exception. Others
// arrive as RemoteError. Floor 2. Start at save_exception.
// SPDX-License-Identifier: MIT
#pragma once

#include <cxxabi.h>
#include <sys/types.h>

#include <atomic>
#include <concepts>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/archive.hpp"
#include "multiprocessing/reduction/picklable.hpp"
#include "multiprocessing/reduction/standard_exceptions.hpp"

namespace multiprocessing::detail {

// Only ever pushed to, without a lock, which a fork could leave locked.
inline constinit std::atomic<const ExceptionWay*> registered_exceptions{nullptr};

/// Returns how exceptions of the type of this mangled name travel, or null.
inline const ExceptionWay* find_exception(std::string_view name) {
    for (const std::span<const ExceptionWay> ways :
         {std::span<const ExceptionWay>(exceptions_of_text),
          std::span<const ExceptionWay>(empty_exceptions),
          std::span<const ExceptionWay>(other_exceptions)}) {
        for (const ExceptionWay& way : ways) {
            if (name == way.name()) return &way;
        }
    }
    for (const ExceptionWay* way = registered_exceptions.load(std::memory_order_acquire);
         way != nullptr; way = way->next) {
        if (name == way->name()) return way;
    }
    return nullptr;
}

/// Returns the name as C++ writes it.
inline std::string demangle(const char* mangled) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> name(
        abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
    std::string text = name != nullptr ? name.get() : mangled;
    // GCC's and libc++'s inline namespaces are of no interest to a reader.
    for (const std::string_view noise : {"[abi:cxx11]", "__cxx11::", "__1::"}) {
        for (std::size_t at = 0; (at = text.find(noise, at)) != std::string::npos;) {
            text.erase(at, noise.size());
        }
    }
    return text;
}

/// What is known of any exception.
struct ExceptionText {
    std::string mangled;
    std::string type;
    std::string message;
};

/// Describes the exception that is being handled.
inline ExceptionText describe_current_exception();

/// Returns " (caused by type: message)" for an exception with one nested in it, else nothing.
inline std::string describe_cause(const std::exception& error) {
    const auto* const nested = dynamic_cast<const std::nested_exception*>(&error);
    if (nested == nullptr || nested->nested_ptr() == nullptr) return {};
    try {
        nested->rethrow_nested();
    } catch (...) {
        const ExceptionText cause = describe_current_exception();
        return " (caused by " + cause.type + ": " + cause.message + ")";
    }
}

inline std::string message_of_current_exception() {
    try {
        throw;
    } catch (const std::exception& error) {
        return error.what() + describe_cause(error);
    } catch (const std::string& text) {
        return text;
    } catch (const char* text) {
        return text != nullptr ? text : "(null)";
    } catch (int number) {
        return std::to_string(number);
    } catch (...) {
        return "it is not a std::exception and has no text";
    }
}

inline ExceptionText describe_current_exception() {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    const char* const mangled = type != nullptr ? type->name() : "";
    ExceptionText text{mangled, type != nullptr ? demangle(mangled) : "an exception", {}};
    try {
        text.message = message_of_current_exception();
    } catch (...) {
        text.message = "its text cannot be told: what() threw";
    }
    return text;
}

/// Returns "type: message" for any exception, e.g. "std::runtime_error: no such file".
inline std::string describe_exception(const std::exception_ptr& error) {
    if (error == nullptr) return "no exception";
    try {
        std::rethrow_exception(error);
    } catch (...) {
        const ExceptionText text = describe_current_exception();
        return text.type + ": " + text.message;
    }
}

/// Writes an exception: its texts, which any receiver understands, and what it is made from again
/// by one that knows the type.
/// @param process_name,pid where it was thrown
/// @throws std::bad_alloc only; an exception that cannot be written travels as its texts
inline void save_exception(OutputArchive& archive, const std::exception_ptr& error,
                           const std::string& process_name, pid_t pid) {
    try {
        std::rethrow_exception(error);
    } catch (...) {
        const ExceptionText text = describe_current_exception();
        archive(text.mangled, text.type, text.message, process_name, pid);
        const ExceptionWay* const way = find_exception(text.mangled);
        const std::size_t size_at = archive.size();
        std::uint64_t size = 0;  // 0: only the texts; else 1 more than the bytes that follow
        archive(size);
        if (way == nullptr) return;
        const std::size_t begin = archive.size();
        try {
            if (way->save != nullptr) way->save(archive);
            size = archive.size() - begin + 1;
        } catch (...) {
            // E.g. a system_error of a category that only this process has: the texts must do.
            archive.truncate(begin);
        }
        archive.overwrite(size_at, &size, sizeof(size));
    }
}

/// Makes the exception that save_exception wrote, or a RemoteError for one whose type is unknown
/// here.
inline std::exception_ptr load_exception(InputArchive& archive) {
    const auto mangled = load_value<std::string>(archive);
    auto type = load_value<std::string>(archive);
    auto message = load_value<std::string>(archive);
    auto process_name = load_value<std::string>(archive);
    const auto pid = load_value<pid_t>(archive);
    const auto size = load_value<std::uint64_t>(archive);
    if (size != 0) {
        if (const ExceptionWay* const way = find_exception(mangled)) {
            if (way->make == nullptr) return way->load(archive);
            return caught([&] { way->make(way->number, message); });
        }
        archive.take(static_cast<std::size_t>(size - 1));
    }
    return caught([&] {
        throw RemoteError(std::move(type), std::move(message), std::move(process_name), pid);
    });
}

template <class E>
concept made_from_text =
    std::derived_from<E, std::exception> && std::constructible_from<E, std::string>;

}  // namespace multiprocessing::detail

namespace multiprocessing {

/// Lets exceptions of type E reach other processes as themselves, instead of as RemoteError. E
/// travels by its cereal functions, or as a struct of fields that can, or else by its what() and a
/// constructor from a std::string, which must keep that text as it is.
///
/// Call it once, where every process of the family comes by: at namespace scope,
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
        way->next = detail::registered_exceptions.load(std::memory_order_relaxed);
        // release: pairs with the acquire in find_exception.
        while (!detail::registered_exceptions.compare_exchange_weak(way->next, way,
                                                                    std::memory_order_release)) {
        }
    }
    return true;
}

}  // namespace multiprocessing
