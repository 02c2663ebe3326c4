// multiprocessing/reduction/exceptions/exceptions.ipp
//
// How exceptions are described, written and made again: see exceptions.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/exceptions/exceptions.hpp"

#include <cxxabi.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

// The list only grows, and has no lock, which a fork could leave locked.
inline constinit std::atomic<const ExceptionWay*> registered_exceptions{nullptr};

MULTIPROCESSING_INLINE const ExceptionWay* find_exception(std::string_view name) {
    if (const ExceptionWay* const way = find_standard_exception(name)) return way;
    for (const ExceptionWay* way = registered_exceptions.load(std::memory_order_acquire);
         way != nullptr; way = way->next) {
        if (name == way->name()) return way;
    }
    return nullptr;
}

MULTIPROCESSING_INLINE void add_exception(ExceptionWay* way) {
    way->next = registered_exceptions.load(std::memory_order_relaxed);
    // release: pairs with the acquire in find_exception.
    while (
        !registered_exceptions.compare_exchange_weak(way->next, way, std::memory_order_release)) {
    }
}

MULTIPROCESSING_INLINE std::string demangle(const char* mangled) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> name(
        abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
    std::string text = name != nullptr ? name.get() : mangled;
    // A reader has no use for the inline namespaces of GCC and libc++.
    for (const std::string_view noise : {"[abi:cxx11]", "__cxx11::", "__1::"}) {
        for (std::size_t at = 0; (at = text.find(noise, at)) != std::string::npos;) {
            text.erase(at, noise.size());
        }
    }
    return text;
}

/// Returns the mangled name of E when `mangled` is the name of the class that
/// std::throw_with_nested makes of an E; else nothing.
MULTIPROCESSING_INLINE std::string_view name_within_nested(std::string_view mangled) noexcept {
    // libstdc++'s class and libc++'s.
    for (const auto& [before, after] :
         {std::pair<std::string_view, std::string_view>("St17_Nested_exceptionI", "E"),
          {"NSt3__18__nestedI", "EE"}}) {
        if (!mangled.starts_with(before) || !mangled.ends_with(after)) continue;
        mangled = mangled.substr(before.size(), mangled.size() - before.size() - after.size());
        if (mangled.starts_with('K')) mangled.remove_prefix(1);  // of a const E
        return mangled;
    }
    return {};
}

/// Adds what is nested in the exception that is described.
MULTIPROCESSING_INLINE void describe_cause(const std::exception& error, ExceptionText& text) {
    const auto* const nested = dynamic_cast<const std::nested_exception*>(&error);
    if (nested == nullptr || nested->nested_ptr() == nullptr) return;
    text.nested = nested->nested_ptr();
    try {
        nested->rethrow_nested();
    } catch (...) {
        const ExceptionText cause = describe_current_exception();
        text.cause = joined({" (caused by ", cause.type, ": ", cause.message, cause.cause, ")"});
    }
}

/// Adds the text of the exception that is being handled.
MULTIPROCESSING_INLINE void describe_message(ExceptionText& text) {
    try {
        throw;
    } catch (const std::exception& error) {
        const char* const what = error.what();
        text.message = what != nullptr ? what : "(null)";
        describe_cause(error, text);
    } catch (const std::string& message) {
        text.message = message;
    } catch (const char* message) {
        text.message = message != nullptr ? message : "(null)";
    } catch (int number) {
        text.message = std::to_string(number);
    } catch (...) {
        text.message = "it is not a std::exception and has no text";
    }
}

MULTIPROCESSING_INLINE ExceptionText describe_current_exception() {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    ExceptionText text;
    text.mangled = type != nullptr ? type->name() : "";
    // The class that std::throw_with_nested made goes by the name of the class that was thrown,
    // unless the program has registered it.
    const std::string_view within = name_within_nested(text.mangled);
    if (!within.empty() && find_exception(text.mangled) == nullptr) text.mangled = within;
    text.type = type != nullptr ? demangle(text.mangled.c_str()) : "an exception";
    try {
        describe_message(text);
    } catch (...) {
        text.message = "its text cannot be told: what() threw";
    }
    return text;
}

