// multiprocessing/pool/board/lanes.hpp
//
// The lists of entries of a pool whose calls have priorities: one list for each priority, a lane.
// The lanes are in the order in which the workers look at them, the highest priority first. A pool
// without priorities has one list, PoolBoard::head, and no lanes. Floor 5. Start at
// protect_next. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "multiprocessing/heap.hpp"
#include "multiprocessing/pool/board/board.hpp"

namespace multiprocessing::detail {

/// The list of one priority. The owner adds lanes, and removes none before the pool's end.
struct alignas(64) Lane {
    std::atomic<Offset> next;          //  0  the lane of the next lower priority; 0 none
    Offset list;                       //  8  where its head is: below, or PoolBoard::head
    std::atomic<Offset> head;          // 16  as PoolBoard::head
    std::atomic<std::uint64_t> added;  // 24  changes after each new entry
    std::atomic<std::uint64_t> empty;  // 32  what `added` was when the lane was found empty: a hint
    std::int32_t priority;             // 40
    std::uint32_t unused[5];           // 44
};
static_assert(sizeof(Lane) == 64);

/// Where a worker is to take its next chunk.
struct NextEntry {
    Entry& entry;  // protected as by protect_head
    // Whether it was found in a lane. When another worker has taken its last chunk meanwhile, lanes
    // of a lower priority may have some: they were not looked at.
    bool is_of_lane;
};

/// Returns the first entry of the highest priority that may have chunks left.
/// @param first of the board's lanes
[[nodiscard]] NextEntry protect_first_of_lanes(PoolBoard& board, WorkerSlot& slot,
                                               Offset first) noexcept;

/// Returns the entry to take a chunk from.
[[nodiscard]] inline NextEntry protect_next(PoolBoard& board, WorkerSlot& slot) noexcept {
    // acquire: pairs with the store in Lanes::add. In the same line as the head, which the worker
    // reads anyway.
    const Offset lanes = board.lanes.load(std::memory_order_acquire);
    if (lanes == 0) [[likely]]
        return {protect_head(board.head, slot), false};
    return protect_first_of_lanes(board, slot, lanes);
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/board/lanes.ipp"
#endif
