// multiprocessing/shared_memory/format.hpp
//
// fmt prints blocks and lists as Python's repr does: SharedMemory('psm_1a2b3c4d', size=4096),
// ShareableList([1, 2.5, 'text', None], name='psm_1a2b3c4d'). Floor 4.
//
// shared_memory.hpp includes this file when fmt was included before, see synchronize/format.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "multiprocessing/shared_memory/block.hpp"
#include "multiprocessing/shared_memory/shareable_list.hpp"

namespace multiprocessing::detail {

/// Returns text or bytes in the quotes that Python takes, with its escapes. @param is_text whether
/// bytes beyond ASCII are parts of characters
inline std::string quoted_for_python(std::string_view bytes, bool is_text) {
    const bool has_single = bytes.find('\'') != std::string_view::npos;
    const char quote = has_single && bytes.find('"') == std::string_view::npos ? '"' : '\'';
    std::string text(1, quote);
    for (const char c : bytes) {
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
            text += fmt::format("\\x{:02x}", byte);
        } else {
            text += c;
        }
    }
    return text + quote;
}

inline std::string repr_of(std::int64_t integer) { return std::to_string(integer); }
inline std::string repr_of(double number) {
    const std::string text = fmt::format("{}", number);
    return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
}
inline std::string repr_of(bool truth) { return truth ? "True" : "False"; }
inline std::string repr_of(const std::string& text) { return quoted_for_python(text, true); }
inline std::string repr_of(const std::vector<std::byte>& bytes) {
    return "b" +
           quoted_for_python({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, false);
}
inline std::string repr_of(std::nullopt_t) { return "None"; }

inline std::string repr_of(const shared_memory::ShareableItem& item) {
    return std::visit([](const auto& value) { return repr_of(value); },
                      static_cast<const ItemVariant&>(item));
}
inline std::string repr_of(const shared_memory::ShareableElement& element) {
    return repr_of(element.item());
}
inline std::string repr_of(const shared_memory::SharedMemory& block) {
    return fmt::format("SharedMemory({}, size={})", quoted_for_python(block.name(), true),
                       block.size());
}
inline std::string repr_of(const shared_memory::ShareableList& list) {
    std::string items;
    for (const shared_memory::ShareableItem& item : list) {
        items += (items.empty() ? "" : ", ") + repr_of(item);
    }
    return fmt::format("ShareableList([{}], name={})", items,
                       quoted_for_python(list.shm().name(), true));
}

template <class T>
struct ReprFormatter : fmt::formatter<std::string> {
    template <class FormatContext>
    auto format(const T& object, FormatContext& context) const {
        return fmt::formatter<std::string>::format(repr_of(object), context);
    }
};

}  // namespace multiprocessing::detail

// Each for itself: a specialisation for all of them would compete with fmt's own for ranges.
template <>
struct fmt::formatter<multiprocessing::shared_memory::SharedMemory>
    : multiprocessing::detail::ReprFormatter<multiprocessing::shared_memory::SharedMemory> {};
template <>
struct fmt::formatter<multiprocessing::shared_memory::ShareableList>
    : multiprocessing::detail::ReprFormatter<multiprocessing::shared_memory::ShareableList> {};
template <>
struct fmt::formatter<multiprocessing::shared_memory::ShareableElement>
    : multiprocessing::detail::ReprFormatter<multiprocessing::shared_memory::ShareableElement> {};
template <>
struct fmt::formatter<multiprocessing::shared_memory::ShareableItem>
    : multiprocessing::detail::ReprFormatter<multiprocessing::shared_memory::ShareableItem> {};
