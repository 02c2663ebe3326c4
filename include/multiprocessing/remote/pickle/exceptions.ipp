// multiprocessing/remote/pickle/exceptions.ipp
//
// Which exception of Python is which one of C++, see exceptions.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/exceptions.hpp"

#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"
#include "multiprocessing/remote/pickle/repr.hpp"

namespace multiprocessing::detail::pickles {

/// An exception type of both sides.
struct ExceptionPair {
    std::string_view module;
    std::string_view name;
    bool (*is)(const std::exception&);
    void (*raise)(const std::string& text);  // null: it is read in another way
    std::string (*silence)() = nullptr;      // the text that stands for no arguments
};

template <class E>
bool is_a(const std::exception& error) {
    return dynamic_cast<const E*>(&error) != nullptr;
}
template <class E>
void raise_with(const std::string& text) {
    throw E(text);
}
template <class E>
void raise_plain(const std::string& text) {
    if (text.empty()) throw E();
    throw E(text);
}
template <class E>
std::string text_of_plain() {
    return E().what();
}

template <class E>
constexpr ExceptionPair pair(std::string_view module, std::string_view name) {
    return {module, name, is_a<E>, raise_with<E>};
}
template <class E>
constexpr ExceptionPair plain_pair(std::string_view module, std::string_view name) {
    return {module, name, is_a<E>, raise_plain<E>, text_of_plain<E>};
}

// An exception that is written becomes the first that it is one of: derived classes stand above.
inline constexpr ExceptionPair exception_pairs[] = {
    pair<TimeoutError>(context, "TimeoutError"),
    pair<AuthenticationError>(context, "AuthenticationError"),
    pair<BrokenProcessPool>("concurrent.futures.process", "BrokenProcessPool"),
    pair<ProcessError>(context, "ProcessError"),
    plain_pair<Empty>("queue", "Empty"),
    plain_pair<Full>("queue", "Full"),
    plain_pair<ShutDown>("queue", "ShutDown"),
    plain_pair<BrokenBarrierError>("threading", "BrokenBarrierError"),
    plain_pair<CancelledError>("concurrent.futures._base", "CancelledError"),
    pair<EOFError>("builtins", "EOFError"),
    pair<RuntimeError>("builtins", "RuntimeError"),
    pair<KeyError>("builtins", "KeyError"),
    pair<IndexError>("builtins", "IndexError"),
    pair<ValueError>("builtins", "ValueError"),
    pair<TypeError>("builtins", "TypeError"),
    pair<AssertionError>("builtins", "AssertionError"),
    pair<std::overflow_error>("builtins", "OverflowError"),
    {"builtins", "MemoryError", is_a<std::bad_alloc>,
     [](const std::string&) { throw std::bad_alloc(); }},
    // From here on, the first of a name is the one that is read.
    pair<std::out_of_range>("builtins", "IndexError"),
    pair<std::invalid_argument>("builtins", "ValueError"),
    pair<std::domain_error>("builtins", "ValueError"),
    pair<std::length_error>("builtins", "ValueError"),
    pair<TimeoutError>("builtins", "TimeoutError"),
};

inline constexpr std::string_view os_errors[] = {"OSError",
                                                 "BlockingIOError",
                                                 "BrokenPipeError",
                                                 "ChildProcessError",
                                                 "ConnectionError",
                                                 "ConnectionAbortedError",
                                                 "ConnectionRefusedError",
                                                 "ConnectionResetError",
                                                 "FileExistsError",
                                                 "FileNotFoundError",
                                                 "InterruptedError",
                                                 "IsADirectoryError",
                                                 "NotADirectoryError",
                                                 "PermissionError",
                                                 "ProcessLookupError",
                                                 "TimeoutError"};

/// Writes the call of an exception type. @param text its argument; empty: none
inline void write_call(Writer& writer, std::string_view module, std::string_view name,
                       std::string_view text) {
    writer.write_global(module, name);
    if (text.empty()) {
        writer.put(Opcode::empty_tuple);
    } else {
        writer.write_text(text);
        writer.put(Opcode::tuple1);
    }
    writer.call();
}

/// Returns a text as it can travel: Python's texts are UTF-8, what() may be anything.
inline std::string as_text(std::string text) {
    if (!is_utf8(text)) {
        for (char& c : text) c = static_cast<unsigned char>(c) < 0x80 ? c : '?';
    }
    return text;
}

inline void write_system_error(Writer& writer, const std::system_error& error) {
    const std::string text = without_code_text(error.what(), error.code());
    writer.write_global("builtins", "OSError");
    writer.write(std::int64_t{error.code().value()});
    writer.write_text(as_text(text.empty() ? error.code().message() : text));
    writer.put(Opcode::tuple2);
    writer.call();
}

/// Writes an exception that came from another program under its own name again, if it can be.
inline void write_remote_error(Writer& writer, const RemoteError& error) {
    for (const Global& global : globals) {
        if (global.role != Role::exception || global.module != "builtins") continue;
        if (global.name == error.type_name()) {
            return write_call(writer, global.module, global.name, as_text(error.message()));
        }
    }
    write_call(writer, managers, "RemoteError",
               as_text(error.type_name() + ": " + error.message()));
}

inline void write_buffer_too_short(Writer& writer, const BufferTooShort& error) {
    writer.write_global(context, "BufferTooShort");
    writer.write_bytes(error.message());
    writer.put(Opcode::tuple1);
    writer.call();
}

/// Writes one of a type that Python does not have.
inline void write_unknown(Writer& writer, const std::exception_ptr& error) {
    write_call(writer, "builtins", "RuntimeError", as_text(describe_exception(error)));
}

inline void write_exception(Writer& writer, const std::exception& error) {
    if (const auto* remote = dynamic_cast<const RemoteError*>(&error)) {
        return write_remote_error(writer, *remote);
    }
    if (const auto* too_short = dynamic_cast<const BufferTooShort*>(&error)) {
        return write_buffer_too_short(writer, *too_short);
    }
    if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
        return write_system_error(writer, *system);
    }
    const std::string text = error.what();
    for (const ExceptionPair& known : exception_pairs) {
        if (!known.is(error)) continue;
        const bool is_silent = known.silence != nullptr && known.silence() == text;
        return write_call(writer, known.module, known.name, is_silent ? "" : as_text(text));
    }
    const bool is_plain =
        typeid(error) == typeid(std::runtime_error) || typeid(error) == typeid(std::logic_error);
    write_call(writer, "builtins", "RuntimeError",
               as_text(is_plain ? text : demangle(typeid(error).name()) + ": " + text));
}

