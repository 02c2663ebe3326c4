// multiprocessing/detail/spinning.hpp
//
// How long a thread spins before it sleeps: as long as spinning has paid off lately. A wake-up
// takes tens of microseconds, a look at a shared word less than one. But where all cores are busy,
// a thread that spins keeps the one that it waits for from running. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/futex.hpp"

namespace multiprocessing::detail {

/// Returns the time on the monotonic clock, in nanoseconds. It is the same for all processes.
inline std::uint64_t monotonic_now() noexcept {
    // As std::chrono::steady_clock, but not by way of the standard library's code, which a process
    // that has just woken up finds in no cache.
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
}

/// Learns how long to spin. Threads may share one. They may overwrite each other's lessons, but
/// they learn them again.
class SpinBudget {
  public:
    /// Spins until `has_come()`. @returns whether it has, false when it is time to sleep
    /// @param pauses between two looks, at last. They leave the cache line with the thread that is
    ///               waited for, which would otherwise fetch it back for every step it takes
    template <class HasCome>
    bool spin(HasCome has_come, int pauses = 1) noexcept(noexcept(has_come())) {
        if (!spinning_helps()) return has_come();
        // What comes at once costs no look at the clock, and teaches nothing.
        for (int look = 0, length = 4; look < looks_at_once; ++look) {
            length = (std::min)(length, pauses);
            for (int i = 0; i < length; ++i) spin_pause();
            if (has_come()) return true;
            length *= 2;
        }
        const std::uint64_t begin = monotonic_now();
        const std::uint64_t budget = next_budget();
        for (;;) {
            for (int look = 0; look < looks_a_clock / pauses + 1; ++look) {
                for (int i = 0; i < pauses; ++i) spin_pause();
                if (has_come()) return learn(10 * (monotonic_now() - begin)), true;
            }
            if (monotonic_now() - begin >= budget) return learn(0), false;
        }
    }

  private:
    // nanoseconds; longer than a thread takes to wake up on an idle core. If each side fell asleep
    // before the other was awake, neither would ever find the other awake again.
    static constexpr std::uint64_t least = 12'000;
    static constexpr std::uint64_t most = 200'000;  // as long as a few wake-ups
    // So many spins in a row, of so many, may last for `most`. A single one would not do where both
    // sides sleep: each of them has to find that it pays before the other gives it up again.
    static constexpr std::uint32_t trials = 8;
    static constexpr std::uint32_t trials_of = 512;
    static constexpr int looks_at_once = 4;
    static constexpr int looks_a_clock = 16;

    std::uint64_t next_budget() noexcept {
        const std::uint32_t turn = turns_.load(std::memory_order_relaxed);
        turns_.store(turn + 1, std::memory_order_relaxed);
        return turn % trials_of < trials ? most : budget_.load(std::memory_order_relaxed);
    }
    [[gnu::hot]] void learn(std::uint64_t lesson) noexcept {
        const std::uint64_t budget = (3 * budget_.load(std::memory_order_relaxed) + lesson) / 4;
        budget_.store(budget < least  ? least
                      : budget > most ? most
                                      : budget,
                      std::memory_order_relaxed);
    }

    std::atomic<std::uint64_t> budget_{20'000};
    std::atomic<std::uint32_t> turns_{0};
};

}  // namespace multiprocessing::detail
