// multiprocessing/pool/board/staffing.hpp
//
// What a board says about its workers as a whole: when idle ones leave, what each is given when it
// starts and runs before it ends, and where the places are that the pool got later. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/heap.hpp"

namespace multiprocessing::detail {

/// A part of the board that the workers read when they start, before they sleep and when they end.
struct alignas(64) Staffing {
    static constexpr std::uint64_t for_ever = UINT64_MAX;

    std::uint64_t most_idle;      //  0  nanoseconds after which an idle worker leaves, or for_ever
    Offset setup;                 //  8  payload: see WorkerSetup; 0 none
    std::atomic<Offset> on_exit;  // 16  payload: what a worker runs as the last thing; 0 nothing
    std::atomic<Offset> annex;    // 24  places beyond the board's own; 0 none
    std::uint32_t first_count;    // 32  places in the board's own block
    std::uint32_t cores;          // 36  that the pool's process could use when it was made
    std::byte unused1[24];        // 40
};
static_assert(sizeof(Staffing) == 64);

/// Whether a worker is to stay. The owner tells it to leave; an idle worker leaves by itself.
enum class Stay : std::uint32_t { here, told_to_leave, left_idle };

/// The head of a block of places that a pool got when it grew: the slots follow, then the logs. It
/// stays for as long as the board does. Only the owner adds one, under its lock; a worker looks its
/// place up once.
struct alignas(64) Annex {
    std::atomic<Offset> next;  //  0  the block after this one, 0 when it is the last
    std::uint32_t first;       //  8  number of its first place
    std::uint32_t count;       // 12  places
    std::byte unused[48];      // 16
};
static_assert(sizeof(Annex) == 64);

}  // namespace multiprocessing::detail
