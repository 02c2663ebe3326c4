// multiprocessing/remote/pickle/writer.ipp
//
// How each value is written, see writer.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/writer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/pickle/utf8.hpp"

namespace multiprocessing::detail::pickles {

inline Writer::Writer(Target target) : target_(target) {
    put(Opcode::proto);
    bytes_ += '\x04';
}

/// Puts an integer, the lowest byte first.
template <class Number>
void Writer::put_number(Number number) {
    auto bytes = std::bit_cast<std::array<char, sizeof(Number)>>(number);
    if constexpr (std::endian::native == std::endian::big) {
        std::reverse(bytes.begin(), bytes.end());
    }
    bytes_.append(bytes.data(), bytes.size());
}

inline void Writer::put_sized(std::string_view bytes, Opcode one, Opcode four, Opcode eight) {
    if (bytes.size() <= std::numeric_limits<std::uint8_t>::max()) {
        put(one);
        put_number(static_cast<std::uint8_t>(bytes.size()));
    } else if (bytes.size() <= std::numeric_limits<std::uint32_t>::max()) {
        put(four);
        put_number(static_cast<std::uint32_t>(bytes.size()));
    } else {
        put(eight);
        put_number(static_cast<std::uint64_t>(bytes.size()));
    }
    bytes_.append(bytes);
}

inline void Writer::put_long(std::string_view bytes) {
    if (bytes.size() <= std::numeric_limits<std::uint8_t>::max()) {
        put(Opcode::long1);
        put_number(static_cast<std::uint8_t>(bytes.size()));
    } else {
        put(Opcode::long4);
        put_number(static_cast<std::uint32_t>(bytes.size()));
    }
    bytes_.append(bytes);
}

inline void Writer::write(std::int64_t value) {
    if (value >= 0 && value <= std::numeric_limits<std::uint8_t>::max()) {
        put(Opcode::int1);
        put_number(static_cast<std::uint8_t>(value));
    } else if (value >= 0 && value <= std::numeric_limits<std::uint16_t>::max()) {
        put(Opcode::int2);
        put_number(static_cast<std::uint16_t>(value));
    } else if (value == static_cast<std::int32_t>(value)) {
        put(Opcode::int4);
        put_number(static_cast<std::int32_t>(value));
    } else {
        put(Opcode::long1);
        put_number(std::uint8_t{8});
        put_number(value);
    }
}

inline void Writer::write(std::uint64_t value) {
    if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return write(static_cast<std::int64_t>(value));
    }
    put(Opcode::long1);
    put_number(std::uint8_t{9});  // a byte 0 more, or it would be negative
    put_number(value);
    bytes_ += '\0';
}

inline void Writer::write(double value) {
    std::array<char, 1 + sizeof(value)> bytes{static_cast<char>(Opcode::float8)};
    std::memcpy(bytes.data() + 1, &value, sizeof(value));
    if constexpr (std::endian::native == std::endian::little) {
        std::reverse(bytes.begin() + 1, bytes.end());
    }
    bytes_.append(bytes.data(), bytes.size());
}

inline void Writer::write_complex(double real, double imaginary) {
    write_global("builtins", "complex");
    write(real);
    write(imaginary);
    put(Opcode::tuple2);
    call();
}

inline void Writer::write_text(std::string_view text) {
    if (!is_utf8(text)) {
        throw ValueError("a text of " + std::to_string(text.size()) +
                         " bytes is not UTF-8, as Python's str is; send it as a "
                         "std::vector<std::byte>, which is bytes in Python");
    }
    put_sized(text, Opcode::short_unicode, Opcode::unicode, Opcode::unicode8);
}

inline void Writer::write_bytes(std::string_view bytes) {
    put_sized(bytes, Opcode::short_bytes, Opcode::bytes, Opcode::bytes8);
}

inline void Writer::write_bytearray(std::string_view bytes) {
    write_global("builtins", "bytearray");
    write_bytes(bytes);
    put(Opcode::tuple1);
    call();
}

inline void Writer::write_global(std::string_view module, std::string_view name) {
    write_text(module);
    write_text(name);
    put(Opcode::stack_global);
}

/// Takes memory for the items of a long list at once.
inline void Writer::expect(std::size_t count) {
    constexpr std::size_t bytes_each = 9;  // a float
    const std::size_t needed = bytes_.size() + bytes_each * count;
    if (needed > bytes_.capacity()) bytes_.reserve(std::max(needed, 2 * bytes_.capacity()));
}

