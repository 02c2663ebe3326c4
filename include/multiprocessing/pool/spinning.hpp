// multiprocessing/pool/spinning.hpp
//
// How long to look for something before sleeping until it comes: as long as lately has paid off. A
// wake-up takes tens of microseconds, a look at a shared word under one; but where all cores are
// busy, a thread that looks keeps the one that it waits for from running. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/futex.hpp"

namespace multiprocessing::detail {

/// Returns the time on the monotonic clock, in nanoseconds. It is the same for all processes.
inline std::uint64_t monotonic_now() noexcept {
    // As std::chrono::steady_clock, without the detour through the standard library's code, which
    // a process that has just woken up finds in no cache.
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
}

/// Learns how long to spin. Threads may share one; what they lose of each other's lessons, they
/// learn again.
class SpinBudget {
  public:
    /// Spins until `has_come()`. @returns whether it has, false when it is time to sleep
    template <class HasCome>
    bool spin(HasCome has_come) noexcept {
        if (!spinning_helps()) return has_come();
        const std::uint64_t begin = monotonic_now();
        const std::uint64_t budget = next_budget();
        for (;;) {
            for (int look = 0; look < looks_a_clock; ++look) {
                if (has_come()) return learn(10 * (monotonic_now() - begin)), true;
                spin_pause();
            }
            if (monotonic_now() - begin >= budget) return learn(0), false;
        }
    }

  private:
    // nanoseconds; longer than a thread takes to wake up on a core that is idle: when each side
    // slept before the other was awake, both would go on sleeping for ever.
    static constexpr std::uint64_t least = 12'000;
    static constexpr std::uint64_t most = 50'000;  // about what a wake-up costs
    static constexpr std::uint32_t trial = 64;     // so often a spin may take as long as the most
    static constexpr int looks_a_clock = 16;

    std::uint64_t next_budget() noexcept {
        const std::uint32_t turn = turns_.load(std::memory_order_relaxed);
        turns_.store(turn + 1, std::memory_order_relaxed);
        return turn % trial == 0 ? most : budget_.load(std::memory_order_relaxed);
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
