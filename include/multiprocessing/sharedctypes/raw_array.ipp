// multiprocessing/sharedctypes/raw_array.ipp
//
// How the head of a RawArray is made, and its elements are protected: see raw_array.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/sharedctypes/raw_array.hpp"

#include <new>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/synchronize/trailing.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE Handle<RawArrayState> RawArrayState::make(std::size_t count,
                                                                 std::size_t item,
                                                                 std::size_t alignment,
                                                                 const ArrayOptions& options) {
    const std::size_t most_before = system_page_size() + alignment;
    if (count > (SIZE_MAX - most_before - sizeof(RawArrayState)) / item) throw std::bad_alloc();
    const std::size_t bytes = count * item;
    // The elements of a large array begin on a page of their own, see place_behind_head.
    const std::size_t before = bytes >= 4 * system_page_size() ? most_before : alignment;
    auto state = make_with_trailing<RawArrayState>(before + bytes, std::uint64_t{count});
    state->first = place_behind_head(reinterpret_cast<std::uintptr_t>(state.get()),
                                     sizeof(RawArrayState), bytes, alignment);
    if (options.huge_pages) {
        heap().segment().take_huge_pages(heap().offset_of(state->elements()), bytes);
    }
    return state;
}

MULTIPROCESSING_INLINE void RawArrayState::protect(const ReadOnlyView& view) {
    view.look(*this, [this] {
        PageRanges ranges;
        const std::size_t block = heap().allocator().usable_size(heap().offset_of(this));
        add_whole_pages(ranges, elements(), block - first);
        return ranges;
    });
}

}  // namespace multiprocessing::detail
