// multiprocessing/remote/pickle/numbers.ipp
//
// How arrays describe themselves, see numbers.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/numbers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "multiprocessing/remote/pickle/limits.hpp"

namespace multiprocessing::detail::pickles {

inline void throw_out_of_range(std::size_t bits, bool is_signed) {
    throw ValueError("a pickle has an int that does not fit into " + std::to_string(bits) +
                     (is_signed ? " bits" : " bits without a sign") +
                     "; ask for a wider type, or for a pickle::object");
}

inline double big_to_double(std::string_view bytes) noexcept {
    const bool is_negative = (bytes.back() & 0x80) != 0;
    // Each step is a multiplication by a power of 2. The rounding of the sums may differ from
    // Python's in the last bit.
    double value = is_negative ? -1 : 0;
    for (std::size_t i = bytes.size(); i-- > 0;) {
        value = value * 256 + static_cast<unsigned char>(bytes[i]);
    }
    return value;
}

inline ArrayView ArrayView::at(std::uint64_t index) const {
    ArrayView item = *this;
    item.dimensions.erase(item.dimensions.begin());
    item.bytes.remove_prefix(static_cast<std::size_t>(index * dimensions[0].stride));
    return item;
}

template <class T>
T number_from(std::string_view bytes, std::uint64_t offset, bool is_swapped) {
    std::array<char, sizeof(T)> buffer;
    std::memcpy(buffer.data(), bytes.data() + offset, sizeof(T));
    if (is_swapped) std::reverse(buffer.begin(), buffer.end());
    return std::bit_cast<T>(buffer);
}

inline Number ArrayView::number_at(std::uint64_t offset) const {
    const auto read = [&]<class T>(T) { return number_from<T>(bytes, offset, is_swapped); };
    Number number{Number::Kind::signed_integer, {}};
    if (type == 'f') {
        number.kind = Number::Kind::real;
        number.real = size == 4 ? static_cast<double>(read(0.0F)) : read(0.0);
    } else if (type == 'i') {
        number.integer = size == 1   ? read(std::int8_t{})
                         : size == 2 ? read(std::int16_t{})
                         : size == 4 ? read(std::int32_t{})
                                     : read(std::int64_t{});
    } else {
        number.natural = size == 1   ? read(std::uint8_t{})
                         : size == 2 ? read(std::uint16_t{})
                         : size == 4 ? read(std::uint32_t{})
                                     : read(std::uint64_t{});
        if (number.natural >> 63 != 0) number.kind = Number::Kind::unsigned_integer;
    }
    return number;
}

/// Throws the TypeError for an array whose items are no numbers.
[[noreturn]] inline void throw_no_numbers(std::string_view type) {
    throw TypeError("a pickle has an array of items of type '" + std::string(type.substr(0, 40)) +
                    "': only arrays of integers, floats of 4 and 8 bytes, and bools travel");
}
[[noreturn]] inline void throw_damaged_array(std::string_view what) {
    throw ValueError("a pickle has a damaged array: " + std::string(what));
}

/// Sets the type of an array's items. @param big whether their highest byte comes first
inline void set_type(ArrayView& array, char type, std::size_t size, bool big) {
    array.type = type;
    array.size = size;
    array.is_swapped = size > 1 && big != (std::endian::native == std::endian::big);
}

/// Returns the item of a tuple, which must be of this kind.
inline const Node& part_of(const Tree& tree, const Node& tuple, std::size_t index, ValueKind kind) {
    if (!has_children(tuple.kind) || tuple.children.count <= index ||
        tree.child(tuple, index).kind != kind) {
        throw_damaged_array("it does not describe itself as arrays do");
    }
    return tree.child(tuple, index);
}
inline std::string_view bytes_part(const Tree& tree, const Node& tuple, std::size_t index) {
    const bool is_writable = has_children(tuple.kind) && index < tuple.children.count &&
                             tree.child(tuple, index).kind == ValueKind::bytearray;
    return tree.bytes_of(
        part_of(tree, tuple, index, is_writable ? ValueKind::bytearray : ValueKind::bytes));
}

/// Sets the type by a numpy.dtype: dtype('f8', False, True) with the state (3, '<', …).
inline void set_numpy_type(ArrayView& array, const Tree& tree, const Node& dtype) {
    if (!tree.is_made_by(dtype, "numpy", "dtype")) throw_damaged_array("its dtype is missing");
    const std::string_view name =
        tree.bytes_of(part_of(tree, tree.child(dtype, 1), 0, ValueKind::text));
    const std::string_view order =
        tree.bytes_of(part_of(tree, tree.child(dtype, 2), 1, ValueKind::text));
    static constexpr std::string_view known[] = {"b1", "i1", "i2", "i4", "i8", "u1",
                                                 "u2", "u4", "u8", "f4", "f8"};
    if (std::find(std::begin(known), std::end(known), name) == std::end(known)) {
        throw_no_numbers(name);
    }
    const bool is_native = order == "=" || order == "|";
    const bool big = is_native ? std::endian::native == std::endian::big : order == ">";
    set_type(array, name[0], static_cast<std::size_t>(name[1] - '0'), big);
}

/// Sets the dimensions by a tuple of ints, and checks that the bytes are as many as these say.
inline void set_shape(ArrayView& array, const Tree& tree, const Node& shape, bool is_fortran) {
    const std::size_t count = shape.children.count;
    if (count > 64) throw_damaged_array("it has more than 64 dimensions");
    const std::uint64_t most = budget_of(tree.size());
    std::uint64_t items = 1;  // of the dimensions so far, those without items apart
    std::uint64_t stride = array.size;
    array.dimensions.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t which = is_fortran ? i : count - 1 - i;
        const std::int64_t extent = part_of(tree, shape, which, ValueKind::integer).integer;
        if (extent < 0 || static_cast<std::uint64_t>(extent) > most)
            throw_too_large(tree.message.size());
        array.dimensions[which] = {static_cast<std::uint64_t>(extent), stride};
        stride *= static_cast<std::uint64_t>(extent);
        items *= std::max<std::uint64_t>(1, static_cast<std::uint64_t>(extent));
        if (items > most) throw_too_large(tree.message.size());
    }
    if (stride != array.bytes.size()) throw_damaged_array("its shape does not fit its bytes");
}

