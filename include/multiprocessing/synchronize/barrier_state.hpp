// multiprocessing/synchronize/barrier_state.hpp
//
// What the parties of a barrier share: who has come, which round it is, and how a dead party is
// noticed. Floor 2. Start at BarrierState::wait. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/synchronize/barrier_action.hpp"
#include "multiprocessing/synchronize/lock_word.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A process that waits, or waited in an earlier round and is expected again.
struct BarrierParty {
    std::atomic<std::uint64_t> process;  //  0  its ProcessId, packed; 0 none
    std::atomic<std::uint32_t> round;    //  8  the latest round that it came to
    std::uint32_t unused;                // 12
};
static_assert(sizeof(BarrierParty) == 16);

/// A barrier in the heap; its parties lie behind it. What happens to it is said by `state` alone,
/// in one store, made with the lock held:
///      0        broken
///      1 … 31   the number of the round; when it changes, those who came to the last one may go
///     32 … 62   how many have come
///     63        the last round ended without all
/// For those who wake up a round later, `lost` has what bit 63 was: it is stored before the round
/// that follows ends.
struct alignas(16) BarrierState : SharedObject {
    static constexpr std::uint64_t broken = 1;
    static constexpr std::uint64_t one_arrival = std::uint64_t{1} << 32;
    static constexpr std::uint64_t last_was_lost = std::uint64_t{1} << 63;
    static constexpr std::uint32_t round_mask = 0x7FFF'FFFF;
    static constexpr std::uint32_t far = std::uint32_t{1} << 29;  // rounds

    LockWord lock;                            // 24
    std::atomic<std::uint64_t> state{2};      // 32
    std::int64_t timeout;                     // 40  nanoseconds, the default of wait
    PortableAction portable_action;           // 48
    std::uint32_t parties;                    // 64
    std::atomic<std::uint32_t> lost{0};       // 68  the latest round that ended without all
    std::uint32_t has_action;                 // 72
    std::atomic<std::uint32_t> forgotten{0};  // 76  up to this round nobody is expected again

    BarrierState(int count, PortableAction action, bool any_action,
                 Timeout default_timeout) noexcept
        : SharedObject(ObjectKind::plain),
          timeout(default_timeout.nanoseconds().count()),
          portable_action(action),
          parties(static_cast<std::uint32_t>(count)),
          has_action(any_action) {}

    static std::uint32_t round_of(std::uint64_t s) noexcept {
        return static_cast<std::uint32_t>(s) >> 1;
    }
    static std::uint32_t arrivals(std::uint64_t s) noexcept {
        return static_cast<std::uint32_t>(s >> 32) & 0x7FFF'FFFF;
    }
    [[nodiscard]] BarrierParty* party() noexcept {
        return reinterpret_cast<BarrierParty*>(this + 1);
    }

    /// Waits for the others; the last to come runs `action` first.
    /// @returns a number from 0, in the order of coming
    template <class Action>
    int wait(const Deadline& deadline, Action action) {
        const Arrival mine = arrive(deadline);
        if (mine.number + 1 == parties) {
            try {
                action();
            } catch (...) {
                break_round(mine.round);
                throw;
            }
            release_all(mine.round);
        } else {
            await(mine, deadline);
        }
        return static_cast<int>(mine.number);
    }

    void abort() {
        lock.acquire_or_recover();
        state.store(state.load() | broken, std::memory_order_release);
        lock.release();
        wake();
    }

    void reset() {
        lock.acquire_or_recover();
        const std::uint64_t s = state.load();
        const bool is_fresh = arrivals(s) == 0 && (s & broken) == 0;
        if (!is_fresh) begin_round(s, last_was_lost);
        const std::uint32_t last = is_fresh ? round_of(s) - 1 : round_of(s);
        forgotten.store(last & round_mask, std::memory_order_relaxed);
        lock.release();
        wake();
    }

  private:
    struct Arrival {
        std::uint32_t round;
        std::uint32_t number;
        std::uint32_t place;  // among the parties
    };

    /// Ends the round of a state. With the lock.
    /// @param how last_was_lost, or 0 when all have come
    void begin_round(std::uint64_t s, std::uint64_t how) noexcept {
        const std::uint32_t round = round_of(s);
        if ((s & last_was_lost) != 0) lost.store((round - 1) & round_mask);
        // The distance of two rounds is known up to half of their range.
        if (((round - lost.load()) & round_mask) > far) lost.store((round - far) & round_mask);
        if (((round - forgotten.load()) & round_mask) > far) {
            forgotten.store((round - far) & round_mask);
        }
        const std::uint64_t next = std::uint64_t{(round + 1) & round_mask} << 1;
        state.store(next | how, std::memory_order_release);  // commits: lets all go
    }

    /// Whether a round is not later than another one.
    static bool is_up_to(std::uint32_t round, std::uint32_t other) noexcept {
        return ((other - round) & round_mask) < round_mask / 2;
    }

