// multiprocessing/remote/managers/errors.ipp
//
// How texts name exceptions: see errors.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/errors.hpp"

#include <cstddef>
#include <utility>

#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/logging/event.hpp"
#include "multiprocessing/remote/managers/values.hpp"

namespace multiprocessing::detail {

inline void note(int level, std::string_view what, const std::exception& why) noexcept {
    if (logging_enabled(level)) log_event(level, std::string(what) + why.what());
}

inline void throw_python_error(std::string type, std::string message) {
    throw RemoteError(std::move(type), std::move(message), "the manager's server", 0);
}

inline void throw_attribute_error(std::string_view class_name, std::string_view attribute) {
    throw_python_error("AttributeError", "'" + std::string(class_name) +
                                             "' object has no attribute '" +
                                             std::string(attribute) + "'");
}

inline std::string traceback_text(const std::exception_ptr& error) {
    const pickle::object exception(error);
    return "Traceback (most recent call last):\n  in the server, which is written in C++\n" +
           exception.type_name() + ": " + pickles::exception_text(exception.place()) + "\n";
}

inline void throw_traceback(const std::string& text) {
    std::string_view last(text);
    while (last.ends_with('\n')) last.remove_suffix(1);
    const std::size_t begin = last.rfind('\n');
    if (begin != last.npos) last.remove_prefix(begin + 1);
    std::string type(last.substr(0, last.find(": ")));
    if (type.empty() || type.find(' ') != type.npos) type = "RemoteError";
    throw_python_error(std::move(type), text);
}

/// The beginning of a pickle, instruction by instruction.
class PickleGlance {
  public:
    explicit PickleGlance(std::string_view rest) : rest_(rest) {}

    /// Takes an instruction, and the mark of the memo after it. @returns whether it is there
    bool take(char opcode) {
        if (!rest_.starts_with(opcode)) return false;
        rest_.remove_prefix(1);
        skip_memo();
        return true;
    }
    /// Takes a text; nothing when there is none.
    std::optional<std::string> take_text() {
        const std::size_t width = rest_.starts_with('\x8c') ? 1 : rest_.starts_with('X') ? 4 : 0;
        if (width == 0 || rest_.size() < 1 + width) return std::nullopt;
        std::size_t size = 0;
        for (std::size_t i = width; i > 0; --i) {
            size = size << 8 | static_cast<unsigned char>(rest_[i]);
        }
        if (rest_.size() - 1 - width < size) return std::nullopt;
        std::string text(rest_.substr(1 + width, size));
        rest_.remove_prefix(1 + width + size);
        skip_memo();
        return text;
    }
    /// Takes the name of a class, "module.Name"; nothing when there is none.
    std::optional<std::string> take_class() {
        if (rest_.starts_with('c')) return take_old_class();
        const auto module = take_text();
        const auto name = module ? take_text() : std::nullopt;
        if (!name || !take('\x93')) return std::nullopt;  // STACK_GLOBAL
        return *module + "." + *name;
    }
    void skip_memo() {
        if (rest_.starts_with('\x94')) rest_.remove_prefix(1);                   // MEMOIZE
        if (rest_.starts_with('q') && rest_.size() > 1) rest_.remove_prefix(2);  // BINPUT
    }

  private:
    /// Of protocol 3: the module and the name in a line each.
    std::optional<std::string> take_old_class() {
        const std::size_t first = rest_.find('\n');
        const std::size_t second = first == rest_.npos ? first : rest_.find('\n', first + 1);
        if (second == rest_.npos) return std::nullopt;
        std::string name(rest_.substr(1, second - 1));
        name[first - 1] = '.';
        rest_.remove_prefix(second + 1);
        skip_memo();
        return name;
    }

    std::string_view rest_;
};

inline void throw_foreign_exception(const std::string& message) {
    constexpr std::string_view kind = "#ERROR";
    const std::size_t at = message.find(kind);
    if (at > 32) return;
    // What follows are the class and its arguments, of which the text is often the first.
    PickleGlance glance(std::string_view(message).substr(at + kind.size()));
    glance.skip_memo();
    auto name = glance.take_class();
    if (!name) return;
    (void)glance.take('(');
    throw_python_error(std::move(*name), glance.take_text().value_or(""));
}

}  // namespace multiprocessing::detail