/// array._array_reconstructor(class, typecode, format, bytes), CPython Modules/arraymodule.c
inline ArrayView python_array(const Tree& tree, const Node& arguments) {
    struct Format {
        char type;
        std::uint8_t size;
    };
    static constexpr Format formats[] = {{'u', 1}, {'i', 1}, {'u', 2}, {'i', 2}, {'u', 4},
                                         {'i', 4}, {'u', 8}, {'i', 8}, {'f', 4}, {'f', 8}};
    const std::int64_t code = part_of(tree, arguments, 2, ValueKind::integer).integer;
    if (code < 0 || code > 17) throw_no_numbers("characters");
    // Codes 0 and 1 are for single bytes. From 2 on each has one for either order of bytes.
    const std::size_t index = static_cast<std::size_t>(code < 2 ? code : code / 2 + 1);
    ArrayView array;
    set_type(array, formats[index].type, formats[index].size, code >= 2 && code % 2 == 1);
    array.bytes = bytes_part(tree, arguments, 3);
    if (array.bytes.size() % array.size != 0) throw_damaged_array("its last item is cut short");
    array.dimensions = {{array.bytes.size() / array.size, array.size}};
    return array;
}

/// An array that was made empty and gets the state (version, shape, dtype, is_fortran, bytes).
inline ArrayView numpy_array(const Tree& tree, const Node& state) {
    ArrayView array;
    const Node& is_fortran = part_of(tree, state, 3, ValueKind::boolean);
    set_numpy_type(array, tree, part_of(tree, state, 2, ValueKind::reduced));
    array.bytes = bytes_part(tree, state, 4);
    set_shape(array, tree, part_of(tree, state, 1, ValueKind::tuple), is_fortran.boolean);
    return array;
}