MULTIPROCESSING_INLINE std::string describe_exception(const std::exception_ptr& error) {
    if (error == nullptr) return "no exception";
    try {
        std::rethrow_exception(error);
    } catch (...) {
        const ExceptionText text = describe_current_exception();
        return joined({text.type, ": ", text.message, text.cause});
    }
}

MULTIPROCESSING_INLINE void save_exception(OutputArchive& archive, const std::exception_ptr& error,
                                           const std::string& process_name, pid_t pid, int depth) {
    try {
        std::rethrow_exception(error);
    } catch (...) {
        const ExceptionText text = describe_current_exception();
        const bool has_cause = text.nested != nullptr && depth < most_nested;
        archive(text.mangled, text.type, text.message, text.cause, process_name, pid, has_cause);
        const ExceptionWay* const way = find_exception(text.mangled);
        const std::size_t size_at = archive.size();
        std::uint64_t size = 0;  // 0: texts only; else 1 more than the bytes that follow
        archive(size);
        if (way != nullptr) {
            const std::size_t begin = archive.size();
            try {
                if (way->save != nullptr) way->save(archive);
                size = archive.size() - begin + 1;
            } catch (...) {
                archive.truncate(begin);  // the texts must do
            }
            archive.overwrite(size_at, &size, sizeof(size));
        }
        if (has_cause) save_exception(archive, text.nested, process_name, pid, depth + 1);
    }
}

/// Returns " (where)", or nothing where there is nothing to say.
MULTIPROCESSING_INLINE std::string in_parentheses(const std::string& where) {
    return where.empty() ? std::string() : joined({" (", where, ")"});
}

/// Returns a copy of a system_error or a TimeoutError that says where it was thrown, and any other
/// exception as it is.
MULTIPROCESSING_INLINE std::exception_ptr with_place(std::exception_ptr error,
                                                     const std::string& where) {
    if (where.empty()) return error;
    try {
        std::rethrow_exception(error);
    } catch (const std::system_error& known) {
        if (typeid(known) != typeid(std::system_error)) return error;
        const std::string text = without_code_text(known.what(), known.code());
        return caught([&] { throw std::system_error(known.code(), text + in_parentheses(where)); });
    } catch (const TimeoutError& known) {
        if (typeid(known) != typeid(TimeoutError)) return error;
        const LostTask task{known.item(), known.attempts(), known.reason()};
        return caught([&] { throw TimeoutError(known.what() + in_parentheses(where), task); });
    } catch (...) {
        return error;
    }
}

MULTIPROCESSING_INLINE std::exception_ptr load_exception(InputArchive& archive,
                                                         const std::string& where) {
    const auto mangled = load_value<std::string>(archive);
    auto type = load_value<std::string>(archive);
    auto message = load_value<std::string>(archive);
    const auto cause_text = load_value<std::string>(archive);
    auto process_name = load_value<std::string>(archive);
    const auto pid = load_value<pid_t>(archive);
    const auto has_cause = load_value<bool>(archive);
    const auto size = load_value<std::uint64_t>(archive);
    const ExceptionWay* const way = size == 0 ? nullptr : find_exception(mangled);
    std::exception_ptr error;
    if (way == nullptr) {
        if (size != 0) archive.take(static_cast<std::size_t>(size - 1));
        error = caught([&] {
            throw RemoteError(std::move(type), message + cause_text, std::move(process_name), pid,
                              where);
        });
    } else if (way->make != nullptr) {
        error = caught([&] { way->make(way->number, message + in_parentheses(where)); });
    } else {
        error = with_place(way->load(archive), where);
    }
    if (!has_cause) return error;
    const std::exception_ptr cause = load_exception(archive);
    const auto nest = way != nullptr ? way->nest : nest_one_of<RemoteError, RemoteError>;
    if (nest == nullptr) return error;
    return caught([&] {
        try {
            std::rethrow_exception(error);
        } catch (...) {
            nest(way != nullptr ? way->number : 0, cause);
        }
    });
}

}  // namespace multiprocessing::detail
