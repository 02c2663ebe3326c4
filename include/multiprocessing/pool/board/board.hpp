// multiprocessing/pool/board/board.hpp
//
// What a pool's owner and its workers share: the board, with the list of batches and a slot for
// each worker; and the batches with their chunks. Tasks and results lie in the heap; nothing goes
// through a pipe. Floor 5. Start at claim_chunk.
//
// A batch is the work of one call (map, apply), divided into chunks. The state of a chunk is one
// word, and this word alone says what happened to the chunk: a worker takes the chunk by changing
// it, and completes the chunk by changing it again. So a worker that is killed has either taken the
// chunk or not, and has either finished it or not. The word names the worker that took the chunk,
// so the blame is exact.
//
// The functions that a small call runs through are marked hot. That puts them on few pages of the
// program: a process that has slept for some time has to find each of these pages again.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/pool/board/staffing.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"

namespace multiprocessing::detail {

/// A part of a batch: what one worker takes at a time.
struct Chunk {
    enum Phase : std::uint32_t { pending = 0, taken = 1, finished = 2, resting = 3 };

    // The ticket is 0 until a worker takes the chunk, also when it is cancelled before that. A
    // chunk that rests is the owner's: it is to be tried again, but not yet.
    std::atomic<std::uint32_t> state;  //  0  Phase | ticket of the worker that took it << 2
    std::uint32_t start;               //  4  while pending: items before this one are settled
    std::atomic<Offset> output;        //  8  list of segments: results that are not plain bytes
    std::atomic<Offset> error;         // 16  list of errors: the last one that counts; 0 none
    std::uint32_t attempts;            // 24  the owner's: workers that died at the item `start`
    // Counted by whoever holds the chunk, after the error was noted: for progress and statistics
    // only, since a kill between the two steps costs a count.
    std::atomic<std::uint32_t> failures;  // 28  items that have failed

    static Phase phase_of(std::uint32_t state) noexcept { return static_cast<Phase>(state & 3); }
};
static_assert(sizeof(Chunk) == 32);

struct Batch;

/// An entry of the board's list: a range of a batch's chunks. At first it has all of them; a chunk
/// that is tried again has an entry of its own.
struct Entry {
    std::atomic<Offset> next;           //  0  the entry after this one, 0 when it is the last
    Offset batch;                       //  8
    std::atomic<std::uint32_t> cursor;  // 16  chunks before this one are taken: a hint
    std::uint32_t end;                  // 20
};
static_assert(sizeof(Entry) == 24);

/// The work of one call. In its block the chunks follow, then the message if it is small, then the
/// items and results that are plain bytes.
struct Batch {
    Entry whole;                         //  0
    FutexWord events;                    // 24  changes with each chunk finished near the end
    std::atomic<std::uint32_t> waiting;  // 28  whether a thread sleeps on events
    std::uint64_t serial;                // 32  no two batches of a pool have the same
    std::uint64_t item_count;            // 40
    std::uint32_t chunk_size;            // 48  items
    std::uint8_t commit_each;            // 52  whether results are handed over item by item
    std::uint8_t keep_errors;            // 53  whether all errors count, not only the first one
    std::uint16_t unused;                // 54
    std::uint64_t first_item;            //  56  place of its first item in the call, from 0
    std::uint64_t chunk_starts;  //  64  where in this block the chunks' places in the message are
    std::uint64_t items;         //  72  where in this block the plain items are
    std::uint64_t results;       //  80  where in this block the plain results go
    std::uint64_t size;          //  88  of the block, in bytes
    std::atomic<std::uint32_t> notice;   //  96  Notice
    float time_limit;                    // 100  the owner's: seconds for each task; 0 the pool's
    std::atomic<std::uint64_t> arrival;  // 104  when the last chunk was finished, in ticks
    Offset message;          // 112  payload: the function, items that are not plain bytes
    std::uint64_t function;  // 120  the owner's: see function_mark

    /// When PoolBoard::arrivals changes too, not only events.
    enum Notice : std::uint32_t { nobody, of_the_end, of_each_chunk };

    [[nodiscard]] Chunk* chunks() noexcept { return reinterpret_cast<Chunk*>(this + 1); }
    template <class T>
    [[nodiscard]] T* at(std::uint64_t place) noexcept {
        return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(this) + place);
    }
    [[nodiscard]] std::uint32_t chunk_count() const noexcept { return whole.end; }

    /// Returns how many items the chunk has.
    [[nodiscard]] std::uint32_t size_of(std::uint32_t chunk) const noexcept {
        const std::uint64_t first = std::uint64_t{chunk} * chunk_size;
        const std::uint64_t rest = item_count - first;
        return rest < chunk_size ? static_cast<std::uint32_t>(rest) : chunk_size;
    }
};
static_assert(sizeof(Batch) == 128);

