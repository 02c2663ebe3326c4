// multiprocessing/pool/board/policy.hpp
//
// What the workers of a pool must know of its less usual options. A pool without these has none of
// it: PoolBoard::policy is 0 then, and no worker looks further. Floor 5. Start at TaskPolicy.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/pool/board/board.hpp"

namespace multiprocessing::detail {

/// A chunk that its worker has handed back, because it is to be tried again after some time. The
/// worker makes it; the owner takes it, and frees it.
struct RestNote {
    Offset next;           //  0  the note left before this one, 0 none
    Offset batch;          //  8
    std::uint64_t serial;  // 16  of the batch: another one may be at its place by now
    std::uint64_t since;   // 24  nanoseconds on the monotonic clock
    std::uint32_t chunk;   // 32
    std::uint32_t ticket;  // 36  of the worker
    std::uint32_t item;    // 40  in the chunk: the one that has failed
    std::uint32_t unused;  // 44
};
static_assert(sizeof(RestNote) == 48);

/// A pool's less usual options, and what they need, in the heap.
struct alignas(64) TaskPolicy {
    std::atomic<Offset> rests;  //  0  list of RestNotes that the owner has not taken yet
    Offset retry_on;            //  8  payload: RetryOn::Matches; 0 none
    std::uint32_t retries;      // 16
    std::uint32_t rests_first;  // 20  whether a task is tried again after some time, not at once
    std::uint32_t asks_first;   // 24  whether a task is asked to stop, before its worker is killed
    std::uint32_t unused0;      // 28
    std::uint64_t leave_above;  // 32  bytes of its own above which a worker leaves; 0 no limit
    std::byte unused1[24];      // 40

    std::atomic<std::uint32_t> at_the_door;  // 64  threads that wait until a call is begun
    FutexWord begun;                         // 68  changes with each chunk taken, if any wait
    std::byte unused2[56];                   // 72
};
static_assert(sizeof(TaskPolicy) == 128);

/// Tells the threads at the door that a worker has taken a chunk.
inline void tell_of_begun(TaskPolicy& policy) noexcept {
    // The chunk was taken before: either such a thread sees that, or this one sees the thread.
    // Pairs with the fence in Door::wait.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (policy.at_the_door.load(std::memory_order_relaxed) == 0) return;
    policy.begun.fetch_add(1);
    futex_wake(policy.begun);
}

/// Hands a chunk back to the owner. The note says what is to become of it.
inline void hand_back(TaskPolicy& policy, Chunk& chunk, Offset place) noexcept {
    RestNote& note = *heap().at<RestNote>(place);
    const std::uint32_t ticket = note.ticket;  // once listed, the note may be gone at any time
    note.next = policy.rests.load(std::memory_order_relaxed);
    // release: pairs with the acquire in take_rests. Nobody but the owner takes notes, and it takes
    // all of them, so that a note cannot come back meanwhile.
    while (!policy.rests.compare_exchange_weak(note.next, place, std::memory_order_release,
                                               std::memory_order_relaxed)) {
    }
    // The one store that commits it. A worker that dies before has lost the chunk; the owner then
    // drops the note, because the chunk does not rest.
    chunk.state.store(ticket << 2 | Chunk::resting, std::memory_order_release);
}

/// Takes all notes, the latest one first. @returns 0 when there are none
inline Offset take_rests(TaskPolicy& policy) noexcept {
    if (policy.rests.load(std::memory_order_relaxed) == 0) return 0;
    return policy.rests.exchange(0, std::memory_order_acquire);
}

}  // namespace multiprocessing::detail
