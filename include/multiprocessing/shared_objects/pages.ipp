// multiprocessing/shared_objects/pages.ipp
//
// Which pages of a block hold nothing but parts of one object: see pages.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_objects/pages.hpp"

#include <cstddef>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap/read_only.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void add_pages_of_block(PageRanges& ranges, const void* block,
                                               std::size_t bytes) {
    // A short string ends here too: its characters lie in the object itself, in no block.
    if (bytes < system_page_size()) return;
    add_whole_pages(ranges, block, heap().allocator().usable_size(heap().offset_of(block)));
}

MULTIPROCESSING_INLINE PageRanges pages_of_own_block(ObjectState& state) {
    PageRanges ranges;
    const std::size_t block = heap().allocator().usable_size(heap().offset_of(&state));
    add_whole_pages(ranges, state.content(), block - state.content_at);
    return ranges;
}

}  // namespace multiprocessing::detail
