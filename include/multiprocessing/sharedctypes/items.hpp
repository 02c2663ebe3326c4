// multiprocessing/sharedctypes/items.hpp
//
// What an array is made of: a size, or a range of items. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <ranges>
#include <type_traits>
#include <utility>

#include "multiprocessing/errors.hpp"

namespace multiprocessing {

/// How an Array or a RawArray is made; designated initialisers name the fields.
struct ArrayOptions {
    /// Whether to take the array's memory at once, in huge pages (2 MiB). Where a program jumps
    /// about in hundreds of megabytes, the processor then finds the places faster. It has an effect
    /// from 4 MiB on, when the kernel has huge pages to give. Since Linux 6.1 that depends on how
    /// much memory lies together. Before, it depends also on
    /// /sys/kernel/mm/transparent_hugepage/shmem_enabled, which must be "advise", "within_size" or
    /// "always", and is "never" by default. Without an effect the array is like any other.
    bool huge_pages = false;
};

namespace detail {

/// The items of the range R can become the elements of an array of T. A string literal is not
/// allowed: its size counts the zero at its end.
template <class R, class T>
concept elements_for =
    std::ranges::input_range<R> && std::convertible_to<std::ranges::range_reference_t<R>, T> &&
    !std::is_array_v<std::remove_cvref_t<R>>;

/// Returns a size as a std::size_t. @throws ValueError a negative size
template <class Size>
std::size_t item_count(Size size) {
    if (std::cmp_less(size, 0)) throw ValueError("the length of an array cannot be negative");
    return static_cast<std::size_t>(size);
}

/// Returns how many items a range has.
template <class Range>
std::size_t count_items(Range& items) {
    static_assert(std::ranges::forward_range<Range>,
                  "multiprocessing: an Array is made of a range that can be walked twice: its "
                  "size is needed first. Copy it to a std::vector");
    return static_cast<std::size_t>(std::ranges::distance(items));
}

}  // namespace detail
}  // namespace multiprocessing
