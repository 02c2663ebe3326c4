// multiprocessing/synchronize/barrier_state.ipp
//
// How the parties of a barrier come, wait, and notice a dead one: see barrier_state.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/synchronize/barrier_state.hpp"

#include <cstddef>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/burial.hpp"
#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"
#include "multiprocessing/synchronize/gate.hpp"

namespace multiprocessing::detail {

/// Returns whether a round is not later than another one.
MULTIPROCESSING_INLINE bool is_up_to(std::uint32_t round, std::uint32_t other) noexcept {
    return ((other - round) & BarrierState::round_mask) < BarrierState::round_mask / 2;
}

/// Returns whether a process has ended without leaving in order. One that has left in order has
/// done its part, and another process may come instead.
MULTIPROCESSING_INLINE bool was_killed(ProcessId id) {
    if (!is_dead(id, true)) return false;
    const ProcessRecord& record = heap().family()[id];
    const bool said_nothing = record.exit_status.load(std::memory_order_relaxed) < 0;
    return said_nothing && ProcessRecord::generation_of(
                               record.state.load(std::memory_order_acquire)) == id.generation;
}

MULTIPROCESSING_INLINE void BarrierState::destroy() noexcept {
    destroy_payload(heap().at<std::byte>(portable_action));
}

MULTIPROCESSING_INLINE void BarrierState::abort() {
    lock.acquire_or_recover();
    state.store(state.load() | broken, std::memory_order_release);
    lock.release();
    wake();
}

MULTIPROCESSING_INLINE void BarrierState::reset() {
    lock.acquire_or_recover();
    const std::uint64_t s = state.load();
    const bool is_fresh = arrivals(s) == 0 && (s & broken) == 0;
    if (!is_fresh) begin_round(s, last_was_lost);
    const std::uint32_t last = is_fresh ? round_of(s) - 1 : round_of(s);
    forgotten.store(last & round_mask, std::memory_order_relaxed);
    lock.release();
    wake();
}

MULTIPROCESSING_INLINE void BarrierState::begin_round(std::uint64_t s, std::uint64_t how) noexcept {
    const std::uint32_t round = round_of(s);
    if ((s & last_was_lost) != 0) lost.store((round - 1) & round_mask);
    // The distance of two rounds is only known up to half of their range.
    if (((round - lost.load()) & round_mask) > far) lost.store((round - far) & round_mask);
    if (((round - forgotten.load()) & round_mask) > far) {
        forgotten.store((round - far) & round_mask);
    }
    const std::uint64_t next = std::uint64_t{(round + 1) & round_mask} << 1;
    state.store(next | how, std::memory_order_release);  // commits: lets all go
}

MULTIPROCESSING_INLINE std::uint64_t BarrierState::expected(std::uint32_t place) noexcept {
    const BarrierParty& who = party()[place];
    const bool is_forgotten = is_up_to(who.round.load(std::memory_order_relaxed),
                                       forgotten.load(std::memory_order_relaxed));
    return is_forgotten ? 0 : who.process.load(std::memory_order_relaxed);
}

MULTIPROCESSING_INLINE bool BarrierState::was_lost(std::uint32_t round) const noexcept {
    const std::uint64_t s = state.load(std::memory_order_acquire);
    if (round_of(s) == round) return true;  // it was broken
    if (round_of(s) == ((round + 1) & round_mask)) return (s & last_was_lost) != 0;
    return is_up_to(round, lost.load(std::memory_order_relaxed));
}

MULTIPROCESSING_INLINE void BarrierState::wake() noexcept { futex_wake(futex_half(state)); }

MULTIPROCESSING_INLINE BarrierState::Arrival BarrierState::arrive(const Deadline& deadline) {
    for (;;) {
        lock.acquire_or_recover();
        const std::uint64_t s = state.load(std::memory_order_relaxed);
        if ((s & broken) == 0 && arrivals(s) < parties) {
            const Arrival mine{round_of(s), arrivals(s), take_place(round_of(s))};
            // Commits. If this process is killed before this store, the place names a dead process,
            // which breaks the round.
            state.store(s + one_arrival, std::memory_order_release);
            lock.release();
            return mine;
        }
        lock.release();
        if ((s & broken) != 0) throw BrokenBarrierError();
        // All have come, and the last of them runs the action. This thread waits for the next
        // round.
        if (deadline.has_passed()) break_round(round_of(s));
        const timespec time = deadline.left_as_timespec(check_interval);
        const bool timed_out = futex_wait(futex_half(state), static_cast<std::uint32_t>(s), &time);
        if (timed_out && is_dead_party(round_of(s))) break_round(round_of(s));
    }
}

MULTIPROCESSING_INLINE std::uint32_t BarrierState::take_place(std::uint32_t round) {
    const std::uint64_t me = Family::pack(self());
    std::uint32_t best = 0;
    int best_rank = -1;
    for (std::uint32_t i = 0; i < parties && best_rank < 3; ++i) {
        const std::uint64_t who = expected(i);
        if (who != 0 && party()[i].round.load(std::memory_order_relaxed) == round) continue;
        const int rank = who == me ? 3 : who == 0 ? 2 : is_dead(Family::unpack(who), false) ? 1 : 0;
        if (rank > best_rank) {
            best = i;
            best_rank = rank;
        }
    }
    party()[best].process.store(me, std::memory_order_relaxed);
    party()[best].round.store(round, std::memory_order_relaxed);
    return best;
}

MULTIPROCESSING_INLINE void BarrierState::await(const Arrival& mine, const Deadline& deadline,
                                                bool (*has_left)()) {
    // acquire, here and below: pairs with the stores to `state`, to see what the others did before.
    const auto over = [&](std::uint64_t s) {
        return round_of(s) != mine.round || (s & broken) != 0;
    };
    if (!deadline.has_passed()) {
        spin_until([&] { return over(state.load(std::memory_order_acquire)); });
    }
    int looks_without = 0;
    for (;;) {
        const std::uint64_t s = state.load(std::memory_order_acquire);
        if (over(s)) break;
        if (deadline.has_passed()) {
            break_round(mine.round);
            continue;
        }
        const timespec time = deadline.left_as_timespec(check_interval);
        if (!futex_wait(futex_half(state), static_cast<std::uint32_t>(s), &time)) continue;
        const Missing missing = look_after(mine);
        looks_without = missing == Missing::expected ? looks_without + 1 : 0;
        // Another process may come in the place of an expected one. It has time until the next
        // check.
        if (missing == Missing::waiting || looks_without >= 2 ||
            (has_left != nullptr && has_left())) {
            break_round(mine.round);
        }
    }
    if (was_lost(mine.round)) throw BrokenBarrierError();
}

MULTIPROCESSING_INLINE void BarrierState::release_all(std::uint32_t round) {
    lock.acquire_or_recover();
    const std::uint64_t s = state.load(std::memory_order_relaxed);
    const bool complete = round_of(s) == round && (s & broken) == 0;
    if (complete) begin_round(s, 0);
    lock.release();
    if (!complete) throw BrokenBarrierError();
    wake();
}

MULTIPROCESSING_INLINE void BarrierState::break_round(std::uint32_t round) {
    lock.acquire_or_recover();
    const std::uint64_t s = state.load(std::memory_order_relaxed);
    if (round_of(s) == round) state.store(s | broken, std::memory_order_release);
    lock.release();
    wake();
}

MULTIPROCESSING_INLINE BarrierState::Missing BarrierState::look_after(const Arrival& mine) {
    Missing missing = Missing::none;
    for (std::uint32_t i = 1; i < parties; ++i) {
        const std::uint32_t place = (mine.place + i) % parties;
        const BarrierParty& other = party()[place];
        const ProcessId id = Family::unpack(expected(place));
        if (!id) continue;
        if (other.round.load(std::memory_order_relaxed) == mine.round) {
            return is_dead(id, true) ? Missing::waiting : missing;
        }
        if (was_killed(id)) missing = Missing::expected;
    }
    return missing;
}

MULTIPROCESSING_INLINE bool BarrierState::is_dead_party(std::uint32_t round) {
    for (std::uint32_t i = 0; i < parties; ++i) {
        const ProcessId id = Family::unpack(party()[i].process.load(std::memory_order_relaxed));
        const bool came = party()[i].round.load(std::memory_order_relaxed) == round;
        if (id && came && is_dead(id, true)) return true;
    }
    return false;
}

}  // namespace multiprocessing::detail
