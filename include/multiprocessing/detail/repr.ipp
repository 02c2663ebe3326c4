// multiprocessing/detail/repr.ipp
//
// Text, bytes and addresses: see repr.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/repr.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

/// Appends one character of text or bytes with Python's escapes.
MULTIPROCESSING_INLINE void append_escaped(std::string& text, char c, char quote, bool is_text) {
    constexpr std::string_view digits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    if (c == quote || c == '\\') {
        text += {'\\', c};
    } else if (c == '\n') {
        text += "\\n";
    } else if (c == '\r') {
        text += "\\r";
    } else if (c == '\t') {
        text += "\\t";
    } else if (byte < ' ' || byte == 0x7f || (byte > 0x7f && !is_text)) {
        text += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    } else {
        text += c;
    }
}

MULTIPROCESSING_INLINE std::string quoted(std::string_view bytes, bool is_text) {
    const bool is_cut = bytes.size() > most_characters;
    if (is_cut) {
        std::size_t end = most_characters;  // not inside a character
        while (is_text && end > 0 && (static_cast<unsigned char>(bytes[end]) & 0xc0) == 0x80) --end;
        bytes = bytes.substr(0, end);
    }
    const bool has_single = bytes.find('\'') != std::string_view::npos;
    const char quote = has_single && bytes.find('"') == std::string_view::npos ? '"' : '\'';
    std::string text(1, quote);
    for (const char c : bytes) append_escaped(text, c, quote, is_text);
    text += quote;
    return is_cut ? text + "..." : text;
}

MULTIPROCESSING_INLINE FixedText::FixedText(double number, int decimals) noexcept {
    const auto end = std::to_chars(text, std::end(text) - 1, number, std::chars_format::fixed,
                                   (std::min)(decimals, 30));
    *end.ptr = '\0';
}

MULTIPROCESSING_INLINE RoundedText::RoundedText(double number, int digits) noexcept {
    const auto end = std::to_chars(text, std::end(text) - 1, number, std::chars_format::general,
                                   (std::min)(digits, 17));
    *end.ptr = '\0';
}

MULTIPROCESSING_INLINE std::string address_text(const void* object) {
    char buffer[2 * sizeof(void*)];
    const auto result =
        std::to_chars(buffer, buffer + sizeof buffer, reinterpret_cast<std::uintptr_t>(object), 16);
    return "0x" + std::string(buffer, result.ptr);
}

MULTIPROCESSING_INLINE bool ItemsText::next() {
    if (count_ != 0) text_ += ", ";
    if (++count_ <= most_items && text_.size() < most_characters) return true;
    text_ += "...";
    return false;
}

}  // namespace multiprocessing::detail
