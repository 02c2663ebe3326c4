// multiprocessing/detail/index.hpp
//
// What Python's indices and slice bounds mean: negative ones count from the end. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// Returns the place that a Python index means: a negative one counts from the end.
/// @throws IndexError when it is outside
inline std::size_t checked_index(std::ptrdiff_t index, std::size_t size) {
    const auto count = static_cast<std::ptrdiff_t>(size);
    const std::ptrdiff_t place = index < 0 ? index + count : index;
    if (place < 0 || place >= count) throw IndexError("invalid index");
    return static_cast<std::size_t>(place);
}

/// Returns the place that a bound of a Python slice means.
inline std::size_t clipped_bound(std::ptrdiff_t bound, std::size_t size) noexcept {
    const auto count = static_cast<std::ptrdiff_t>(size);
    return static_cast<std::size_t>(
        std::clamp(bound < 0 ? bound + count : bound, std::ptrdiff_t{0}, count));
}

/// Returns the part of `all` that a Python slice means.
template <class T>
std::span<T> sliced(std::span<T> all, std::ptrdiff_t start, std::ptrdiff_t stop) noexcept {
    const std::size_t first = clipped_bound(start, all.size());
    return all.subspan(first, std::max(first, clipped_bound(stop, all.size())) - first);
}

}  // namespace multiprocessing::detail
