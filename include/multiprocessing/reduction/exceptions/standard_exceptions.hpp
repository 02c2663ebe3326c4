// multiprocessing/reduction/exceptions/standard_exceptions.hpp
//
// How each exception of the standard library and of errors.hpp travels: what of it is written, and
// how an equal one is made from that. Floor 2. Start at ExceptionWay, and at the tables at the end
// of standard_exceptions.ipp.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <typeinfo>

#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/picklers/pickler.hpp"

namespace multiprocessing::detail {

/// How the exceptions of one type travel: either as their text, from which `make` throws an equal
/// one, or by functions of their own (`save` and `load`).
struct ExceptionWay {
    const std::type_info* type;  // null where the type cannot be named here
    const char* mangled;         // its mangled name, where `type` is null
    void (*make)(std::size_t number, const std::string& text) = nullptr;
    std::size_t number = 0;                  // of the type, among those of its `make`
    void (*save)(OutputArchive&) = nullptr;  // writes the exception that is being handled
    std::exception_ptr (*load)(InputArchive&) = nullptr;
    // Throws the exception that is being handled, with `cause` nested in it. May be null.
    void (*nest)(std::size_t number, const std::exception_ptr& cause) = nullptr;
    const ExceptionWay* next = nullptr;  // in the list of registered_exceptions

    /// The type's mangled name, which is the same in every process of the program.
    [[nodiscard]] const char* name() const noexcept {
        return type != nullptr ? type->name() : mangled;
    }
};

/// Calls `function` with the exception that is being handled, which is an E.
template <class E, class Function>
void with_current_exception(Function function) {
    try {
        throw;
    } catch (const E& error) {
        function(error);
    }
}

/// Returns what the function throws. It takes the place of std::make_exception_ptr, of which each
/// type would need two functions more, and there are nearly fifty types.
template <class Throw>
std::exception_ptr caught(Throw function) {
    try {
        function();
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

/// Throws the exception that has this text, of the type of this number. It is one function for many
/// types, for the same reason.
template <class... Es>
void throw_from_text(std::size_t number, const std::string& text) {
    std::size_t next = 0;
    ((next++ == number ? throw Es(text) : void()), ...);
}
/// Throws a copy of the exception that is being handled, which is of the type of this number and
/// derives from Base or is one, with `cause` nested in it. It is one function for many types, too.
template <class Base, class... Es>
void nest_one_of(std::size_t number, const std::exception_ptr& cause) {
    try {
        throw;
    } catch (Base& error) {  // not const: else the class would be made of a const E
        try {
            std::rethrow_exception(cause);  // what is being handled is what gets nested
        } catch (...) {
            std::size_t next = 0;
            ((next++ == number ? std::throw_with_nested(static_cast<Es&>(error)) : void()), ...);
        }
    }
}

/// How an exception travels that is picklable as a whole.
template <class E>
struct ValueWay {
    static void save(OutputArchive& archive) {
        with_current_exception<E>([&](const E& error) { archive(error); });
    }
    static std::exception_ptr load(InputArchive& archive) {
        return std::make_exception_ptr(load_value<E>(archive));
    }
};

/// Returns how the exceptions of this mangled name travel, when every process knows their type;
/// else null.
const ExceptionWay* find_standard_exception(std::string_view name);

/// Returns the text that was given to the constructor of a system_error or of one of its children.
/// The constructor adds ": " and the code's text to it, and this takes them away again.
std::string without_code_text(std::string text, const std::error_code& code);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/reduction/exceptions/standard_exceptions.ipp"
#endif
