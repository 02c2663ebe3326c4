// multiprocessing/detail/cpu.hpp
//
// How many cores this process may use, how a thread moves among them, and a core's count of ticks.
// Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// Returns the number of cores in this process's affinity mask, at least 1.
int affinity_cpu_count();

/// Returns a count that grows with time at its own rate, and is the same on all cores. Reading it
/// takes some nanoseconds and no memory. A clock needs cache lines that may have left the caches.
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    std::uint64_t count = 0;
    asm volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#endif
}

/// Returns a bit for the core that this thread runs on. There are more cores than bits, so several
/// cores may share a bit.
inline std::uint32_t mark_of_this_core() noexcept {
    return std::uint32_t{1} << static_cast<unsigned>(::sched_getcpu()) % 32;
}

/// Moves this thread to one of the cores that it may run on. The kernel may move it again later.
/// @param number which of these cores; the count starts again after the last one
/// @returns the core; -1 if the thread stays where it is, e.g. with more than 1024 cores
int go_to_core(std::uint32_t number) noexcept;

/// Returns the path of this process's control group below `controller` ("" for cgroup v2), or "" if
/// there is none.
std::string cgroup_path(const char* controller);

/// Returns the number at the beginning of a control group's file, or `otherwise` if there is none.
double cgroup_number(const std::string& path, double otherwise);

/// Returns how many cores this process can keep busy: those in its affinity mask, but not more than
/// its control group's quota allows.
int usable_cpu_count();

/// A fact that takes system calls to find out. It is looked up on first use. A static variable in a
/// function would have a lock, and a fork in another thread could leave it locked in the child.
class CachedFact {
  public:
    template <class LookUp>
    bool get(LookUp look_up) {
        const int known = value_.load(std::memory_order_relaxed);
        if (known != unknown) return known == 1;
        const bool fact = look_up();
        value_.store(fact ? 1 : 0, std::memory_order_relaxed);
        return fact;
    }

  private:
    static constexpr int unknown = -1;
    std::atomic<int> value_{unknown};
};

/// Returns whether it makes sense to spin for a moment before sleeping. With one usable core it
/// does not: the thread that is waited for cannot run meanwhile.
inline bool spinning_helps() noexcept {
    static constinit CachedFact fact;
    try {
        return fact.get([] { return usable_cpu_count() > 1; });
    } catch (...) {  // no memory to find out now
        return false;
    }
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/cpu.ipp"
#endif
