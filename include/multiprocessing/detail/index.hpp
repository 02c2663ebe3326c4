// multiprocessing/detail/index.hpp
//
// Indices and slice bounds with Python's meaning: negative ones count from the end. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// Throws the IndexError of checked_index.
[[noreturn, gnu::cold]] void throw_invalid_index();

/// Returns the place that a Python index means. A negative index counts from the end.
/// @throws IndexError when the index is outside the sequence
inline std::size_t checked_index(std::ptrdiff_t index, std::size_t size) {
    const auto count = static_cast<std::ptrdiff_t>(size);
    const std::ptrdiff_t place = index < 0 ? index + count : index;
    if (place < 0 || place >= count) throw_invalid_index();
    return static_cast<std::size_t>(place);
}

/// Returns the place that a bound of a Python slice means.
std::size_t clipped_bound(std::ptrdiff_t bound, std::size_t size) noexcept;

/// The part of a sequence that a Python slice means.
struct SlicePlace {
    std::size_t first;
    std::size_t count;
};

/// Returns the part of a sequence of `size` items that a Python slice means.
SlicePlace place_of_slice(std::ptrdiff_t start, std::ptrdiff_t stop, std::size_t size) noexcept;

/// Returns the part of `all` that a Python slice means.
template <class T>
std::span<T> sliced(std::span<T> all, std::ptrdiff_t start, std::ptrdiff_t stop) noexcept {
    const SlicePlace place = place_of_slice(start, stop, all.size());
    return all.subspan(place.first, place.count);
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/index.ipp"
#endif
