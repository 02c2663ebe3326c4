// multiprocessing/detail/cpu.hpp
//
// How many cores the machine has, how many of them this process may use, and how it moves among
// them; a core's count of ticks. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// Returns the cores in this process's affinity mask, at least 1.
inline int affinity_cpu_count() {
    // The kernel refuses a mask smaller than its own (EINVAL), whose size depends on how it was
    // built: grow until it fits. See sched_getaffinity(2), "Handling systems with large CPU".
    for (int cores = 1024; cores <= 1 << 20; cores *= 2) {
        cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(cores));
        if (set == nullptr) break;
        const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(cores));
        const int error = ::sched_getaffinity(0, size, set) == 0 ? 0 : errno;
        const int count = error == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (error == 0) return std::max(count, 1);
        if (error != EINVAL) break;
    }
    return 1;
}

/// Returns a count that grows with time, the same on all cores, at a rate of its own: it takes some
/// nanoseconds and no memory, where a clock needs lines that may have left the caches.
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    std::uint64_t count = 0;
    asm volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#endif
}

/// Returns a bit for the core that this thread runs on; there are more cores than bits.
inline std::uint32_t mark_of_this_core() noexcept {
    return std::uint32_t{1} << static_cast<unsigned>(::sched_getcpu()) % 32;
}

/// Moves this thread to one of the cores that it may run on. The kernel is free to move it on.
/// @param number of the core among them, counted round
/// @returns the core; -1 when it stays where it is, e.g. with more than 1024 cores
inline int go_to_core(std::uint32_t number) noexcept {
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return -1;
    const auto count = static_cast<std::uint32_t>(CPU_COUNT(&allowed));
    if (count < 2) return -1;
    int core = -1;
    for (std::uint32_t left = number % count + 1; left != 0; --left) {
        do ++core;
        while (!CPU_ISSET(core, &allowed));
    }
    cpu_set_t chosen;
    CPU_ZERO(&chosen);
    CPU_SET(core, &chosen);
    if (::sched_setaffinity(0, sizeof chosen, &chosen) != 0) return -1;
    ::sched_setaffinity(0, sizeof allowed, &allowed);
    return core;
}

/// Returns the path of this process's control group below `controller` ("" for cgroup v2), or "".
inline std::string cgroup_path(const char* controller) {
    char text[4096];
    const std::size_t size = read_small_file("/proc/self/cgroup", text, sizeof text - 1);
    text[size] = '\0';
    std::string wanted(1, ',');
    wanted.append(controller).append(1, ',');
    char* rest = text;
    for (char* line = ::strtok_r(rest, "\n", &rest); line; line = ::strtok_r(rest, "\n", &rest)) {
        char* names = std::strchr(line, ':');
        char* path = names ? std::strchr(names + 1, ':') : nullptr;
        if (!path) continue;
        std::string list(names, path);  // ":cpu,cpuacct"
        list[0] = ',';
        list += ',';
        const bool found = *controller == '\0' ? list == ",," : list.find(wanted) != list.npos;
        if (found) return path + 1;
    }
    return "";
}

/// Returns the number at the beginning of a control group's file; `otherwise` when there is none.
inline double cgroup_number(const std::string& path, double otherwise) {
    char text[64];
    const std::size_t size = read_small_file(path.c_str(), text, sizeof text - 1);
    text[size] = '\0';
    char* end = text;
    const double number = std::strtod(text, &end);
    return end == text ? otherwise : number;
}

/// Returns the cores' worth of time that the control group grants, or a large number.
inline double cgroup_cpu_limit() {
    constexpr double none = 1e9;
    double limit = none;
    for (std::string path = cgroup_path("");; path.resize(path.rfind('/'))) {  // and its parents
        char text[64];
        const std::size_t size =
            read_small_file(("/sys/fs/cgroup" + path + "/cpu.max").c_str(), text, sizeof text - 1);
        text[size] = '\0';
        double quota = 0;
        double period = 0;
        // "max 100000" when there is no limit: the first number then does not parse.
        if (std::sscanf(text, "%lf %lf", &quota, &period) == 2 && period > 0) {
            limit = std::min(limit, quota / period);
        }
        if (path.find('/') == path.npos) break;
    }
    const std::string v1 = "/sys/fs/cgroup/cpu" + cgroup_path("cpu");
    const double quota = cgroup_number(v1 + "/cpu.cfs_quota_us", -1);
    const double period = cgroup_number(v1 + "/cpu.cfs_period_us", -1);
    return quota > 0 && period > 0 ? std::min(limit, quota / period) : limit;
}

/// Returns the cores this process can keep busy: its affinity, cut by its control group's quota.
inline int usable_cpu_count() {
    const double limit = std::max(1.0, std::min(1e6, cgroup_cpu_limit() + 0.5));
    return std::min(affinity_cpu_count(), static_cast<int>(limit));
}

/// A fact that takes system calls to find out, looked up on first use. Unlike a static variable in
/// a function it has no lock that a fork in another thread could leave locked in the child.
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

/// Returns whether it makes sense to spin for a moment before sleeping: with one usable core the
/// one waited for cannot run meanwhile.
inline bool spinning_helps() {
    static constinit CachedFact fact;
    return fact.get([] { return usable_cpu_count() > 1; });
}

}  // namespace multiprocessing::detail
