// multiprocessing/reduction/standard_exceptions.hpp
//
// How each exception of the standard library and of errors.hpp travels: what of it is written, and
// how an equal one is made from that. Floor 2. Start at the tables, at the end.
// SPDX-License-Identifier: MIT
#pragma once

#include <any>
#include <array>
#include <cstddef>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <typeinfo>
#include <variant>

#if !defined(__GLIBCXX__)
#include <future>
#include <regex>
#endif

#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/archive.hpp"
#include "multiprocessing/reduction/picklable.hpp"

namespace multiprocessing::detail {

/// How the exceptions of one type travel: either as their text, from which `make` throws an equal
/// one, or by functions of their own.
struct ExceptionWay {
    const std::type_info* type;  // or null, and
    const char* mangled;         // its mangled name, where the type itself is not to be had
    void (*make)(std::size_t number, const std::string& text) = nullptr;
    std::size_t number = 0;                  // of the type, among those of its `make`
    void (*save)(OutputArchive&) = nullptr;  // writes the exception that is being handled
    std::exception_ptr (*load)(InputArchive&) = nullptr;
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

/// Returns what the function throws. In place of std::make_exception_ptr, which would make two
/// functions more for each type, and there are nearly fifty, in every program.
template <class Throw>
std::exception_ptr caught(Throw function) {
    try {
        function();
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

/// Throws the exception that is its text. One function for many types, for the same reason.
template <class... Es>
void throw_from_text(std::size_t number, const std::string& text) {
    std::size_t next = 0;
    ((next++ == number ? throw Es(text) : void()), ...);
}
/// Throws the exception that holds nothing.
template <class... Es>
void throw_empty(std::size_t number, const std::string&) {
    std::size_t next = 0;
    ((next++ == number ? throw Es() : void()), ...);
}

/// An exception that is picklable as a whole.
template <class E>
struct ValueWay {
    static void save(OutputArchive& archive) {
        with_current_exception<E>([&](const E& error) { archive(error); });
    }
    static std::exception_ptr load(InputArchive& archive) {
        return std::make_exception_ptr(load_value<E>(archive));
    }
};

/// The constructors of system_error and its children add ": " and the code's text to their
/// argument; this takes it away again.
inline std::string without_code_text(std::string text, const std::error_code& code) {
    const std::string added = code.message();
    if (text == added) return {};
    if (text.ends_with(": " + added)) text.resize(text.size() - added.size() - 2);
    return text;
}

template <class E>
struct SystemErrorWay {
    static void save(OutputArchive& archive) {
        with_current_exception<E>([&](const E& error) {
            archive(without_code_text(error.what(), error.code()), error.code());
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto text = load_value<std::string>(archive);
        const auto code = load_value<std::error_code>(archive);
        return caught([&] {
            if constexpr (std::is_same_v<E, std::ios_base::failure>) {
                throw E(text, code);
            } else {
                throw text.empty() ? E(code) : E(code, text);
            }
        });
    }
};

struct FilesystemErrorWay {
    using E = std::filesystem::filesystem_error;
    static void save(OutputArchive& archive) {
        with_current_exception<E>([&](const E& error) {
            // The base's what() has not the paths in it, which the constructor adds.
            archive(without_code_text(error.std::system_error::what(), error.code()),
                    error.path1().native(), error.path2().native(), error.code());
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto text = load_value<std::string>(archive);
        const auto path1 = load_value<std::string>(archive);
        const auto path2 = load_value<std::string>(archive);
        const auto code = load_value<std::error_code>(archive);
        // what() lists as many paths as the constructor was given.
        return caught([&] {
            throw path1.empty() ? E(text, code)
            : path2.empty()     ? E(text, path1, code)
                                : E(text, path1, path2, code);
        });
    }
};

#if defined(__GLIBCXX__)
// <regex> and <future> would cost every user's translation unit most of a second, so their
// exceptions are made by the functions with which the library throws them. This one is declared in
// <regex> only; its parameter, an enum, is passed as an unsigned int.
[[noreturn]] void throw_regex_error(unsigned code) __asm__(
    "_ZSt19__throw_regex_errorNSt15regex_constants10error_typeE");
#endif

struct RegexErrorWay {
#if defined(__GLIBCXX__)
    static void save(OutputArchive& archive) {
        with_current_exception<std::runtime_error>([&](const std::runtime_error& error) {
            // libstdc++'s std::regex_error is a runtime_error followed by its code.
            unsigned code = 0;
            std::memcpy(&code, static_cast<const void*>(&error + 1), sizeof(code));
            archive(code, std::string(error.what()));
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto code = load_value<unsigned>(archive);
        const auto text = load_value<std::string>(archive);
        try {
            throw_regex_error(code);
        } catch (std::runtime_error& error) {
            error = std::runtime_error(text);  // the base: the text, which tells more than the code
            return std::current_exception();
        }
    }
#else
    static void save(OutputArchive& archive) {
        with_current_exception<std::regex_error>(
            [&](const std::regex_error& error) { archive(static_cast<int>(error.code())); });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto code = static_cast<std::regex_constants::error_type>(load_value<int>(archive));
        return std::make_exception_ptr(std::regex_error(code));
    }
#endif
};

struct FutureErrorWay {
#if defined(__GLIBCXX__)
    // <bits/functexcept.h> declares what <future> throws with. A future_error is known by its text.
    static std::string text_for(int code) {
        try {
            std::__throw_future_error(code);
        } catch (const std::logic_error& future_error) {
            return future_error.what();
        }
    }
    static void save(OutputArchive& archive) {
        with_current_exception<std::logic_error>([&](const std::logic_error& error) {
            int code = 4;  // of 1 to 4
            while (code > 1 && text_for(code) != error.what()) --code;
            archive(code);
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto code = load_value<int>(archive);
        return caught([code] { std::__throw_future_error(code); });
    }
#else
    static void save(OutputArchive& archive) {
        with_current_exception<std::future_error>(
            [&](const std::future_error& error) { archive(error.code().value()); });
    }
    static std::exception_ptr load(InputArchive& archive) {
        return std::make_exception_ptr(
            std::future_error(static_cast<std::future_errc>(load_value<int>(archive))));
    }
#endif
};

struct BufferTooShortWay {
    static void save(OutputArchive& archive) {
        with_current_exception<BufferTooShort>(
            [&](const BufferTooShort& error) { archive(error.message()); });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto message = load_value<std::string>(archive);
        return caught([&] { throw BufferTooShort(message); });
    }
};

struct RemoteErrorWay {
    static void save(OutputArchive& archive) {
        with_current_exception<RemoteError>([&](const RemoteError& error) {
            archive(error.type_name(), error.message(), error.process_name(), error.pid());
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        auto type = load_value<std::string>(archive);
        auto message = load_value<std::string>(archive);
        auto process = load_value<std::string>(archive);
        const auto pid = load_value<pid_t>(archive);
        return caught([&] {
            throw RemoteError(std::move(type), std::move(message), std::move(process), pid);
        });
    }
};

struct WorkerLostWay {
    static void save(OutputArchive& archive) {
        with_current_exception<WorkerLost>([&](const WorkerLost& error) {
            archive(std::string(error.what()), error.exitcode(), error.pid());
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto what = load_value<std::string>(archive);
        const auto exitcode = load_value<int>(archive);
        const auto pid = load_value<pid_t>(archive);
        return caught([&] { throw WorkerLost(what, exitcode, pid); });
    }
};

template <class E, class Way>
constexpr ExceptionWay way() {
    return {&typeid(E), nullptr, nullptr, 0, Way::save, Way::load};
}
template <class Way>
constexpr ExceptionWay way(const char* mangled) {
    return {nullptr, mangled, nullptr, 0, Way::save, Way::load};
}
template <class... Es>
constexpr std::array<ExceptionWay, sizeof...(Es)> texts() {
    std::size_t next = 0;
    return {ExceptionWay{&typeid(Es), nullptr, throw_from_text<Es...>, next++}...};
}
template <class... Es>
constexpr std::array<ExceptionWay, sizeof...(Es)> empties() {
    std::size_t next = 0;
    return {ExceptionWay{&typeid(Es), nullptr, throw_empty<Es...>, next++}...};
}

// The exceptions that every process knows.

inline constexpr auto exceptions_of_text =
    texts<std::runtime_error, std::logic_error, std::invalid_argument, std::out_of_range,
          std::domain_error, std::length_error, std::range_error, std::overflow_error,
          std::underflow_error, cereal::Exception, ProcessError, AuthenticationError, TimeoutError,
          AbandonedError, BrokenProcessPool, EOFError, Empty, Full, ShutDown, BrokenBarrierError,
          RuntimeError, CancelledError, KeyError, IndexError, ValueError, TypeError,
          AssertionError>();

inline constexpr auto empty_exceptions =
    empties<std::exception, std::bad_alloc, std::bad_array_new_length, std::bad_cast,
            std::bad_typeid, std::bad_exception, std::bad_function_call, std::bad_weak_ptr,
            std::bad_variant_access, std::bad_optional_access, std::bad_any_cast>();

inline constexpr std::array other_exceptions{
    way<std::system_error, SystemErrorWay<std::system_error>>(),
    way<std::ios_base::failure, SystemErrorWay<std::ios_base::failure>>(),
    // What libstdc++'s streams throw, a class of its own that derives from the above.
    way<SystemErrorWay<std::ios_base::failure>>("St13__ios_failure"),
    way<std::filesystem::filesystem_error, FilesystemErrorWay>(),
    way<RegexErrorWay>("St11regex_error"),
    way<FutureErrorWay>("St12future_error"),
    way<BufferTooShort, BufferTooShortWay>(),
    way<RemoteError, RemoteErrorWay>(),
    way<WorkerLost, WorkerLostWay>(),
};

}  // namespace multiprocessing::detail
