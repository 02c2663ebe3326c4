// multiprocessing/queues/queue_state.ipp
//
// How a queue is made, waited for and shut down: see queue_state.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/queues/queue_state.hpp"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"
#include "multiprocessing/synchronize/gate.hpp"
#include "multiprocessing/synchronize/lock_word.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// Takes the lock of an end. A caller that does not want to wait for an item waits for the lock all
/// the same, since nobody holds it for long. But when its holder is stopped, that must not delay a
/// call beyond its time by more than a moment.
inline bool take_end_lock(LockWord& lock, const Deadline& deadline) {
    if (lock.try_fast()) return true;
    if (deadline.is_forever()) return lock.acquire(deadline, Abandoned::repair);
    constexpr std::chrono::milliseconds moment{500};  // longer than a death takes to be noticed
    const auto left = (std::max<std::chrono::nanoseconds>)(deadline.left(), moment);
    return lock.acquire(Deadline(left), Abandoned::repair);
}

/// How long the threads of this process should spin for the other ends of their queues.
inline constinit SpinBudget queue_spinning;

/// Waits until the other end of the line seems to have moved.
/// @param slept set when the caller was asleep
/// @returns false when the deadline was first
template <class Ready>
bool wait_for_end(LineEnd& end, const Deadline& deadline, bool& slept, Ready ready) {
    if (deadline.has_passed()) {
        // A wake-up that this caller was given is another's now: with the mark, the next one comes.
        if (slept) end.lock.watch();
        return false;
    }
    constexpr int pauses = 32;  // a microsecond or two
    if (!slept && queue_spinning.spin(ready, pauses)) return true;
    const std::uint32_t event = end.event.load(std::memory_order_acquire);
    end.lock.watch();
    if (ready()) return true;
    // At intervals, in case the process that moved the end was killed before it woke us.
    const timespec time = deadline.left_as_timespec(check_interval);
    futex_wait(end.event, event, &time);
    slept = true;
    return true;
}

MULTIPROCESSING_INLINE QueueState::QueueState(int most)
    : SharedObject(object_kind),
      maxsize(most <= 0 || static_cast<std::uint32_t>(most) > Position::number_mask
                  ? 0
                  : static_cast<std::uint32_t>(most)) {
    const RecordChunk chunk = RecordChunk::make(small_chunk);
    writer.move_to(chunk, Position(0));
    reader.move_to(chunk, Position(0));
}

