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

/// Returns how many bytes an array takes besides its head. @throws std::bad_alloc
inline std::size_t bytes_behind_head(std::size_t count, std::size_t item, std::size_t alignment) {
    const std::size_t most_before = system_page_size() + alignment;
    if (count > (SIZE_MAX - most_before - sizeof(RawArrayState)) / item) throw std::bad_alloc();
    const std::size_t bytes = count * item;
    // The elements of a large array begin on a page of their own, see place_behind_head.
    return bytes + (bytes >= 4 * system_page_size() ? most_before : alignment);
}

MULTIPROCESSING_INLINE Handle<RawArrayState> RawArrayState::make_to_fill(std::size_t count,
                                                                         std::size_t item) {
    const std::size_t size = sizeof(RawArrayState) + bytes_behind_head(count, item, item);
    prepare_ledger();
    auto* const state = new (allocate_to_fill(size, size)) RawArrayState(count, true);
    state->first = place_behind_head(reinterpret_cast<std::uintptr_t>(state), sizeof(RawArrayState),
                                     count * item, item);
    state->set_birth(heap().family().fork_clock());
    return Handle<RawArrayState>(Adopted{}, *state);
}

MULTIPROCESSING_INLINE Handle<RawArrayState> RawArrayState::make(std::size_t count,
                                                                 std::size_t item,
                                                                 std::size_t alignment,
                                                                 const ArrayOptions& options) {
    const std::size_t behind = bytes_behind_head(count, item, alignment);
    const std::size_t bytes = count * item;
    auto state = make_with_trailing<RawArrayState>(behind, std::uint64_t{count});
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
