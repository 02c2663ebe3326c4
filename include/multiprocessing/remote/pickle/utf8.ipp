// multiprocessing/remote/pickle/utf8.ipp
//
// How UTF-8 is checked, see utf8.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/utf8.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace multiprocessing::detail::pickles {

/// Returns how many bytes of ASCII the text begins with, or some fewer.
inline std::size_t ascii_begin(std::string_view text) noexcept {
    std::size_t size = 0;
    while (text.size() - size >= sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + size, sizeof(word));
        if ((word & 0x8080808080808080) != 0) break;
        size += sizeof(word);
    }
    return size;
}

/// Returns how long the character is with which the text begins; 0 when it is not UTF-8.
inline std::size_t character_size(std::string_view text) noexcept {
    const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
    }
    // The second byte tells overlong forms, surrogates and what is beyond the last character.
    const unsigned lowest = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned highest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return byte(1) >= lowest && byte(1) <= highest ? size : 0;
}

inline bool is_utf8(std::string_view bytes) noexcept {
    while (!bytes.empty()) {
        bytes.remove_prefix(ascii_begin(bytes));
        // The rest of a word, and then whatever is not ASCII.
        for (std::size_t i = 0; i < sizeof(std::uint64_t) && !bytes.empty(); ++i) {
            const std::size_t size = character_size(bytes);
            if (size == 0) return false;
            bytes.remove_prefix(size);
        }
    }
    return true;
}

inline bool append_latin1(std::string& bytes, std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto first = static_cast<unsigned char>(text[i]);
        if (first < 0x80) {
            bytes += text[i];
        } else if (first <= 0xc3) {  // the first byte of a character up to U+00FF
            const auto second = static_cast<unsigned char>(text[++i]);
            bytes += static_cast<char>(((first & 0x03) << 6) | (second & 0x3f));
        } else {
            return false;
        }
    }
    return true;
}

}  // namespace multiprocessing::detail::pickles