/// numpy.core.numeric._frombuffer(bytes, dtype, shape, order), as in protocol 5.
inline ArrayView numpy_buffer(const Tree& tree, const Node& arguments) {
    ArrayView array;
    const Node& order = part_of(tree, arguments, 3, ValueKind::text);
    set_numpy_type(array, tree, part_of(tree, arguments, 1, ValueKind::reduced));
    array.bytes = bytes_part(tree, arguments, 0);
    set_shape(array, tree, part_of(tree, arguments, 2, ValueKind::tuple),
              tree.bytes_of(order) == "F");
    return array;
}

/// multiprocessing_cpp._viewed(bytes, format, shape): the format is a letter of Python's module
/// struct.
inline ArrayView memory_view(const Tree& tree, const Node& arguments) {
    static constexpr std::string_view letters = "?bBhHiIqQfdc";
    static constexpr std::string_view types = "biuiuiuiuffu";
    static constexpr std::string_view sizes = "111224488481";
    ArrayView array;
    const std::string_view format = tree.bytes_of(part_of(tree, arguments, 1, ValueKind::text));
    const std::size_t which = format.size() == 1 ? letters.find(format[0]) : letters.npos;
    if (which == letters.npos) throw_no_numbers(format);
    set_type(array, types[which], static_cast<std::size_t>(sizes[which] - '0'),
             std::endian::native == std::endian::big);
    array.bytes = bytes_part(tree, arguments, 0);
    set_shape(array, tree, part_of(tree, arguments, 2, ValueKind::tuple), false);
    return array;
}

/// numpy.core.multiarray.scalar(dtype, bytes)
inline ArrayView numpy_scalar(const Tree& tree, const Node& arguments) {
    ArrayView array;
    set_numpy_type(array, tree, part_of(tree, arguments, 0, ValueKind::reduced));
    array.bytes = bytes_part(tree, arguments, 1);
    if (array.bytes.size() != array.size) throw_damaged_array("its number is cut short");
    return array;
}

inline std::optional<ArrayView> array_of(const Tree& tree, const Node& node) {
    if (node.kind != ValueKind::reduced) return std::nullopt;
    const std::string_view name = tree.callee_of(node).name;
    const Node& arguments = tree.child(node, 1);
    if (name == "_array_reconstructor") return python_array(tree, arguments);
    if (name == "_reconstruct") return numpy_array(tree, tree.child(node, 2));
    if (name == "_frombuffer") return numpy_buffer(tree, arguments);
    if (name == view_maker) return memory_view(tree, arguments);
    if (name == "scalar") return numpy_scalar(tree, arguments);
    return std::nullopt;
}

/// Returns a big int that has no sign and fits into 64 bits.
inline std::optional<Number> natural_of(std::string_view bytes) {
    if (bytes.size() != 9 || bytes[8] != 0) return std::nullopt;
    Number number{Number::Kind::unsigned_integer, {}};
    number.natural =
        number_from<std::uint64_t>(bytes, 0, std::endian::native != std::endian::little);
    return number;
}

inline std::optional<Number> number_of(const Tree& tree, const Node& node) {
    Number number{Number::Kind::signed_integer, {}};
    switch (node.kind) {
        case ValueKind::boolean:
            number.integer = node.boolean ? 1 : 0;
            return number;
        case ValueKind::integer:
            number.integer = node.integer;
            return number;
        case ValueKind::real:
            number.kind = Number::Kind::real;
            number.real = node.real;
            return number;
        case ValueKind::big_integer:
            return natural_of(tree.bytes_of(node));
        case ValueKind::reduced:
            break;
        default:
            return std::nullopt;
    }
    const auto array = array_of(tree, node);
    if (!array || !array->dimensions.empty()) return std::nullopt;
    return array->number_at(0);
}

}  // namespace multiprocessing::detail::pickles
