// multiprocessing/pool/board/lanes.ipp
//
// How a worker looks for the most urgent entry: see lanes.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/board/lanes.hpp"

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

/// Returns the first entry of a list that has chunks left; null when none has.
MULTIPROCESSING_INLINE Entry* protect_waiting(std::atomic<Offset>& list,
                                              WorkerSlot& slot) noexcept {
    for (;;) {
        Entry& entry = protect_head(list, slot);
        const bool has_some = entry.cursor.load(std::memory_order_relaxed) < entry.end;
        if (entry.batch != 0 && has_some) return &entry;
        const Offset next = entry.next.load();
        if (next == 0) return nullptr;
        Offset head = heap().offset_of(&entry);
        list.compare_exchange_strong(head, next);
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE NextEntry protect_first_of_lanes(PoolBoard& board,
                                                                          WorkerSlot& slot,
                                                                          Offset first) noexcept {
    for (Offset place = first; place != 0;) {
        Lane& lane = *heap().at<Lane>(place);
        // acquire: an entry that was added before this number is seen below.
        const std::uint64_t added = lane.added.load(std::memory_order_acquire);
        if (lane.empty.load(std::memory_order_relaxed) != added) {
            auto& list = *heap().at<std::atomic<Offset>>(lane.list);
            if (Entry* const entry = protect_waiting(list, slot)) return {*entry, true};
            // An older number than another worker's costs a look, and hides nothing. Nobody counts
            // what is added to the usual list.
            if (&list == &lane.head) lane.empty.store(added, std::memory_order_relaxed);
        }
        place = lane.next.load(std::memory_order_acquire);
    }
    return {protect_head(board.head, slot), false};
}

}  // namespace multiprocessing::detail