/// What a worker says about itself. The worker writes most of it, the owner reads it.
struct alignas(64) WorkerSlot {
    std::atomic<Offset> entry;          //  0  the entry that it looks at, which must not be freed
    std::atomic<std::uint32_t> chunk;   //  8  the chunk it is about to take, or has taken
    std::atomic<std::uint32_t> item;    // 12  the item of the chunk that it is at
    std::atomic<std::uint32_t> parked;  // 16  whether it is counted in PoolBoard::parked
    std::atomic<std::uint32_t> ready;   // 20  whether its initializer has returned
    std::atomic<std::uint64_t> turn;    // 24  changes with each chunk that it takes
    std::atomic<Stay> stay;             // 32  the owner's, too
    // What the owner wishes, see SoftStop. A task is told by the turn and the item.
    FutexWord stops;                       // 36  changes with each such wish
    std::atomic<std::uint64_t> stop_turn;  // 40  of the task that is asked to stop; 0: none is
    std::atomic<std::uint64_t> inherited;  // 48  see OwnMemory, in bytes
    std::atomic<std::uint32_t> stop_item;  // 56  its item, or all_items
    std::uint32_t unused;                  // 60

    static constexpr std::uint32_t all_items = UINT32_MAX;
};
static_assert(sizeof(WorkerSlot) == 64);

struct PoolBoard;

/// The slots of a pool's workers, by their numbers.
class WorkerSlots {
  public:
    explicit WorkerSlots(PoolBoard& board) noexcept : board_(board) {}
    WorkerSlot& operator[](std::uint32_t slot) const noexcept;

  private:
    PoolBoard& board_;
};

/// The head of a pool in the heap, followed by its workers' slots.
struct alignas(64) PoolBoard {
    enum Phase : std::uint32_t { running, closing, terminated };

    std::atomic<Offset> head;              //   0  first entry that may have chunks left; never 0
    std::atomic<Offset> lanes;             //   8  the highest priority's lane; 0: see Lane
    std::byte unused0[48];                 //  16
    FutexWord work;                        //  64  changes with each new entry and each new phase
    std::atomic<std::uint32_t> parked;     //  68  workers that sleep on work, or a few more
    std::atomic<std::uint32_t> spinner;    //  72  1 + slot of a worker that spins for work; 0 none
    std::byte unused1[52];                 //  76
    FutexWord arrivals;                    // 128  changes with each notice, see Batch::Notice
    std::atomic<std::uint32_t> listeners;  // 132  threads that sleep on arrivals
    std::byte unused2[56];                 // 136
    std::atomic<std::uint32_t> phase;      // 192
    std::atomic<std::uint32_t> worker_count;  // 196  places for workers, with and without one
    std::uint32_t max_tasks;              // 200  chunks after which a worker is replaced; 0 never
    std::atomic<std::uint32_t> may_spin;  // 204  whether there are cores to spin for work on
    std::atomic<Offset> failure;          // 208  payload: an initializer's error
    std::uint32_t log_size;               // 216  records that each worker's log has room for
    std::atomic<std::uint32_t> keeps_apart;  // 220  whether each worker has a core to sleep on
    Offset first_log;                        // 224  see WorkerLog
    Offset policy;                           // 232  see TaskPolicy; 0 none
    std::byte unused4[16];                   // 240
    Staffing staffing;                       // 256

    [[nodiscard]] WorkerSlots worker_slots() noexcept { return WorkerSlots(*this); }
    [[nodiscard]] WorkerLogs logs() noexcept;

    /// Finds out how many workers may spin, and sleep on cores of their own, when there are
    /// `workers`.
    [[gnu::cold]] void set_habits(std::uint32_t workers) noexcept;
};
static_assert(sizeof(PoolBoard) == 320);

/// Returns the slot of a worker in an annex.
[[gnu::cold]] WorkerSlot& annexed_slot(PoolBoard& board, std::uint32_t slot) noexcept;

inline WorkerSlot& WorkerSlots::operator[](std::uint32_t slot) const noexcept {
    if (slot < board_.staffing.first_count) [[likely]] {
        return reinterpret_cast<WorkerSlot*>(&board_ + 1)[slot];
    }
    return annexed_slot(board_, slot);
}

/// Adds places for workers, at least as many as there are already. The caller holds the owner's
/// lock. @throws std::bad_alloc; then nothing has changed
[[gnu::cold]] void add_places(PoolBoard& board, std::uint32_t count);

/// Frees a board and its annexes. @pre no worker is left
[[gnu::cold]] void free_board(PoolBoard& board) noexcept;

/// Wakes the threads that wait for a batch, so that they look at it again.
inline void announce(Batch& batch) noexcept {
    // seq_cst, as are the store to waiting and the load of events in PendingBatch::wait_until_over:
    // either that thread sees the new number, or this one sees that it sleeps.
    batch.events.fetch_add(1);
    if (batch.waiting.load() != 0) futex_wake(batch.events);
}

/// Wakes the threads that wait for more than one batch, so that they look at theirs again.
inline void announce_arrival(PoolBoard& board) noexcept {
    board.arrivals.fetch_add(1);  // seq_cst: pairs with Arrivals::wait, as in announce
    if (board.listeners.load() != 0) futex_wake(board.arrivals);
}

/// Wakes at most `count` sleeping workers.
/// @param caller_sleeps whether this thread is about to wait for them
[[gnu::hot]] void wake_workers(PoolBoard& board, int count, bool caller_sleeps) noexcept;

