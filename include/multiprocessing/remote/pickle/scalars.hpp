// multiprocessing/remote/pickle/scalars.hpp
//
// How numbers, texts and bytes are written and read. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "multiprocessing/remote/pickle/codec.hpp"
#include "multiprocessing/remote/pickle/numbers.hpp"

namespace multiprocessing::detail::pickles {

template <class T>
struct Codec<T, Way::none> {
    using Elements = TypeList<>;
    static void write(Writer& writer, const T&) { writer.write_none(); }
    static T read(Reader& reader, const Node& node) {
        if (node.kind != ValueKind::none) reader.refuse(node, "None");
        if constexpr (std::is_same_v<T, std::nullopt_t>) {
            return std::nullopt;
        } else {
            return T{};
        }
    }
};

template <class T>
struct Codec<T, Way::boolean> {
    using Elements = TypeList<>;
    static void write(Writer& writer, bool value) { writer.write(value); }
    static bool read(Reader& reader, const Node& node) {
        if (node.kind == ValueKind::boolean) return node.boolean;
        const auto array = array_of(reader.tree(), node);  // numpy.bool_
        if (!array || array->type != 'b' || !array->dimensions.empty()) {
            reader.refuse(node, "a bool");
        }
        return array->number_at(0).natural != 0;
    }
};

/// Integers, and enums as their values.
template <class T>
struct Codec<T, Way::integer> {
    using Elements = TypeList<>;

    static void write(Writer& writer, T value) {
        if constexpr (std::is_enum_v<T>) {
            using Value = std::underlying_type_t<T>;
            Codec<Value>::write(writer, static_cast<Value>(value));
        } else if constexpr (std::is_signed_v<T>) {
            writer.write(static_cast<std::int64_t>(value));
        } else {
            writer.write(static_cast<std::uint64_t>(value));
        }
    }
    static T read(Reader& reader, const Node& node) {
        if constexpr (std::is_enum_v<T>) {
            return static_cast<T>(Codec<std::underlying_type_t<T>>::read(reader, node));
        } else {
            const auto number = number_of(reader.tree(), node);
            if (!number && node.kind == ValueKind::big_integer) refuse_size();
            if (!number || number->kind == Number::Kind::real) reader.refuse(node, "an int");
            return from(*number);
        }
    }
    /// @pre it is no real number
    static T from(const Number& number) {
        if constexpr (std::is_same_v<T, char>) {  // std::in_range takes no characters
            return static_cast<char>(to_integer<Character>(number));
        } else if constexpr (is_character) {
            return static_cast<T>(to_integer<std::make_unsigned_t<T>>(number));
        } else {
            return to_integer<T>(number);
        }
    }

  private:
    using Character = std::conditional_t<std::is_signed_v<T>, signed char, unsigned char>;
    static constexpr bool is_character = std::is_same_v<T, char8_t> ||
                                         std::is_same_v<T, char16_t> ||
                                         std::is_same_v<T, char32_t> || std::is_same_v<T, wchar_t>;

    [[noreturn]] static void refuse_size() {
        throw_out_of_range(8 * sizeof(T), std::is_signed_v<T>);
    }
};

template <class T>
struct Codec<T, Way::real> {
    using Elements = TypeList<>;
    static void write(Writer& writer, T value) { writer.write(static_cast<double>(value)); }
    static T read(Reader& reader, const Node& node) {
        if (node.kind == ValueKind::real) return static_cast<T>(node.real);
        if (const auto number = number_of(reader.tree(), node)) return from(*number);
        if (node.kind != ValueKind::big_integer) reader.refuse(node, "a float");
        return static_cast<T>(big_to_double(reader.tree().bytes_of(node)));
    }
    static T from(const Number& number) { return to_real<T>(number); }
};

/// std::complex. A float or an int is taken too, as by Python's arithmetic.
template <class T>
struct Codec<T, Way::complex> {
    using Real = typename T::value_type;
    using Elements = TypeList<Real>;
    static void write(Writer& writer, const T& value) {
        writer.write_complex(static_cast<double>(value.real()), static_cast<double>(value.imag()));
    }
    static T read(Reader& reader, const Node& node) {
        if (node.kind == ValueKind::complex) {
            return {static_cast<Real>(node.complex.real),
                    static_cast<Real>(node.complex.imaginary)};
        }
        if (!number_of(reader.tree(), node)) reader.refuse(node, "a complex");
        return {reader.read<Real>(node), Real{}};
    }
};

template <class T>
struct Codec<T, Way::text> {
    using Elements = TypeList<>;
    static void write(Writer& writer, std::string_view value) { writer.write_text(value); }
    static std::string read(Reader& reader, const Node& node)
        requires std::is_same_v<T, std::string>
    {
        if (node.kind != ValueKind::text) reader.refuse(node, "a str");
        return std::string(reader.tree().bytes_of(node));
    }
};

/// Vectors and spans of std::byte. They are read from bytes and from bytearray.
template <class T>
struct Codec<T, Way::bytes> {
    using Elements = TypeList<>;
    static void write(Writer& writer, std::span<const std::byte> value) {
        writer.write_bytes({reinterpret_cast<const char*>(value.data()), value.size()});
    }
    static T read(Reader& reader, const Node& node)
        requires(!is_standard<T>("span<"))
    {
        if (node.kind != ValueKind::bytes && node.kind != ValueKind::bytearray) {
            reader.refuse(node, "a bytes");
        }
        const auto bytes = std::as_bytes(std::span(reader.tree().bytes_of(node)));
        return T(bytes.begin(), bytes.end());
    }
};

}  // namespace multiprocessing::detail::pickles