MULTIPROCESSING_INLINE std::uint64_t QueueState::size() const noexcept {
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

MULTIPROCESSING_INLINE void QueueState::shut_down(bool immediate) {
    // With the locks, so that nobody is in the middle of a put or a get that has passed the check.
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

MULTIPROCESSING_INLINE bool QueueState::task_done() {
    std::uint64_t count = finished.load(std::memory_order_relaxed);
    do {
        if (to_finish() <= count) return false;
    } while (!finished.compare_exchange_strong(count, count + 1, std::memory_order_seq_cst));
    if (to_finish() <= count + 1) wake_joiners();
    return true;
}

MULTIPROCESSING_INLINE bool QueueState::join(const Deadline& deadline) {
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
        // At intervals, in case the process that finished was killed before it woke us.
        const timespec time = deadline.left_as_timespec(check_interval);
        futex_wait(all_finished, w, &time);
    }
}

MULTIPROCESSING_INLINE void QueueState::destroy() noexcept {
    Position at(0);
    settle(writer);
    while (find_next(reader, writer, at)) discard(at);
    RecordChunk(reader.chunk.load(std::memory_order_relaxed)).free();
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void QueueState::throw_shut_down() { throw ShutDown(); }

MULTIPROCESSING_INLINE std::uint64_t QueueState::written() const noexcept {
    for (;;) {
        const Position at = writer.at();
        const RecordHead head = Record::guess(at.place());
        // A chunk in which the writer still is was not freed.
        std::atomic_thread_fence(std::memory_order_acquire);
        if (writer.at().word() != at.word()) continue;
        return writer.number(at) + (head.is_item() ? 1 + head.followers() : 0);
    }
}

MULTIPROCESSING_INLINE std::uint64_t QueueState::to_finish() const noexcept {
    const bool has_ended = phase.load(std::memory_order_acquire) == ended;
    return has_ended ? taken.load(std::memory_order_relaxed) : written();
}

MULTIPROCESSING_INLINE bool QueueState::seems_readable() const noexcept {
    const Position at = reader.at();
    const RecordHead head = Record::guess(at.place());
    return head.is_item() || (head.is_committed() && writer.at().word() != at.word()) ||
           phase.load() != open;
}

MULTIPROCESSING_INLINE bool QueueState::seems_writable() const noexcept {
    return !is_full() || phase.load() != open;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE bool QueueState::put_slowly(const OutgoingItem& item,
                                                                     const Deadline& deadline) {
    bool slept = false;
    for (;;) {
        if (take_end_lock(writer.lock, deadline)) {
            const Outcome outcome = put_locked(item, slept);
            if (outcome == Outcome::shut_down) throw ShutDown();
            if (outcome == Outcome::done) return true;
        }
        if (!wait_for_end(reader, deadline, slept, [this] { return seems_writable(); })) {
            return false;
        }
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE bool QueueState::get_slowly(IncomingItem& item,
                                                                     const Deadline& deadline) {
    bool slept = false;
    for (;;) {
        if (take_end_lock(reader.lock, deadline)) {
            const Outcome outcome = get_locked(item, slept);
            if (outcome == Outcome::shut_down) throw ShutDown();
            if (outcome == Outcome::done) return true;
        }
        if (!wait_for_end(writer, deadline, slept, [this] { return seems_readable(); })) {
            return false;
        }
    }
}

MULTIPROCESSING_INLINE bool QueueState::put_many(OutgoingBatch& batch, const Deadline& deadline) {
    bool slept = false;
    while (batch.left() != 0) {
        if (take_end_lock(writer.lock, deadline)) {
            const Outcome outcome = put_many_locked(batch, slept);
            if (outcome == Outcome::shut_down) throw ShutDown();
            if (outcome == Outcome::done) continue;
        }
        if (!wait_for_end(reader, deadline, slept, [this] { return seems_writable(); })) {
            return false;
        }
    }
    return true;
}

MULTIPROCESSING_INLINE QueueState::Outcome QueueState::put_many_locked(OutgoingBatch& batch,
                                                                       bool slept) {
    Outcome outcome = Outcome::done;
    std::uint32_t count = 0;
    try {
        if (phase.load(std::memory_order_relaxed) != open) {
            outcome = Outcome::shut_down;
        } else {
            const Position at = settle(writer);
            count = room_for(batch.left(), at);
            if (count == 0) outcome = Outcome::refused;
            if (count != 0) append(writer, reader, at, batch, count);
        }
    } catch (...) {
        writer.lock.release();
        throw;
    }
    if (outcome == Outcome::done) {
        release_after_put(static_cast<int>(count), slept);
    } else {
        writer.lock.release();
    }
    return outcome;
}

MULTIPROCESSING_INLINE std::uint32_t QueueState::room_for(std::size_t wanted,
                                                          Position at) noexcept {
    const auto most = static_cast<std::uint32_t>((std::min)(wanted, most_in_one_step));
    if (maxsize == 0) return most;
    const auto room = [&] {
        const std::uint32_t length = at.since(writer.seen);
        return length < maxsize ? maxsize - length : 0;
    };
    if (room() < most) writer.seen = reader.at().number();  // see put_unless_full
    return (std::min)(most, room());
}

MULTIPROCESSING_INLINE bool QueueState::get_many(IncomingBatch& batch, const Deadline& deadline) {
    bool slept = false;
    for (;;) {
        batch.make_room(size());
        if (take_end_lock(reader.lock, deadline)) {
            const Outcome outcome = get_many_locked(batch, slept);
            if (outcome == Outcome::shut_down) throw ShutDown();
            if (outcome == Outcome::done) return true;
        }
        if (!wait_for_end(writer, deadline, slept, [this] { return seems_readable(); })) {
            return false;
        }
    }
}

MULTIPROCESSING_INLINE QueueState::Outcome QueueState::get_many_locked(IncomingBatch& batch,
                                                                       bool slept) {
    const std::uint32_t seen_phase = phase.load(std::memory_order_acquire);  // see get_locked
    std::size_t count = 0;
    try {
        if (seen_phase != ended) count = take(reader, writer, batch);
    } catch (...) {
        reader.lock.release();
        throw;
    }
    if (count == 0) {
        reader.lock.release();
        return seen_phase == open ? Outcome::refused : Outcome::shut_down;
    }
    release_after_get(static_cast<int>((std::min<std::size_t>)(count, INT_MAX)), slept);
    return Outcome::done;
}

MULTIPROCESSING_INLINE void QueueState::wake(LineEnd& end, int count) noexcept {
    // release: pairs with the load in wait_for_end; who still reads the old number does not sleep.
    end.event.fetch_add(1, std::memory_order_release);
    futex_wake(end.event, count);
}

MULTIPROCESSING_INLINE void QueueState::end() {
    reader.lock.acquire_or_recover();
    if (phase.load(std::memory_order_relaxed) != ended) {
        taken.store(reader.number(reader.at()), std::memory_order_relaxed);
        phase.store(ended, std::memory_order_release);  // commits
    }
    reader.lock.release();
}

MULTIPROCESSING_INLINE void QueueState::drain() {
    reader.lock.acquire_or_recover();
    Position at(0);
    while (find_next(reader, writer, at)) discard(at);
    reader.lock.release();
}

MULTIPROCESSING_INLINE void QueueState::discard(Position at) noexcept {
    const Record record(at.place());
    const RecordHead head = record.head();
    const Offset payload = head.kind() == RecordKind::payload ? record.target() : 0;
    reader.move_to(at.next(record.behind(head.size())));
    if (payload != 0) destroy_payload(heap().at(payload));
}

MULTIPROCESSING_INLINE void QueueState::wake_joiners() noexcept {
    std::uint32_t w = all_finished.load(std::memory_order_seq_cst);  // see join
    while ((w & 1) != 0) {
        if (!all_finished.compare_exchange_weak(w, (w + 2) & ~1u)) continue;
        futex_wake(all_finished);
        break;
    }
}

}  // namespace multiprocessing::detail
