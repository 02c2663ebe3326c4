// multiprocessing/heap/size_classes.hpp
//
// The size classes of blocks and of runs of pages: four for each doubling, so that at most a fifth
// of a block is unused. Floor 1. SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

constexpr std::size_t block_alignment = 64;  // a cache line: no two blocks share one
constexpr std::size_t page_size = 4096;      // the allocator's, whatever the system's is

/// Returns the class of a size counted in units: 0 … 7 are the sizes 1 … 8, then four classes for
/// each doubling (10, 12, 14, 16, 20, …). @pre units > 0
constexpr unsigned class_of_units(std::uint64_t units) noexcept {
    if (units <= 8) return static_cast<unsigned>(units - 1);
    const unsigned log = static_cast<unsigned>(std::bit_width(units - 1)) - 1;
    return 8 + (log - 3) * 4 + static_cast<unsigned>(((units - 1) >> (log - 2)) & 3);
}

/// Returns the size, in units, of the blocks of a class: the largest size that belongs to it.
constexpr std::uint64_t units_of_class(unsigned size_class) noexcept {
    if (size_class < 8) return size_class + 1;
    const unsigned step = size_class - 8;
    return static_cast<std::uint64_t>(5 + step % 4) << (step / 4 + 1);
}

static_assert(units_of_class(class_of_units(9)) == 10 && units_of_class(class_of_units(16)) == 16);

constexpr std::size_t largest_small_block = std::size_t{1} << 13;
constexpr unsigned small_classes = class_of_units(largest_small_block / block_alignment) + 1;
static_assert(units_of_class(small_classes - 1) * block_alignment == largest_small_block);

/// What the allocator asks about the class of each small block: a table, so that it need not
/// divide. Small blocks lie in spans, and a span has blocks of one class. It is as small as it can
/// be with eight blocks in it, because a single block in use keeps the whole span from other sizes.
struct SmallSizes {
    std::array<std::uint16_t, small_classes> units{};     // of 64 bytes, a block
    std::array<std::uint16_t, small_classes> pages{};     // a span
    std::array<std::uint16_t, small_classes> capacity{};  // blocks in a span
};
inline constexpr SmallSizes small_sizes = [] {
    SmallSizes sizes;
    for (unsigned size_class = 0; size_class < small_classes; ++size_class) {
        const std::uint64_t units = units_of_class(size_class);
        const std::uint64_t eight = units * 8 * block_alignment;
        const std::uint64_t pages = std::bit_ceil((eight + page_size - 1) / page_size);
        sizes.units[size_class] = static_cast<std::uint16_t>(units);
        sizes.pages[size_class] = static_cast<std::uint16_t>(pages);
        sizes.capacity[size_class] =
            static_cast<std::uint16_t>(pages * page_size / block_alignment / units);
    }
    return sizes;
}();
constexpr std::uint32_t most_span_pages = small_sizes.pages[small_classes - 1];
static_assert(most_span_pages == 16);

}  // namespace multiprocessing::detail
