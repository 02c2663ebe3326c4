// multiprocessing/sharedctypes/guard.ipp
//
// How the head of a value or an array is made and destroyed: see guard.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/sharedctypes/guard.hpp"

#include <new>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap/object.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/synchronize/trailing.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE GuardedState::GuardedState(const AnyHandle& lock,
                                                  std::uint64_t count) noexcept
    : LockState(true, lock ? object_kind : ObjectKind::plain),
      other_lock(lock.offset()),
      size(count) {
    if (lock) add_reference(*lock.object());
}

MULTIPROCESSING_INLINE Handle<GuardedState> GuardedState::make(std::size_t count, std::size_t item,
                                                               std::size_t at,
                                                               const AnyHandle& lock,
                                                               const ArrayOptions& options) {
    if (count > (SIZE_MAX - at) / item) throw std::bad_alloc();
    const std::size_t behind = at - sizeof(GuardedState) + count * item;
    auto state = make_with_trailing<GuardedState>(behind, lock, std::uint64_t{count});
    if (options.huge_pages) {
        heap().segment().take_huge_pages(heap().offset_of(state.get()) + at, count * item);
    }
    return state;
}

MULTIPROCESSING_INLINE void GuardedState::destroy() noexcept {
    drop_reference(*heap().at<SharedObject>(other_lock));
}

}  // namespace multiprocessing::detail
