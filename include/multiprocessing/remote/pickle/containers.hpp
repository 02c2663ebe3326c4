// multiprocessing/remote/pickle/containers.hpp
//
// How containers are written and read: lists, sets and dicts. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "multiprocessing/remote/pickle/codec.hpp"
#include "multiprocessing/remote/pickle/numbers.hpp"
#include "multiprocessing/remote/pickle/scalars.hpp"

namespace multiprocessing::detail::pickles {

template <class T>
inline constexpr bool is_plain_number =
    std::is_arithmetic_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, long double>;

/// Returns the items of a list, tuple or set, and those of an array.array of protocol 2, which is
/// written as a list.
inline std::optional<std::span<const NodeNumber>> items_in(const Tree& tree, const Node& node) {
    if (has_children(node.kind) && node.kind != ValueKind::dict &&
        node.kind != ValueKind::reduced) {
        return tree.children_of(node);
    }
    if (!tree.is_made_by(node, "array", "array")) return std::nullopt;
    const Node& arguments = tree.child(node, 1);
    if (arguments.children.count != 2) return std::nullopt;
    return items_in(tree, tree.child(arguments, 1));
}

/// Vectors, deques, lists. They are read from lists, tuples and sets, and from arrays of numbers.
template <class T>
struct Codec<T, Way::sequence> {
    using Item = typename T::value_type;
    using Elements = TypeList<Item>;

    static void write(Writer& writer, const T& value) {
        writer.begin(ValueKind::list, value.size());
        for (const Item& item : value) write_value(writer, item);
        writer.end(ValueKind::list, value.size());
    }
    static T read(Reader& reader, const Node& node) {
        const Tree& tree = reader.tree();
        const auto items = items_in(tree, node);
        if (!items) return read_array(reader, node);
        T value;
        if constexpr (requires { value.reserve(items->size()); }) value.reserve(items->size());
        for (const NodeNumber item : *items) value.push_back(reader.read<Item>(tree.at(item)));
        return value;
    }

    /// Reads an array of as many dimensions as T has levels.
    static T read_array(Reader& reader, const ArrayView& array, const Node& node) {
        if (array.dimensions.empty()) reader.refuse(node, "a list");
        reader.count(array.dimensions[0].extent);
        T value;
        if constexpr (is_plain_number<Item>) {
            if (array.dimensions.size() != 1) reader.refuse(node, "an array of one dimension");
            read_numbers(reader, array, node, value);
        } else if constexpr (way_of<Item>() == Way::sequence) {
            for (std::uint64_t i = 0; i < array.dimensions[0].extent; ++i) {
                value.push_back(Codec<Item>::read_array(reader, array.at(i), node));
            }
        } else {
            reader.refuse(node, "a list");
        }
        return value;
    }

  private:
    static T read_array(Reader& reader, const Node& node) {
        const auto array = array_of(reader.tree(), node);
        if (!array) reader.refuse(node, "a list");
        return read_array(reader, *array, node);
    }

    static void read_numbers(Reader& reader, const ArrayView& array, const Node& node, T& value) {
        if constexpr (std::is_integral_v<Item>) {
            if (array.type == 'f') reader.refuse(node, "an array of ints");
        }
        const auto [extent, stride] = array.dimensions[0];
        if constexpr (requires { value.resize(extent), value.data(); }) {
            value.resize(static_cast<std::size_t>(extent));
            if (array.is_plain<Item>()) {
                if (extent != 0)
                    std::memcpy(value.data(), array.bytes.data(), extent * sizeof(Item));
                return;
            }
            for (std::uint64_t i = 0; i < extent; ++i) {
                value[i] = Codec<Item>::from(array.number_at(i * stride));
            }
        } else {
            for (std::uint64_t i = 0; i < extent; ++i) {
                value.push_back(Codec<Item>::from(array.number_at(i * stride)));
            }
        }
    }
};

/// Sets. They are read from what sequences are read from.
template <class T>
struct Codec<T, Way::set> {
    using Item = typename T::key_type;
    using Elements = TypeList<Item>;

    static void write(Writer& writer, const T& value) {
        writer.begin(ValueKind::set, value.size());
        for (const Item& item : value) write_value(writer, item);
        writer.end(ValueKind::set, value.size());
    }
    static T read(Reader& reader, const Node& node) {
        const auto items = items_in(reader.tree(), node);
        if (!items) reader.refuse(node, "a set");
        T value;
        for (const NodeNumber item : *items) {
            value.insert(reader.read<Item>(reader.tree().at(item)));
        }
        return value;
    }
};

template <class T>
struct Codec<T, Way::map> {
    using Key = typename T::key_type;
    using Mapped = typename T::mapped_type;
    using Elements = TypeList<Key, Mapped>;

    static void write(Writer& writer, const T& value) {
        writer.begin(ValueKind::dict, 2 * value.size());
        for (const auto& [key, mapped] : value) {
            write_value(writer, key);
            write_value(writer, mapped);
        }
        writer.end(ValueKind::dict, 2 * value.size());
    }
    static T read(Reader& reader, const Node& node) {
        if (node.kind != ValueKind::dict) reader.refuse(node, "a dict");
        const Tree& tree = reader.tree();
        T value;
        for (std::size_t i = 0; i < node.children.count; i += 2) {
            auto key = reader.read<Key>(tree.child(node, i));
            // As in Python, the last of equal keys counts.
            value.insert_or_assign(std::move(key), reader.read<Mapped>(tree.child(node, i + 1)));
        }
        return value;
    }
};

}  // namespace multiprocessing::detail::pickles