inline void Writer::begin(ValueKind kind, std::size_t count) {
    if (++level_ > most_levels) throw_too_deep();
    if (count > 1000) expect(count);
    switch (kind) {
        case ValueKind::list:
            put(Opcode::empty_list);
            break;
        case ValueKind::dict:
            put(Opcode::empty_dict);
            break;
        case ValueKind::set:
            put(Opcode::empty_set);
            break;
        case ValueKind::tuple:
            if (count > 0 && count <= 3) return;  // they have instructions without a mark
            if (count == 0) return put(Opcode::empty_tuple);
            break;
        default:
            break;
    }
    if (count != 0 || kind == ValueKind::frozenset) put(Opcode::mark);
}

inline void Writer::end(ValueKind kind, std::size_t count) {
    constexpr std::array short_tuples{Opcode::tuple1, Opcode::tuple2, Opcode::tuple3};
    --level_;
    if (kind == ValueKind::frozenset) return put(Opcode::frozenset);
    if (count == 0) return;
    switch (kind) {
        case ValueKind::list:
            return put(Opcode::appends);
        case ValueKind::dict:
            return put(Opcode::set_items);
        case ValueKind::set:
            return put(Opcode::add_items);
        default:
            return put(count <= 3 ? short_tuples[count - 1] : Opcode::tuple);
    }
}

inline void Writer::write_children(const Tree& tree, const Node& node) {
    const auto children = tree.children_of(node);
    begin(node.kind, children.size());
    for (const NodeNumber child : children) write(tree, tree.at(child));
    end(node.kind, children.size());
}

inline void Writer::write_object(std::string_view kind, std::string_view item,
                                 const AnyHandle& handle) {
    if (target_ != Target::family) {
        throw TypeError("a " + std::string(kind) +
                        " is shared by the processes of its family, and cannot be sent to others");
    }
    write_global(family_module, object_maker);
    write_text(kind);
    write_text(item);
    write(static_cast<std::uint64_t>(attached_.objects.size()));
    put(Opcode::tuple3);
    call();
    attached_.objects.push_back(handle);
}

/// Writes an object that was read, of a tree which others have, too.
inline void Writer::write_object(const Tree& tree, const Node& node) {
    const SharedPart part = shared_part_of(tree, node);
    write_object(part.kind, part.item, part.handle);
}

/// Writes a block of which others may have handles, so that it can only be read.
inline void Writer::write_block(const Block& block) {
    attached_.blocks.push_back(block);
    put(Opcode::next_buffer);
    put(Opcode::readonly_buffer);
}

inline void Writer::write_reduced(const Tree& tree, const Node& node) {
    if (tree.is_made_by(node, family_module, object_maker)) return write_object(tree, node);
    if (++level_ > most_levels) throw_too_deep();
    write(tree, tree.child(node, 0));
    write(tree, tree.child(node, 1));
    put(node.is_new ? Opcode::new_object : Opcode::reduce);
    const Node& state = tree.child(node, 2);
    if (state.kind != ValueKind::none) {
        write(tree, state);
        put(Opcode::build);
    }
    --level_;
}

inline void Writer::write(const Tree& tree, const Node& node) {
    switch (node.kind) {
        case ValueKind::none:
            return write_none();
        case ValueKind::boolean:
            return write(node.boolean);
        case ValueKind::integer:
            return write(node.integer);
        case ValueKind::big_integer:
            return put_long(tree.bytes_of(node));
        case ValueKind::real:
            return write(node.real);
        case ValueKind::complex:
            return write_complex(node.complex.real, node.complex.imaginary);
        case ValueKind::text:
            return write_text(tree.bytes_of(node));
        case ValueKind::bytes:
        case ValueKind::bytearray:
            if (node.is_block && target_ == Target::family) return write_block(tree.block_of(node));
            if (node.kind == ValueKind::bytes) return write_bytes(tree.bytes_of(node));
            return write_bytearray(tree.bytes_of(node));
        case ValueKind::global: {
            const Global& global = global_at(node.global);
            return write_global(global.module, global.name);
        }
        case ValueKind::reduced:
            return write_reduced(tree, node);
        default:
            return write_children(tree, node);
    }
}

inline std::string Writer::finish() && {
    put(Opcode::stop);
    if (!attached_.blocks.empty()) bytes_[1] = '\x05';  // the first protocol that has blocks
    return std::move(bytes_);
}

}  // namespace multiprocessing::detail::pickles
