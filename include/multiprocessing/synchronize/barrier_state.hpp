// multiprocessing/synchronize/barrier_state.hpp
//
// What the parties of a barrier share: who has come, which round it is, and how a dead party is
// noticed. Floor 2. Start at BarrierState::wait. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "multiprocessing/heap/object.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
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

/// A barrier in the heap; its parties lie behind it. `state` alone says what happens to it. Each
/// change is one store, made with the lock held:
///      0        broken
///      1 … 31   the number of the round; when it changes, those who came to the last one may go
///     32 … 62   how many have come
///     63        the last round ended without all
/// A party that wakes up a round too late finds in `lost` what bit 63 was: it is stored there
/// before the following round ends.
struct alignas(16) BarrierState : SharedObject {
    static constexpr std::uint64_t broken = 1;
    static constexpr std::uint64_t one_arrival = std::uint64_t{1} << 32;
    static constexpr std::uint64_t last_was_lost = std::uint64_t{1} << 63;
    static constexpr std::uint32_t round_mask = 0x7FFF'FFFF;
    static constexpr std::uint32_t far = std::uint32_t{1} << 29;  // rounds

    LockWord lock;                            // 24
    std::atomic<std::uint64_t> state{2};      // 32
    std::int64_t timeout;                     // 40  nanoseconds, the default of wait
    Offset portable_action;                   // 48  a message, which is ours; or 0
    std::uint32_t parties;                    // 56
    std::atomic<std::uint32_t> lost{0};       // 60  the latest round that ended without all
    std::uint32_t has_action;                 // 64
    std::atomic<std::uint32_t> forgotten{0};  // 68  up to this round nobody is expected again

    static constexpr ObjectKind object_kind = ObjectKind::barrier;  // if it has a message

    /// @param action the message of the action, which the state owns from now on; or 0
    BarrierState(int count, Offset action, bool any_action, Timeout default_timeout) noexcept
        : SharedObject(action != 0 ? object_kind : ObjectKind::plain),
          timeout{default_timeout.nanoseconds().count()},
          portable_action(action),
          parties(static_cast<std::uint32_t>(count)),
          has_action(any_action) {}

    /// Frees the action's message.
    void destroy() noexcept;

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
    int wait(const Deadline& deadline, Action action, bool (*has_left)() = nullptr) {
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
            await(mine, deadline, has_left);
        }
        return static_cast<int>(mine.number);
    }

    void abort();
    void reset();

  private:
    struct Arrival {
        std::uint32_t round;
        std::uint32_t number;
        std::uint32_t place;  // among the parties
    };
    enum class Missing { none, expected, waiting };

    /// Ends the round of a state. @pre the lock is held
    /// @param how last_was_lost, or 0 when all have come
    void begin_round(std::uint64_t s, std::uint64_t how) noexcept;

    /// Returns the process in a place that has come, or is expected again; 0 none.
    [[nodiscard]] std::uint64_t expected(std::uint32_t place) noexcept;

    /// Returns whether the round, which is over, ended without all.
    [[nodiscard]] bool was_lost(std::uint32_t round) const noexcept;

    void wake() noexcept;

    Arrival arrive(const Deadline& deadline);

    /// Puts this process among the parties, in its place of the last round if possible: so a party
    /// that does not come again is noticed. Otherwise it takes an empty place, or that of a dead
    /// process, or any.
    std::uint32_t take_place(std::uint32_t round);

    /// Sleeps until the round is over. @throws BrokenBarrierError when it ended without all
    void await(const Arrival& mine, const Deadline& deadline, bool (*has_left)());

    void release_all(std::uint32_t round);
    void break_round(std::uint32_t round);

    /// Checks whether the next party that waits, and those between it and this one, are alive. So
    /// each party is checked by one other, however many there are.
    Missing look_after(const Arrival& mine);

    bool is_dead_party(std::uint32_t round);
};
static_assert(sizeof(BarrierState) == 80);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/synchronize/barrier_state.ipp"
#endif
