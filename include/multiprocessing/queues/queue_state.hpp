// multiprocessing/queues/queue_state.hpp
//
// A queue in the family's heap: a line of records with a lock at either end, and how processes wait
// for items and for room. It knows nothing of the items' types. Floor 4. Start at QueueState::put.
//
// A process may be killed at any instruction. An item is put once the head of its record is stored,
// or the head of the first record that was put with it. It is taken once the reader's position is
// stored. Whoever finds a lock abandoned goes on from there. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/queues/batch.hpp"
#include "multiprocessing/queues/line.hpp"
#include "multiprocessing/queues/record.hpp"
#include "multiprocessing/synchronize/lock_word.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// An item to be put: its bytes, or a payload that holds it.
struct OutgoingItem {
    RecordHead head;
    const void* content;
};

/// An item that was taken. `bytes` has as many bytes as the head says.
struct IncomingItem {
    RecordHead head;
    std::span<std::byte> bytes;  // where to put them; room for the largest of the queue's items
};

/// A queue. Items are put at the end `writer` and taken at the end `reader`.
///
/// The first cache line is only read while items come and go.
struct QueueState : SharedObject {
    static constexpr ObjectKind object_kind = ObjectKind::queue;
    enum Phase : std::uint32_t { open, draining, ended };

    std::uint32_t maxsize;                   //  24  items, 0: any number
    std::atomic<std::uint32_t> phase{open};  //  28
    LineEnd writer;                          //  64
    LineEnd reader;                          // 192
    std::atomic<std::uint64_t> finished{0};  // 320  how many items are done
    std::atomic<std::uint64_t> taken{0};     // 328  once it has ended: how many were taken before
    FutexWord all_finished{0};               // 336  bit 0: somebody waits for it; the rest counts

    explicit QueueState(int most);

    /// Returns how many items were in the queue at some moment of the call.
    [[nodiscard]] std::uint64_t size() const noexcept;
    [[nodiscard]] bool is_full() const noexcept { return maxsize != 0 && size() >= maxsize; }

    /// Puts an item.
    /// @returns false when there was no room until the deadline
    /// @throws ShutDown @throws std::bad_alloc; then the item is not in the queue
    bool put(const OutgoingItem& item, bool block, Timeout timeout) {
        if (writer.lock.try_fast()) {
            const Outcome outcome = put_locked(item, false);
            if (outcome == Outcome::done) [[likely]]
                return true;
            if (outcome == Outcome::shut_down) throw_shut_down();
        }
        return put_slowly(item, Deadline(block ? timeout : Timeout(0)));
    }

    /// Takes an item.
    /// @returns false when there was none until the deadline
    /// @throws ShutDown when the queue was shut down and has no more items
    bool get(IncomingItem& item, bool block, Timeout timeout) {
        if (reader.lock.try_fast()) {
            const Outcome outcome = get_locked(item, false);
            if (outcome == Outcome::done) [[likely]]
                return true;
            if (outcome == Outcome::shut_down) throw_shut_down();
        }
        return get_slowly(item, Deadline(block ? timeout : Timeout(0)));
    }

    /// Puts the items of a batch: as many in one step as there is room for, and the rest as it
    /// becomes free. What batch.left() says afterwards was not put.
    /// @returns false when there was no room for the rest until the deadline
    /// @throws ShutDown @throws std::bad_alloc
    bool put_many(OutgoingBatch& batch, const Deadline& deadline);

    /// Waits for an item and takes what is there in one step.
    /// @returns false when there was none until the deadline
    /// @throws ShutDown when the queue was shut down and has no more items
    /// @throws std::bad_alloc; then no item was taken
    bool get_many(IncomingBatch& batch, const Deadline& deadline);

    /// Ends the puts. Gets end too, once the queue is drained.
    /// @param immediate whether gets end now
    void shut_down(bool immediate);

    // --- JoinableQueue ---

    /// Declares an item done. @returns false when more items were declared done than put
    bool task_done();

    /// Waits until all items that were put are done. @returns whether they are
    bool join(const Deadline& deadline);

    /// Frees what is in the queue, when nobody uses the queue any more.
    void destroy() noexcept;

