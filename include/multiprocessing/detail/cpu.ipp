// multiprocessing/detail/cpu.ipp
//
// Affinity and quotas: see cpu.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/cpu.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE int affinity_cpu_count() {
    // The kernel refuses a mask that is smaller than its own (EINVAL). The size of its own depends
    // on how it was built. So the mask grows until it fits. See sched_getaffinity(2), "Handling
    // systems with large CPU".
    for (int cores = 1024; cores <= 1 << 20; cores *= 2) {
        cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(cores));
        if (set == nullptr) break;
        const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(cores));
        const int error = ::sched_getaffinity(0, size, set) == 0 ? 0 : errno;
        const int count = error == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (error == 0) return (std::max)(count, 1);
        if (error != EINVAL) break;
    }
    return 1;
}

MULTIPROCESSING_INLINE int go_to_core(std::uint32_t number) noexcept {
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

MULTIPROCESSING_INLINE std::string cgroup_path(const char* controller) {
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

MULTIPROCESSING_INLINE double cgroup_number(const std::string& path, double otherwise) {
    char text[64];
    const std::size_t size = read_small_file(path.c_str(), text, sizeof text - 1);
    text[size] = '\0';
    char* end = text;
    const double number = std::strtod(text, &end);
    return end == text ? otherwise : number;
}

/// Returns how many cores' time the control group grants, or a large number if it sets no limit.
MULTIPROCESSING_INLINE double cgroup_cpu_limit() {
    constexpr double none = 1e9;
    double limit = none;
    for (std::string path = cgroup_path("");; path.resize(path.rfind('/'))) {  // then its parents
        char text[64];
        const std::size_t size = read_small_file(
            joined({"/sys/fs/cgroup", path, "/cpu.max"}).c_str(), text, sizeof text - 1);
        text[size] = '\0';
        double quota = 0;
        double period = 0;
        // Without a limit it is "max 100000". Then the first number does not parse.
        if (std::sscanf(text, "%lf %lf", &quota, &period) == 2 && period > 0) {
            limit = (std::min)(limit, quota / period);
        }
        if (path.find('/') == path.npos) break;
    }
    const std::string v1 = joined({"/sys/fs/cgroup/cpu", cgroup_path("cpu")});
    const double quota = cgroup_number(joined({v1, "/cpu.cfs_quota_us"}), -1);
    const double period = cgroup_number(joined({v1, "/cpu.cfs_period_us"}), -1);
    return quota > 0 && period > 0 ? (std::min)(limit, quota / period) : limit;
}

MULTIPROCESSING_INLINE int usable_cpu_count() {
    const double limit = (std::max)(1.0, (std::min)(1e6, cgroup_cpu_limit() + 0.5));
    return (std::min)(affinity_cpu_count(), static_cast<int>(limit));
}

}  // namespace multiprocessing::detail
