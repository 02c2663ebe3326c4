// multiprocessing/synchronize/gate.hpp
//
// How a thread waits until it may pass: the part that locks and semaphores have in common. It spins
// for a moment, then sleeps on a futex. A waiter that has slept for long passes before newcomers.
// Floor 2. Start at enter_gate.
//
// A gate is one 64-bit word. The kernel compares its lower half. Two of its bits are:
//   waiting    a thread may be asleep: the thread that opens the gate must wake one
//   starving   a thread has waited for `starving_after`: one that has not slept yet must not pass
// Neither bit says which thread it is. A waiter that is killed leaves at worst a bit behind. The
// bit costs the next threads a needless wake-up or a nap of `starving_after`. A wake-up that the
// killed waiter was given is not lost for good: every sleeper looks again by itself after a `nap`.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

constexpr std::chrono::milliseconds nap{50};
constexpr std::chrono::milliseconds starving_after{2};
constexpr std::chrono::milliseconds check_interval{250};  // between checks for dead processes
constexpr std::chrono::microseconds spin_time{25};

/// Calls `look` again and again for a short while, with growing pauses, until it returns true.
/// @returns what `look` returned last
template <class Look>
bool spin_until(Look look) {
    if (!spinning_helps()) return look();
    const auto end = Deadline::Clock::now() + spin_time;
    // The pauses leave the cache line with the holder. Without them the holder would have to fetch
    // the line back for every step it takes.
    for (int pauses = 4;; pauses = (std::min)(2 * pauses, 32)) {
        for (int i = 0; i < pauses; ++i) spin_pause();
        if (look()) return true;
        if (pauses == 32 && Deadline::Clock::now() >= end) return false;
    }
}

/// One thread's wait at a gate.
///
/// A Gate has the constants `waiting` and `starving`, and
///   - `std::atomic<std::uint64_t>& word`;
///   - `is_open(w)`: whether a thread may pass at this value of the word;
///   - `passed(w)`: the value after a thread has passed;
///   - `inspect(w, thoroughly)`: throws when nobody will open the gate any more; returns whether it
///     has changed the word. Thoroughly: it may make system calls.
template <class Gate>
class GateWait {
  public:
    GateWait(Gate& gate, const Deadline& deadline) : gate_(gate), deadline_(deadline) {}

    /// Waits at the gate.
    /// @returns whether the thread has passed; false when the deadline came first
    bool run() {
        if (!deadline_.has_passed() && spin_until([&] { return try_to_pass(false); })) return true;
        for (;;) {
            const bool late = deadline_.has_passed();
            const bool privileged = has_slept_ || late;
            if (try_to_pass(privileged)) return true;
            std::uint64_t w = gate_.word.load(std::memory_order_relaxed);
            if (may_pass(w, privileged)) continue;
            if (!gate_.is_open(w) && gate_.inspect(w, late || time_to_check())) continue;
            // A thread that has slept may have used up a wake-up that was meant for any sleeper.
            // It sets the mark before it leaves, so that the next opening wakes another one.
            if ((has_slept_ || !late) && !mark(w)) continue;
            if (late) return false;
            sleep(w);
        }
    }

  private:
    /// @param privileged whether to pass even if another thread starves
    [[nodiscard]] bool may_pass(std::uint64_t w, bool privileged) const noexcept {
        return gate_.is_open(w) && (privileged || (w & Gate::starving) == 0);
    }

    bool try_to_pass(bool privileged) {
        std::uint64_t w = gate_.word.load(std::memory_order_relaxed);
        while (may_pass(w, privileged)) {
            std::uint64_t next = gate_.passed(w);
            if (has_slept_) next |= Gate::waiting;  // others may be asleep
            if (is_starving_) next &= ~Gate::starving;
            // acquire: pairs with the release by the thread that opened the gate.
            if (gate_.word.compare_exchange_weak(w, next, std::memory_order_acquire,
                                                 std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }

    /// Notes in the word, and in `w`, that a thread sleeps.
    /// @returns false when the word has changed meanwhile
    bool mark(std::uint64_t& w) {
        const std::uint64_t seen = std::exchange(
            w, w | Gate::waiting | (is_starving_ ? Gate::starving : std::uint64_t{0}));
        std::uint64_t expected = seen;
        // relaxed: the mark publishes no data, and the kernel reads the word after it.
        return w == seen ||
               gate_.word.compare_exchange_strong(expected, w, std::memory_order_relaxed);
    }

    void sleep(std::uint64_t w) {
        if (!has_slept_) {
            since_ = Deadline::Clock::now();
            checked_ = since_ - check_interval + nap;  // the first check is after the first nap
            has_slept_ = true;
        }
        // The gate is open for a starving thread, but that one may be dead.
        const auto limit = gate_.is_open(w) ? starving_after : nap;
        const timespec time = deadline_.left_as_timespec(limit);
        futex_wait(futex_half(gate_.word), static_cast<std::uint32_t>(w), &time);
        is_starving_ = is_starving_ || Deadline::Clock::now() - since_ >= starving_after;
    }

    bool time_to_check() {
        if (!has_slept_) return false;
        const auto now = Deadline::Clock::now();
        if (now - checked_ < check_interval) return false;
        checked_ = now;
        return true;
    }

    Gate& gate_;
    const Deadline& deadline_;
    bool has_slept_ = false;
    bool is_starving_ = false;
    Deadline::Clock::time_point since_;
    Deadline::Clock::time_point checked_;
};

/// Waits until the gate is open, and passes it.
///
/// **Blocking**: until then, at most until the deadline. A signal neither ends nor prolongs the
/// wait.
/// @returns whether the caller has passed
template <class Gate>
[[gnu::noinline]] bool enter_gate(Gate gate, Deadline deadline) {
    return GateWait<Gate>(gate, deadline).run();
}

}  // namespace multiprocessing::detail