  private:
    enum class Outcome { done, refused, shut_down };

    [[noreturn, gnu::cold]] static void throw_shut_down();

    /// Returns how many items were ever put. This includes what a writer has committed but not
    /// counted, perhaps because it was killed: an item, and those that were put with it.
    [[nodiscard]] std::uint64_t written() const noexcept;

    /// Returns how many items must be declared done in all.
    [[nodiscard]] std::uint64_t to_finish() const noexcept;

    /// Returns whether an item is there, or will never be. A guess, which needs no lock.
    [[nodiscard]] bool seems_readable() const noexcept;
    /// Returns whether there is room, or will never be. A guess, which needs no lock.
    [[nodiscard]] bool seems_writable() const noexcept;

    /// Puts an item and releases the writer's lock.
    /// @param slept whether the caller has slept: its wake-up may have been meant for others too
    Outcome put_locked(const OutgoingItem& item, bool slept) {
        Outcome outcome = Outcome::done;
        try {
            outcome = put_unless_full(item);
        } catch (...) {
            writer.lock.release();
            throw;
        }
        if (outcome != Outcome::done) {
            writer.lock.release();
            return outcome;
        }
        release_after_put(1, slept);
        return outcome;
    }

    /// Releases the writer's lock and wakes those who can go on now.
    void release_after_put(int count, bool slept) {
        if (slept) reader.lock.watch();  // other writers may be asleep
        if (writer.lock.release_to_watchers()) wake(writer, count);
        if (slept && !is_full()) wake(reader, 1);
    }
    /// The same of the reader's lock.
    void release_after_get(int count, bool slept) noexcept {
        if (slept) writer.lock.watch();  // other readers may be asleep
        if (reader.lock.release_to_watchers()) wake(reader, count);
        if (slept && seems_readable()) wake(writer, 1);
    }

    Outcome put_unless_full(const OutgoingItem& item) {
        if (phase.load(std::memory_order_relaxed) != open) return Outcome::shut_down;
        const Position at = settle(writer);
        if (maxsize != 0 && at.since(writer.seen) >= maxsize) {
            // The writer reads the reader's cache line only when what it knows of it says "full".
            writer.seen = reader.at().number();
            if (at.since(writer.seen) >= maxsize) return Outcome::refused;
        }
        append(writer, reader, at, item.head, item.content);
        return Outcome::done;
    }

    /// Takes an item and releases the reader's lock.
    /// @param slept as for put_locked
    Outcome get_locked(IncomingItem& item, bool slept) noexcept {
        // Before the look at the line: if the phase says that nobody puts any more, then all that
        // was ever put can be seen.
        const std::uint32_t seen_phase = phase.load(std::memory_order_acquire);
        Position at(0);
        if (seen_phase == ended || !find_next(reader, writer, at)) {
            reader.lock.release();
            return seen_phase == open ? Outcome::refused : Outcome::shut_down;
        }
        const Record record(at.place());
        item.head = record.head();
        std::memcpy(item.bytes.data(), record.content(), item.head.size());
        const Offset behind = record.behind(item.head.size());
        reader.move_to(at.next(behind));
        release_after_get(1, slept);
        return Outcome::done;
    }

    /// As put_locked, of as many items as there is room for.
    Outcome put_many_locked(OutgoingBatch& batch, bool slept);
    /// Returns how many of `wanted` items there is room for. With the writer's lock.
    [[nodiscard]] std::uint32_t room_for(std::size_t wanted, Position at) noexcept;
    /// As get_locked, of as many items as there are and the batch has room for.
    Outcome get_many_locked(IncomingBatch& batch, bool slept);

    bool put_slowly(const OutgoingItem& item, const Deadline& deadline);
    bool get_slowly(IncomingItem& item, const Deadline& deadline);

    /// Wakes those who wait for an end to move.
    static void wake(LineEnd& end, int count) noexcept;

    /// Ends the gets: nobody is to do what is still in the queue. With the writer's lock.
    void end();

    /// Frees the items of a queue that has ended.
    void drain();

    /// Takes the item at `at` out. @pre it is the reader's position
    void discard(Position at) noexcept;

    void wake_joiners() noexcept;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/queues/queue_state.ipp"
#endif
