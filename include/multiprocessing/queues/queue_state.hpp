// multiprocessing/queues/queue_state.hpp
//
// A queue in the family's heap: a line of records with a lock at either end, and how processes wait
// for items and for room. It knows nothing of the items' types. Floor 4. Start at QueueState::put.
//
// A process may be killed at any instruction. What it has put is there from the store of the
// record's head on, what it has taken is taken from the store of the reader's position on, and who
// finds its lock abandoned goes on from there. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/queues/line.hpp"
#include "multiprocessing/queues/record.hpp"
#include "multiprocessing/reduction/payload.hpp"
#include "multiprocessing/synchronize/gate.hpp"
#include "multiprocessing/synchronize/lock_word.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// An item as it is put: its bytes, or a payload that has it.
struct OutgoingItem {
    RecordHead head;
    const void* content;
};

/// An item as it was taken. `bytes` has as many as the head says.
struct IncomingItem {
    RecordHead head;
    std::span<std::byte> bytes;  // where to put them; room for the largest of the queue's items
};

/// A queue. `writer` is the end where items are put, `reader` the one where they are taken.
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

    explicit QueueState(int most)
        : SharedObject(object_kind),
          maxsize(most <= 0 || static_cast<std::uint32_t>(most) > Position::number_mask
                      ? 0
                      : static_cast<std::uint32_t>(most)) {
        const RecordChunk chunk = RecordChunk::make(small_chunk);
        writer.move_to(chunk, Position(0));
        reader.move_to(chunk, Position(0));
    }

    /// Returns how many items were in the queue at some moment of the call.
    [[nodiscard]] std::uint64_t size() const noexcept {
        if (phase.load(std::memory_order_acquire) == ended) return 0;
        std::uint64_t length = 0;
        for (int tries = 0; tries < 8; ++tries) {
            const Position from = reader.at();
            length = written() - reader.number(from);
            if (reader.at().word() == from.word()) break;
        }
        // Items can be taken between the two looks.
        return static_cast<std::int64_t>(length) < 0 ? 0 : length;
    }
    [[nodiscard]] bool is_full() const noexcept { return maxsize != 0 && size() >= maxsize; }

    /// Puts an item.
    /// @returns false when there was no room until the deadline
    /// @throws ShutDown @throws std::bad_alloc; then the item is not in the queue
    bool put(const OutgoingItem& item, bool block, Timeout timeout) {
        if (writer.lock.try_fast()) {
            const Outcome outcome = put_locked(item, false);
            if (outcome == Outcome::done) [[likely]]
                return true;
            if (outcome == Outcome::shut_down) throw ShutDown();
        }
        return put_slowly(item, Deadline(block ? timeout : Timeout(0)));
    }

    /// Takes an item.
    /// @returns false when there was none until the deadline
    /// @throws ShutDown when the queue was shut down and has no more
    bool get(IncomingItem& item, bool block, Timeout timeout) {
        if (reader.lock.try_fast()) {
            const Outcome outcome = get_locked(item, false);
            if (outcome == Outcome::done) [[likely]]
                return true;
            if (outcome == Outcome::shut_down) throw ShutDown();
        }
        return get_slowly(item, Deadline(block ? timeout : Timeout(0)));
    }

    /// Lets nobody put any more, nor take once it is drained, or from now on.
    void shut_down(bool immediate) {
        // With the locks, so that nobody is in the middle of a put or a get that has passed the
        // check.
        writer.lock.acquire_or_recover();
        settle(writer);
        if (immediate) {
            end();
        } else if (phase.load(std::memory_order_relaxed) == open) {
            phase.store(draining, std::memory_order_release);
        }
        writer.lock.release();
        if (immediate) drain();
        wake(writer, INT_MAX);
        wake(reader, INT_MAX);
        wake_joiners();
    }

    // --- JoinableQueue ---

    /// Declares an item done. @returns false when more were declared than put
    bool task_done() {
        std::uint64_t count = finished.load(std::memory_order_relaxed);
        do {
            if (to_finish() <= count) return false;
        } while (!finished.compare_exchange_strong(count, count + 1, std::memory_order_seq_cst));
        if (to_finish() <= count + 1) wake_joiners();
        return true;
    }

    /// Waits until all that was put is done. @returns whether it is
    bool join(const Deadline& deadline) {
        const auto is_done = [this] {
            const std::uint64_t count = finished.load(std::memory_order_seq_cst);
            return to_finish() <= count;
        };
        if (is_done()) return true;
        if (deadline.has_passed()) return false;
        for (;;) {
            // seq_cst: either task_done() sees the mark, or we see that all is done.
            const std::uint32_t w = all_finished.fetch_or(1, std::memory_order_seq_cst) | 1;
            if (is_done()) return true;
            if (deadline.has_passed()) return false;
            // At intervals, in case the one who finished was killed before it woke us.
            const timespec time = deadline.left_as_timespec(check_interval);
            futex_wait(all_finished, w, &time);
        }
    }

    /// Frees what is in the queue, when nobody uses it any more.
    void destroy() noexcept {
        Position at(0);
        settle(writer);
        while (find_next(reader, writer, at)) discard(at);
        RecordChunk(reader.chunk.load(std::memory_order_relaxed)).free();
    }

  private:
    enum class Outcome { done, refused, shut_down };

    /// Returns how many items were ever put: also the one whose writer has committed it but not
    /// counted it, perhaps because it was killed.
    [[nodiscard]] std::uint64_t written() const noexcept {
        for (;;) {
            const Position at = writer.at();
            const bool has_uncounted = Record::guess(at.place()).is_item();
            // A chunk in which the writer still is was not freed.
            std::atomic_thread_fence(std::memory_order_acquire);
            if (writer.at().word() == at.word()) return writer.number(at) + has_uncounted;
        }
    }

    /// Returns how many items are to be declared done, all in all.
    [[nodiscard]] std::uint64_t to_finish() const noexcept {
        const bool has_ended = phase.load(std::memory_order_acquire) == ended;
        return has_ended ? taken.load(std::memory_order_relaxed) : written();
    }

    /// Whether an item is there, or will never be, as a guess that needs no lock.
    [[nodiscard]] bool seems_readable() const noexcept {
        const Position at = reader.at();
        const RecordHead head = Record::guess(at.place());
        return head.is_item() || (head.is_committed() && writer.at().word() != at.word()) ||
               phase.load() != open;
    }
    [[nodiscard]] bool seems_writable() const noexcept {
        return !is_full() || phase.load() != open;
    }

    /// Puts an item and releases the writer's lock.
    /// @param slept whether the caller has slept: it may have been given a wake-up for others too
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
        if (slept) reader.lock.watch();  // other writers may be asleep
        if (writer.lock.release_to_watchers()) wake(writer, 1);
        if (slept && !is_full()) wake(reader, 1);
        return outcome;
    }

    Outcome put_unless_full(const OutgoingItem& item) {
        if (phase.load(std::memory_order_relaxed) != open) return Outcome::shut_down;
        const Position at = settle(writer);
        if (maxsize != 0 && at.since(writer.seen) >= maxsize) {
            // The reader's cache line is looked at only when what is known of it says "full".
            writer.seen = reader.at().number();
            if (at.since(writer.seen) >= maxsize) return Outcome::refused;
        }
        append(writer, reader, at, item.head, item.content);
        return Outcome::done;
    }

    /// Takes an item and releases the reader's lock.
    Outcome get_locked(IncomingItem& item, bool slept) noexcept {
        // Before the look at the line: if it says so, all that was ever put can be seen.
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
        if (slept) writer.lock.watch();  // other readers may be asleep
        if (reader.lock.release_to_watchers()) wake(reader, 1);
        if (slept && seems_readable()) wake(writer, 1);
        return Outcome::done;
    }

    [[gnu::noinline]] bool put_slowly(const OutgoingItem& item, const Deadline& deadline) {
        bool slept = false;
        for (;;) {
            if (take_lock(writer.lock, deadline)) {
                const Outcome outcome = put_locked(item, slept);
                if (outcome == Outcome::shut_down) throw ShutDown();
                if (outcome == Outcome::done) return true;
            }
            if (!wait(reader, deadline, slept, [this] { return seems_writable(); })) return false;
        }
    }

    [[gnu::noinline]] bool get_slowly(IncomingItem& item, const Deadline& deadline) {
        bool slept = false;
        for (;;) {
            if (take_lock(reader.lock, deadline)) {
                const Outcome outcome = get_locked(item, slept);
                if (outcome == Outcome::shut_down) throw ShutDown();
                if (outcome == Outcome::done) return true;
            }
            if (!wait(writer, deadline, slept, [this] { return seems_readable(); })) return false;
        }
    }

    /// Takes the lock of an end. Nobody holds one for long, so it is waited for also by who does
    /// not want to wait for an item; but one whose holder is stopped must not hold up a call beyond
    /// its time by more than a moment.
    static bool take_lock(LockWord& lock, const Deadline& deadline) {
        if (lock.try_fast()) return true;
        if (deadline.is_forever()) return lock.acquire(deadline, Abandoned::repair);
        constexpr std::chrono::milliseconds moment{500};  // longer than a death takes to be noticed
        const auto left = std::max<std::chrono::nanoseconds>(deadline.left(), moment);
        return lock.acquire(Deadline(left), Abandoned::repair);
    }

    /// Waits until another end of the line seems to have moved.
    /// @param slept set when the caller was asleep
    /// @returns false when the deadline was first
    template <class Ready>
    static bool wait(LineEnd& end, const Deadline& deadline, bool& slept, Ready ready) {
        if (deadline.has_passed()) {
            // The wake-up that it was given is another's now: with the mark, the next one comes.
            if (slept) end.lock.watch();
            return false;
        }
        if (!slept && spin_until(ready)) return true;
        const std::uint32_t event = end.event.load(std::memory_order_acquire);
        end.lock.watch();
        if (ready()) return true;
        // At intervals, in case the one who moved it was killed before it woke us.
        const timespec time = deadline.left_as_timespec(check_interval);
        futex_wait(end.event, event, &time);
        slept = true;
        return true;
    }

    /// Wakes those who wait for an end to move.
    static void wake(LineEnd& end, int count) noexcept {
        // release: pairs with the load in wait(); who still reads the old number does not sleep.
        end.event.fetch_add(1, std::memory_order_release);
        futex_wake(end.event, count);
    }

    /// Lets nobody take any more: what is in the queue is nobody's to do. With the writer's lock.
    void end() {
        reader.lock.acquire_or_recover();
        if (phase.load(std::memory_order_relaxed) != ended) {
            taken.store(reader.number(reader.at()), std::memory_order_relaxed);
            phase.store(ended, std::memory_order_release);  // commits
        }
        reader.lock.release();
    }

    /// Frees the items of a queue that has ended.
    void drain() {
        reader.lock.acquire_or_recover();
        Position at(0);
        while (find_next(reader, writer, at)) discard(at);
        reader.lock.release();
    }

    /// Takes the item at `at` out. @pre it is the reader's position
    void discard(Position at) noexcept {
        const Record record(at.place());
        const RecordHead head = record.head();
        const Offset payload = head.kind() == RecordKind::payload ? record.target() : 0;
        reader.move_to(at.next(record.behind(head.size())));
        if (payload != 0) destroy_payload(heap().at(payload));
    }

    void wake_joiners() noexcept {
        std::uint32_t w = all_finished.load(std::memory_order_seq_cst);  // see join
        while ((w & 1) != 0) {
            if (!all_finished.compare_exchange_weak(w, (w + 2) & ~1u)) continue;
            futex_wake(all_finished);
            break;
        }
    }
};

}  // namespace multiprocessing::detail
