// multiprocessing/remote/pickle/products.hpp
//
// How types of a fixed number of parts are written and read: pairs, tuples, arrays and structs as
// tuples; optional and variant as what they hold. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/pickle/codec.hpp"

namespace multiprocessing::detail::pickles {

/// Returns the items of a list or tuple that must have so many.
inline std::span<const NodeNumber> exactly(Reader& reader, const Node& node, std::size_t count) {
    const auto items = reader.items_of(node, "a tuple");
    if (items.size() != count) {
        reader.refuse(node, "a tuple of " + std::to_string(count) + " items, not " +
                                std::to_string(items.size()) + ",");
    }
    return items;
}

template <class... Parts>
void write_parts(Writer& writer, const Parts&... parts) {
    writer.begin(ValueKind::tuple, sizeof...(Parts));
    (write_value(writer, parts), ...);
    writer.end(ValueKind::tuple, sizeof...(Parts));
}

/// Reads into a part that is there. C arrays cannot be assigned.
template <class T>
void load_part(Reader& reader, const Node& node, T& part) {
    if constexpr (std::is_array_v<T>) {
        Codec<T>::load(reader, node, part);
    } else {
        part = reader.read<T>(node);
    }
}

template <class T>
struct Codec<T, Way::tuple> {
    using Elements = ArgumentsOf<T>;

    static void write(Writer& writer, const T& value) {
        std::apply([&](const auto&... parts) { write_parts(writer, parts...); }, value);
    }
    static T read(Reader& reader, const Node& node) {
        const auto items = exactly(reader, node, std::tuple_size_v<T>);
        return [&]<std::size_t... I>(std::index_sequence<I...>) {
            return T{reader.read<std::remove_cv_t<std::tuple_element_t<I, T>>>(
                reader.tree().at(items[I]))...};
        }(std::make_index_sequence<std::tuple_size_v<T>>());
    }
};

/// std::array and C arrays.
template <class T>
struct Codec<T, Way::array> {
    using Item = std::remove_cvref_t<decltype(std::declval<T&>()[0])>;
    using Elements = TypeList<Item>;

    static void write(Writer& writer, const T& value) {
        writer.begin(ValueKind::tuple, std::size(value));
        for (const Item& item : value) write_value(writer, item);
        writer.end(ValueKind::tuple, std::size(value));
    }
    static void load(Reader& reader, const Node& node, T& value) {
        const auto items = exactly(reader, node, std::size(value));
        std::size_t index = 0;
        for (Item& item : value) load_part(reader, reader.tree().at(items[index++]), item);
    }
    static auto read(Reader& reader, const Node& node)
        requires(!std::is_array_v<T>)
    {
        T value{};
        load(reader, node, value);
        return value;
    }
};

template <class T>
struct Codec<T, Way::optional> {
    using Elements = TypeList<typename T::value_type>;

    static void write(Writer& writer, const T& value) {
        value ? write_value(writer, *value) : writer.write_none();
    }
    static T read(Reader& reader, const Node& node) {
        if (node.kind == ValueKind::none) return std::nullopt;
        return T(reader.read<typename T::value_type>(node));
    }
};

template <class T>
struct Codec<T, Way::variant> {
    using Elements = ArgumentsOf<T>;

    static void write(Writer& writer, const T& value) {
        std::visit([&](const auto& held) { write_value(writer, held); }, value);
    }
    /// Reads the first alternative that takes the value.
    static T read(Reader& reader, const Node& node) { return read_from<0>(reader, node); }

  private:
    static constexpr std::uint64_t cost_of_exception = 16;  // reads of a value

    template <std::size_t I>
    static T read_from(Reader& reader, const Node& node) {
        if constexpr (I == std::variant_size_v<T>) {
            reader.refuse(node, "another");
        } else {
            using Alternative = std::variant_alternative_t<I, T>;
            try {
                if (may_take<Alternative>(node.kind)) {
                    return T(std::in_place_index<I>, reader.read<Alternative>(node));
                }
            } catch (const TypeError&) {
                reader.count(cost_of_exception);
            } catch (const ValueError&) {  // it is too large for the type
                reader.count(cost_of_exception);
            }
            return read_from<I + 1>(reader, node);
        }
    }
};

/// Structs, as tuples of their fields.
template <class T>
struct Codec<T, Way::aggregate> {
    using Elements = FieldTypes<T>;

    static void write(Writer& writer, const T& value) {
        visit_fields(value, [&](const auto&... fields) { write_parts(writer, fields...); });
    }
    static T read(Reader& reader, const Node& node) {
        const auto items = exactly(reader, node, Fields<T>::count);
        if constexpr (std::is_default_constructible_v<T> && std::is_move_assignable_v<T>) {
            T value{};
            std::size_t index = 0;
            visit_fields(value, [&](auto&... fields) {
                (load_part(reader, reader.tree().at(items[index++]), fields), ...);
            });
            return value;
        } else {
            return make(reader, items, Elements{}, std::make_index_sequence<Fields<T>::count>());
        }
    }

  private:
    template <class... Parts, std::size_t... I>
    static T make(Reader& reader, std::span<const NodeNumber> items, TypeList<Parts...>,
                  std::index_sequence<I...>) {
        return T{reader.read<std::remove_cv_t<Parts>>(reader.tree().at(items[I]))...};
    }
};

}  // namespace multiprocessing::detail::pickles
