// multiprocessing/remote/pickle/numbers.hpp
//
// The numbers of a pickle: Python's int and float, and those in array.array and numpy arrays.
// Floor 9. Start at Number, and at ArrayView. SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/pickle/tree.hpp"

namespace multiprocessing::detail::pickles {

/// A number of Python. What it is for C++ is decided where it is asked for.
struct Number {
    enum class Kind : std::uint8_t { signed_integer, unsigned_integer, real };
    Kind kind;
    union {
        std::int64_t integer;
        std::uint64_t natural;  // beyond the largest int64_t
        double real;
    };
};

/// Returns the number that a value is: an int of up to 64 bits, a bool, a float, a number of numpy.
std::optional<Number> number_of(const Tree& tree, const Node& node);

/// Returns what a big int is as a double, perhaps infinite.
double big_to_double(std::string_view bytes) noexcept;

/// Throws the ValueError for an int that a type cannot hold.
[[noreturn]] void throw_out_of_range(std::size_t bits, bool is_signed);

/// Returns an integer as a T. @pre number.kind is not `real`
template <class T>
T to_integer(const Number& number) {
    const bool fits = number.kind == Number::Kind::unsigned_integer
                          ? std::in_range<T>(number.natural)
                          : std::in_range<T>(number.integer);
    if (!fits) throw_out_of_range(8 * sizeof(T), std::is_signed_v<T>);
    return static_cast<T>(number.natural);
}

/// Returns any number as a T.
template <class T>
T to_real(const Number& number) {
    switch (number.kind) {
        case Number::Kind::signed_integer:
            return static_cast<T>(number.integer);
        case Number::Kind::unsigned_integer:
            return static_cast<T>(number.natural);
        default:
            return static_cast<T>(number.real);
    }
}

/// How the items of an array lie in its bytes.
struct ArrayView {
    struct Dimension {
        std::uint64_t extent;
        std::uint64_t stride;  // bytes from one item to the next
    };

    char type = 'i';          // i: signed, u: unsigned, f: floating, b: bool
    std::size_t size = 1;     // of an item, in bytes
    bool is_swapped = false;  // the bytes are in the other order than this machine's
    std::vector<Dimension> dimensions;
    std::string_view bytes;  // from the first item on

    /// Returns an item of an array of one dimension more.
    [[nodiscard]] ArrayView at(std::uint64_t index) const;
    /// Returns the number that begins at a byte.
    [[nodiscard]] Number number_at(std::uint64_t offset) const;

    /// Says whether the items lie one behind the other as T's do.
    template <class T>
    [[nodiscard]] bool is_plain() const noexcept {
        constexpr char wanted = std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
        return type == wanted && size == sizeof(T) && !is_swapped && dimensions.size() == 1 &&
               dimensions[0].stride == size;
    }
};

/// Returns the array that a value is: an array.array, a numpy array, or, without dimensions, a
/// single number of numpy.
/// @throws TypeError when it is an array of other things than numbers
/// @throws ValueError when it is damaged
std::optional<ArrayView> array_of(const Tree& tree, const Node& node);

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/numbers.ipp"