    /// Returns the process in a place that has come, or is expected again; 0 none.
    [[nodiscard]] std::uint64_t expected(std::uint32_t place) noexcept {
        const BarrierParty& who = party()[place];
        const bool is_forgotten = is_up_to(who.round.load(std::memory_order_relaxed),
                                           forgotten.load(std::memory_order_relaxed));
        return is_forgotten ? 0 : who.process.load(std::memory_order_relaxed);
    }

    /// Whether the round, which is over, ended without all.
    [[nodiscard]] bool was_lost(std::uint32_t round) const noexcept {
        const std::uint64_t s = state.load(std::memory_order_acquire);
        if (round_of(s) == round) return true;  // it was broken
        if (round_of(s) == ((round + 1) & round_mask)) return (s & last_was_lost) != 0;
        return is_up_to(round, lost.load(std::memory_order_relaxed));
    }

    void wake() noexcept { futex_wake(futex_half(state)); }

    Arrival arrive(const Deadline& deadline) {
        for (;;) {
            lock.acquire_or_recover();
            const std::uint64_t s = state.load(std::memory_order_relaxed);
            if ((s & broken) == 0 && arrivals(s) < parties) {
                const Arrival mine{round_of(s), arrivals(s), take_place(round_of(s))};
                // Commits. Killed before it, the place names a dead process, which breaks the
                // round.
                state.store(s + one_arrival, std::memory_order_release);
                lock.release();
                return mine;
            }
            lock.release();
            if ((s & broken) != 0) throw BrokenBarrierError();
            // All have come, and the last of them runs the action: this is one for the next round.
            if (deadline.has_passed()) break_round(round_of(s));
            const timespec time = deadline.left_as_timespec(check_interval);
            const bool timed_out =
                futex_wait(futex_half(state), static_cast<std::uint32_t>(s), &time);
            if (timed_out && is_dead_party(round_of(s))) break_round(round_of(s));
        }
    }

    /// Puts this process among the parties: where it was in the last round, if it can, so that one
    /// that does not come again is noticed; else in the place of none, of a dead one, of any.
    std::uint32_t take_place(std::uint32_t round) {
        const std::uint64_t me = Family::pack(self());
        std::uint32_t best = 0;
        int best_rank = -1;
        for (std::uint32_t i = 0; i < parties && best_rank < 3; ++i) {
            const std::uint64_t who = expected(i);
            if (who != 0 && party()[i].round.load(std::memory_order_relaxed) == round) continue;
            const int rank = who == me                             ? 3
                             : who == 0                            ? 2
                             : is_dead(Family::unpack(who), false) ? 1
                                                                   : 0;
            if (rank > best_rank) {
                best = i;
                best_rank = rank;
            }
        }
        party()[best].process.store(me, std::memory_order_relaxed);
        party()[best].round.store(round, std::memory_order_relaxed);
        return best;
    }

    /// Sleeps until the round is over. @throws BrokenBarrierError when it ended without all
    void await(const Arrival& mine, const Deadline& deadline) {
        // acquire, here and below: pairs with the stores to state, for what the others did before.
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
            // One that is expected may be replaced by another: it has until the next look.
            if (missing == Missing::waiting || looks_without >= 2) break_round(mine.round);
        }
        if (was_lost(mine.round)) throw BrokenBarrierError();
    }

    void release_all(std::uint32_t round) {
        lock.acquire_or_recover();
        const std::uint64_t s = state.load(std::memory_order_relaxed);
        const bool complete = round_of(s) == round && (s & broken) == 0;
        if (complete) begin_round(s, 0);
        lock.release();
        if (!complete) throw BrokenBarrierError();
        wake();
    }

    void break_round(std::uint32_t round) {
        lock.acquire_or_recover();
        const std::uint64_t s = state.load(std::memory_order_relaxed);
        if (round_of(s) == round) state.store(s | broken, std::memory_order_release);
        lock.release();
        wake();
    }

    enum class Missing { none, expected, waiting };

    /// Looks whether those between this party and the next one that waits, and that one, are alive:
    /// so each is looked after by one other, however many there are.
    Missing look_after(const Arrival& mine) {
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

    bool is_dead_party(std::uint32_t round) {
        for (std::uint32_t i = 0; i < parties; ++i) {
            const ProcessId id = Family::unpack(party()[i].process.load(std::memory_order_relaxed));
            const bool came = party()[i].round.load(std::memory_order_relaxed) == round;
            if (id && came && is_dead(id, true)) return true;
        }
        return false;
    }

    /// Returns whether a process has ended without leaving in order. One that has left in order has
    /// done its part, and somebody else may come instead.
    static bool was_killed(ProcessId id) {
        if (!is_dead(id, true)) return false;
        const ProcessRecord& record = heap().family()[id];
        const bool said_nothing = record.exit_status.load(std::memory_order_relaxed) < 0;
        return said_nothing && ProcessRecord::generation_of(
                                   record.state.load(std::memory_order_acquire)) == id.generation;
    }
};
static_assert(sizeof(BarrierState) == 80);

}  // namespace multiprocessing::detail
