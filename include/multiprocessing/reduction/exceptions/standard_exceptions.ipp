// multiprocessing/reduction/exceptions/standard_exceptions.ipp
//
// The exceptions that every process knows, and how they travel: see standard_exceptions.hpp. Start
// at the tables at the end. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/exceptions/standard_exceptions.hpp"

#include <sys/types.h>

#include <any>
#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>

#if !defined(__GLIBCXX__)
#include <future>
#include <regex>
#endif

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/picklable.hpp"
#include "multiprocessing/reduction/picklers/error_category.hpp"

namespace multiprocessing::detail {

/// Throws the exception of the type of this number, which holds nothing.
template <class... Es>
void throw_empty(std::size_t number, const std::string&) {
    std::size_t next = 0;
    ((next++ == number ? throw Es() : void()), ...);
}

MULTIPROCESSING_INLINE std::string without_code_text(std::string text,
                                                     const std::error_code& code) {
    const std::string added = code.message();
    if (text == added) return {};
    if (text.ends_with(": " + added)) text.resize(text.size() - added.size() - 2);
    return text;
}

/// Writes the code of an exception, whatever its category is, and the code's text.
MULTIPROCESSING_INLINE void save_code(OutputArchive& archive, const std::error_code& code) {
    archive(std::string(code.category().name()), code.value(), code.message());
}
MULTIPROCESSING_INLINE std::error_code load_code(InputArchive& archive) {
    const auto category = load_value<std::string>(archive);
    const auto value = load_value<int>(archive);
    const auto text = load_value<std::string>(archive);
    return {value, category_by_name(category, value, text)};
}

template <class E>
struct SystemErrorWay {
    static void save(OutputArchive& archive) {
        with_current_exception<E>([&](const E& error) {
            archive(without_code_text(error.what(), error.code()));
            save_code(archive, error.code());
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto text = load_value<std::string>(archive);
        const std::error_code code = load_code(archive);
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
            // The constructor adds the paths to what(). The base's what() does not have them.
            archive(without_code_text(error.std::system_error::what(), error.code()),
                    error.path1().native(), error.path2().native());
            save_code(archive, error.code());
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto text = load_value<std::string>(archive);
        const auto path1 = load_value<std::string>(archive);
        const auto path2 = load_value<std::string>(archive);
        const std::error_code code = load_code(archive);
        // what() lists as many paths as the constructor was given.
        return caught([&] {
            throw path1.empty() ? E(text, code)
            : path2.empty()     ? E(text, path1, code)
                                : E(text, path1, path2, code);
        });
    }
};

#if defined(__GLIBCXX__)
// <regex> and <future> would cost every user's translation unit most of a second. So the functions
// with which the standard library throws their exceptions make them here. This one is declared in
// <regex> only. Its parameter is an enum, which is passed as an unsigned int.
[[noreturn]] void throw_regex_error(unsigned code) __asm__(
    "_ZSt19__throw_regex_errorNSt15regex_constants10error_typeE");
#endif

struct RegexErrorWay {
#if defined(__GLIBCXX__)
    static void save(OutputArchive& archive) {
        with_current_exception<std::runtime_error>([&](const std::runtime_error& error) {
            // libstdc++'s std::regex_error is a runtime_error, followed by its code.
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
            error = std::runtime_error(text);  // of the base; the text tells more than the code
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
    // <bits/functexcept.h> declares the function with which <future> throws. A future_error's code
    // is found by its text.
    static std::string text_for(int code) {
        try {
            std::__throw_future_error(code);
        } catch (const std::logic_error& future_error) {
            return future_error.what();
        }
    }
    static void save(OutputArchive& archive) {
        with_current_exception<std::logic_error>([&](const std::logic_error& error) {
            int code = 4;  // the codes are 1 to 4
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
            archive(std::string(error.what()), error.exitcode(), error.pid(),
                    LostTask{error.item(), error.attempts(), error.reason()});
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto what = load_value<std::string>(archive);
        const auto exitcode = load_value<int>(archive);
        const auto pid = load_value<pid_t>(archive);
        const auto task = load_value<LostTask>(archive);
        return caught([&] { throw WorkerLost(what, exitcode, pid, task); });
    }
};

struct TimeoutErrorWay {
    static void save(OutputArchive& archive) {
        with_current_exception<TimeoutError>([&](const TimeoutError& error) {
            archive(std::string(error.what()),
                    LostTask{error.item(), error.attempts(), error.reason()});
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto what = load_value<std::string>(archive);
        const auto task = load_value<LostTask>(archive);
        return caught([&] { throw TimeoutError(what, task); });
    }
};

template <class E, class Way>
constexpr ExceptionWay way() {
    return {&typeid(E), nullptr, nullptr, 0, Way::save, Way::load, nest_one_of<E, E>};
}
template <class Way>
constexpr ExceptionWay way(const char* mangled) {
    return {nullptr, mangled, nullptr, 0, Way::save, Way::load};
}
template <class... Es>
constexpr std::array<ExceptionWay, sizeof...(Es)> texts() {
    std::size_t next = 0;
    return {ExceptionWay{&typeid(Es), nullptr, throw_from_text<Es...>, next++, nullptr, nullptr,
                         nest_one_of<std::exception, Es...>}...};
}
template <class... Es>
constexpr std::array<ExceptionWay, sizeof...(Es)> empties() {
    std::size_t next = 0;
    return {ExceptionWay{&typeid(Es), nullptr, throw_empty<Es...>, next++, nullptr, nullptr,
                         nest_one_of<std::exception, Es...>}...};
}

// The exceptions that every process knows.

inline constexpr auto exceptions_of_text =
    texts<std::runtime_error, std::logic_error, std::invalid_argument, std::out_of_range,
          std::domain_error, std::length_error, std::range_error, std::overflow_error,
          std::underflow_error, cereal::Exception, ProcessError, AuthenticationError,
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
    // What libstdc++'s streams throw: a class of its own, which derives from the one above.
    way<SystemErrorWay<std::ios_base::failure>>("St13__ios_failure"),
    way<std::filesystem::filesystem_error, FilesystemErrorWay>(),
    way<RegexErrorWay>("St11regex_error"),
    way<FutureErrorWay>("St12future_error"),
    way<BufferTooShort, BufferTooShortWay>(),
    way<RemoteError, RemoteErrorWay>(),
    way<WorkerLost, WorkerLostWay>(),
    way<TimeoutError, TimeoutErrorWay>(),
};

MULTIPROCESSING_INLINE const ExceptionWay* find_standard_exception(std::string_view name) {
    for (const std::span<const ExceptionWay> ways :
         {std::span<const ExceptionWay>(exceptions_of_text),
          std::span<const ExceptionWay>(empty_exceptions),
          std::span<const ExceptionWay>(other_exceptions)}) {
        for (const ExceptionWay& way : ways) {
            if (name == way.name()) return &way;
        }
    }
    return nullptr;
}

}  // namespace multiprocessing::detail
