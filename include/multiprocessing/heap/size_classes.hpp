// multiprocessing/heap/size_classes.hpp
//
// Which sizes count as one: four classes for each doubling, so that a block of its class's size has
// at most a fifth unused. Floor 1. SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

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

}  // namespace multiprocessing::detail
