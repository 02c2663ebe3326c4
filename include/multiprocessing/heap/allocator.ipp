// multiprocessing/heap/allocator.ipp
//
// What of the allocator is not needed for each block: see allocator.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/allocator.hpp"

#include <cstring>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE Allocator::Allocator(const Segment& segment, AllocatorState& state,
                                            Offset records_at, std::uint64_t first_page)
    : segment_(segment),
      large_(segment, state,
             PageRuns(segment, state, reinterpret_cast<PageRecord*>(segment.base() + records_at),
                      first_page)),
      spans_(segment, state, large_) {}

MULTIPROCESSING_INLINE void Allocator::initialize() {
    large_.runs().initialize();
    spans_.initialize();
}

MULTIPROCESSING_INLINE Offset Allocator::allocate_zeroed(std::size_t size) {
    bool zero = false;
    const Offset block = size <= largest_small_block ? spans_.allocate(small_class(size))
                                                     : large_.allocate(size, &zero);
    if (!zero) std::memset(segment_.base() + block, 0, size);
    return block;
}

MULTIPROCESSING_INLINE std::size_t Allocator::usable_size(Offset block) const noexcept {
    const RunWord run = large_.runs().run(block / page_size);
    return run.kind() == RunWord::span
               ? static_cast<std::size_t>(units_of_class(run.size_class())) * block_alignment
               : std::size_t{run.pages()} * page_size;
}

MULTIPROCESSING_INLINE void Allocator::repair() noexcept {
    large_.runs().repair();
    spans_.repair();
}

}  // namespace multiprocessing::detail