inline void write_exception(Writer& writer, const std::exception_ptr& error) {
    if (error == nullptr) return writer.write_none();
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& known) {
        write_exception(writer, known);
    } catch (...) {
        write_unknown(writer, error);
    }
}

inline bool is_exception(const Place& place) noexcept {
    return place.node.kind == ValueKind::reduced &&
           place.tree.callee_of(place.node).role == Role::exception;
}

/// Throws the std::system_error that an OSError(errno, text) is, if it has an errno.
inline void raise_system_error(const Place& place) {
    const Place arguments{place.tree, place.tree.child(place.node, 1)};
    const auto children = arguments.tree.children_of(arguments.node);
    if (children.size() < 2) return;
    const Node& code = arguments.at(children[0]).node;
    const Node& text = arguments.at(children[1]).node;
    if (code.kind != ValueKind::integer || text.kind != ValueKind::text) return;
    const std::error_code error(static_cast<int>(code.integer), std::generic_category());
    std::string message(arguments.tree.bytes_of(text));
    if (message == error.message()) message.clear();
    if (children.size() > 2 && arguments.at(children[2]).node.kind == ValueKind::text) {
        message = arguments.tree.bytes_of(arguments.at(children[2]).node);  // the file
    }
    if (message.empty()) throw std::system_error(error);
    throw std::system_error(error, message);
}

/// Throws the exception that a value is.
[[noreturn]] inline void raise(const Place& place) {
    const Global& type = place.tree.callee_of(place.node);
    std::string text = exception_text(place);
    if (type.module == "builtins" &&
        std::find(std::begin(os_errors), std::end(os_errors), type.name) != std::end(os_errors)) {
        raise_system_error(place);
    }
    if (type.name == "BufferTooShort" && place.tree.child(place.node, 1).children.count == 1) {
        const Node& message = place.tree.child(place.tree.child(place.node, 1), 0);
        if (message.kind == ValueKind::bytes) {
            throw BufferTooShort(std::string(place.tree.bytes_of(message)));
        }
    }
    for (const ExceptionPair& known : exception_pairs) {
        if (known.name == type.name && known.module == type.module) known.raise(text);
    }
    throw RemoteError(type_name_of(place.tree, place.node), std::move(text), "Python", 0);
}

inline std::exception_ptr read_exception(const Place& place) {
    try {
        raise(place);
    } catch (...) {
        return std::current_exception();
    }
}

}  // namespace multiprocessing::detail::pickles
