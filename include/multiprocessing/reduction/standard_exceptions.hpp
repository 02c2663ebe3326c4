// multiprocessing/reduction/standard_exceptions.hpp
//
// How each exception of the standard library and of errors.hpp travels: what of it is written, and
// how an equal one is made from that. Floor 2. Start at the table, builtin_exceptions.
// SPDX-License-Identifier: MIT
#pragma once

#include <any>
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

/// How the exceptions of one type travel: either as their text, from which `make` makes an equal
/// one, or by functions of their own.
struct ExceptionWay {
    const std::type_info* type;  // or null, and
    const char* mangled;         // its mangled name, where the type itself is not to be had
    std::exception_ptr (*make)(const std::string& text);
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

/// Makes an exception that is its text.
template <class E>
std::exception_ptr make_from_text(const std::string& text) {
    return std::make_exception_ptr(E(text));
}
/// Makes an exception that holds nothing.
template <class E>
std::exception_ptr make_empty(const std::string&) {
    return std::make_exception_ptr(E());
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
        if constexpr (std::is_same_v<E, std::ios_base::failure>) {
            return std::make_exception_ptr(E(text, code));
        } else {
            return std::make_exception_ptr(text.empty() ? E(code) : E(code, text));
        }
    }
};

struct FilesystemErrorWay {
    using E = std::filesystem::filesystem_error;
    static void save(OutputArchive& archive) {
        with_current_exception<E>([&](const E& error) {
            // The base's what() has not the paths in it, which the constructor adds.
            archive(without_code_text(error.std::system_error::what(), error.code()), error.path1(),
                    error.path2(), error.code());
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto text = load_value<std::string>(archive);
        const auto path1 = load_value<std::filesystem::path>(archive);
        const auto path2 = load_value<std::filesystem::path>(archive);
        const auto code = load_value<std::error_code>(archive);
        // what() lists as many paths as the constructor was given.
        return std::make_exception_ptr(path1.empty()   ? E(text, code)
                                       : path2.empty() ? E(text, path1, code)
                                                       : E(text, path1, path2, code));
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
    static std::exception_ptr make(int code) {
        try {
            std::__throw_future_error(code);
        } catch (...) {
            return std::current_exception();
        }
    }
    static std::string text_of(const std::exception_ptr& error) {
        try {
            std::rethrow_exception(error);
        } catch (const std::logic_error& future_error) {
            return future_error.what();
        }
    }
    static void save(OutputArchive& archive) {
        with_current_exception<std::logic_error>([&](const std::logic_error& error) {
            int code = 4;  // of 1 to 4
            while (code > 1 && text_of(make(code)) != error.what()) --code;
            archive(code);
        });
    }
    static std::exception_ptr load(InputArchive& archive) { return make(load_value<int>(archive)); }
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
        return std::make_exception_ptr(BufferTooShort(load_value<std::string>(archive)));
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
        return std::make_exception_ptr(RemoteError(std::move(type), std::move(message),
                                                   std::move(process), load_value<pid_t>(archive)));
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
        return std::make_exception_ptr(WorkerLost(what, exitcode, load_value<pid_t>(archive)));
    }
};

template <class E, class Way>
constexpr ExceptionWay way() {
    return {&typeid(E), nullptr, nullptr, Way::save, Way::load};
}
template <class Way>
constexpr ExceptionWay way(const char* mangled) {
    return {nullptr, mangled, nullptr, Way::save, Way::load};
}
template <class E>
constexpr ExceptionWay text() {
    return {&typeid(E), nullptr, make_from_text<E>};
}
template <class E>
constexpr ExceptionWay empty() {
    return {&typeid(E), nullptr, make_empty<E>};
}

/// The exceptions that every process knows.
inline constinit const ExceptionWay builtin_exceptions[] = {
    text<std::runtime_error>(),
    text<std::logic_error>(),
    text<std::invalid_argument>(),
    text<std::out_of_range>(),
    text<std::domain_error>(),
    text<std::length_error>(),
    text<std::range_error>(),
    text<std::overflow_error>(),
    text<std::underflow_error>(),
    way<std::system_error, SystemErrorWay<std::system_error>>(),
    way<std::ios_base::failure, SystemErrorWay<std::ios_base::failure>>(),
    // What libstdc++'s streams throw, a class of its own that derives from the above.
    way<SystemErrorWay<std::ios_base::failure>>("St13__ios_failure"),
    way<std::filesystem::filesystem_error, FilesystemErrorWay>(),
    way<RegexErrorWay>("St11regex_error"),
    way<FutureErrorWay>("St12future_error"),
    empty<std::exception>(),
    empty<std::bad_alloc>(),
    empty<std::bad_array_new_length>(),
    empty<std::bad_cast>(),
    empty<std::bad_typeid>(),
    empty<std::bad_exception>(),
    empty<std::bad_function_call>(),
    empty<std::bad_weak_ptr>(),
    empty<std::bad_variant_access>(),
    empty<std::bad_optional_access>(),
    empty<std::bad_any_cast>(),
    text<cereal::Exception>(),
    text<ProcessError>(),
    text<AuthenticationError>(),
    text<TimeoutError>(),
    text<AbandonedError>(),
    text<BrokenProcessPool>(),
    text<EOFError>(),
    text<Empty>(),
    text<Full>(),
    text<ShutDown>(),
    text<BrokenBarrierError>(),
    text<RuntimeError>(),
    text<CancelledError>(),
    text<KeyError>(),
    text<IndexError>(),
    text<ValueError>(),
    text<TypeError>(),
    text<AssertionError>(),
    way<BufferTooShort, BufferTooShortWay>(),
    way<RemoteError, RemoteErrorWay>(),
    way<WorkerLost, WorkerLostWay>(),
};

}  // namespace multiprocessing::detail
