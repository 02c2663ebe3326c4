// multiprocessing/detail/index.ipp
//
// The arithmetic of slices: see index.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/index.hpp"

#include <algorithm>
#include <cstddef>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void throw_invalid_index() { throw IndexError("invalid index"); }

MULTIPROCESSING_INLINE std::size_t clipped_bound(std::ptrdiff_t bound, std::size_t size) noexcept {
    const auto count = static_cast<std::ptrdiff_t>(size);
    return static_cast<std::size_t>(
        std::clamp(bound < 0 ? bound + count : bound, std::ptrdiff_t{0}, count));
}

MULTIPROCESSING_INLINE SlicePlace place_of_slice(std::ptrdiff_t start, std::ptrdiff_t stop,
                                                 std::size_t size) noexcept {
    const std::size_t first = clipped_bound(start, size);
    return {first, (std::max)(first, clipped_bound(stop, size)) - first};
}

}  // namespace multiprocessing::detail