/// Tells idle workers of new work, so that they look at the board again.
/// @param caller_sleeps whether this thread is about to wait for what they do
/// @returns whether a worker that is awake sees it at once
[[gnu::hot]] inline bool announce_work(PoolBoard& board, std::uint32_t chunks,
                                       bool caller_sleeps) noexcept {
    board.work.fetch_add(1);  // seq_cst: pairs with WorkerLoop::wait_for_work, as in announce
    // A spinning worker sees the new work by itself, but takes one chunk only: the next caller must
    // not count on it too. If it is about to park, nothing is lost: it looks at the list after
    // this. If it is dead, the owner announces the work again when it notices that.
    if (board.spinner.load() != 0 && board.spinner.exchange(0) != 0 && --chunks == 0) return true;
    const std::uint32_t parked = board.parked.load();
    const auto count = static_cast<int>((std::min)({chunks, parked, 1u << 30}));
    if (count != 0) wake_workers(board, count, caller_sleeps);
    return false;
}

/// Wakes all workers, so that they look at the board's phase.
void announce_phase(PoolBoard& board) noexcept;

/// Returns the first entry of a list, and marks it in `slot` as looked at. The owner does not free
/// an entry that is marked (a hazard pointer).
inline Entry& protect_head(const std::atomic<Offset>& list, WorkerSlot& slot) noexcept {
    Offset head = list.load();
    // Still marked since it was the first one before: a full fence saved, once a chunk.
    if (slot.entry.load(std::memory_order_relaxed) == head) return *heap().at<Entry>(head);
    for (;;) {
        slot.entry.store(head);  // seq_cst: before the load that follows
        const Offset again = list.load();
        // Unchanged: the owner frees an entry only after it has left the head, so it sees the mark.
        if (again == head) return *heap().at<Entry>(head);
        head = again;
    }
}

constexpr std::uint32_t no_chunk = UINT32_MAX;

/// Takes the entry's next chunk for the worker with `ticket`.
/// @returns the chunk's index, or no_chunk when all are taken
inline std::uint32_t claim_chunk(Entry& entry, WorkerSlot& slot, std::uint32_t ticket) noexcept {
    if (entry.batch == 0) return no_chunk;  // the entry that the list was opened with
    Chunk* const chunks = heap().at<Batch>(entry.batch)->chunks();
    std::uint32_t index = entry.cursor.load(std::memory_order_relaxed);
    while (index < entry.end) {
        // Noted before the chunk is taken: after this worker's death the owner need not search.
        slot.chunk.store(index, std::memory_order_relaxed);
        std::uint32_t state = chunks[index].state.load(std::memory_order_relaxed);
        // The one store that commits the claim. acq_rel: it also acquires what an earlier worker or
        // the owner has left in the chunk.
        const bool mine = Chunk::phase_of(state) == Chunk::pending &&
                          chunks[index].state.compare_exchange_strong(
                              state, ticket << 2 | Chunk::taken, std::memory_order_acq_rel);
        // Every worker that finds the cursor behind moves it on. If only the worker that took the
        // chunk did so, a kill between the two steps would stop all others here.
        std::uint32_t expected = index;
        entry.cursor.compare_exchange_strong(expected, index + 1, std::memory_order_relaxed);
        if (mine) return index;
        index = entry.cursor.load(std::memory_order_relaxed);
    }
    return no_chunk;
}

/// Tells the threads that wait for it that a chunk is finished.
inline void tell_of_finished(PoolBoard& board, Batch& batch) noexcept {
    // While chunks are left to take, the batch cannot be complete: few threads need to know.
    // seq_cst, as is the store of the chunk's phase before. If that store took effect after this
    // load, the worker that takes and finishes the last chunk meanwhile would be the only one to
    // tell, and the threads that it wakes would not find this chunk finished.
    const bool near_the_end = batch.whole.cursor.load() >= batch.whole.end;
    if (near_the_end) announce(batch);
    // seq_cst, after announce: pairs with PendingBatch::ask_for_notice.
    const std::uint32_t notice = batch.notice.load();
    if (notice == Batch::of_each_chunk || (notice == Batch::of_the_end && near_the_end)) {
        announce_arrival(board);
    }
}

/// Completes a chunk: from then on its results count.
/// @param now in ticks
inline void finish_chunk(PoolBoard& board, Batch& batch, std::uint32_t index, std::uint32_t ticket,
                         std::uint64_t now) noexcept {
    // Only where this chunk may be the last one: each store would take the line of the batch's
    // places from the other workers. Whoever takes the last chunk finds the cursor at the end.
    if (batch.whole.cursor.load(std::memory_order_relaxed) >= batch.whole.end) {
        batch.arrival.store(now, std::memory_order_relaxed);
    }
    // The one store that commits the chunk. seq_cst: a thread that sees the phase sees the results;
    // see also tell_of_finished.
    batch.chunks()[index].state.store(ticket << 2 | Chunk::finished);
    tell_of_finished(board, batch);
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/board/board.ipp"
#endif
