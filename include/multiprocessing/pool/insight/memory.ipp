// multiprocessing/pool/insight/memory.ipp
//
// How a process's own memory is found: see memory.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/insight/memory.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::uint64_t own_memory_of(pid_t pid) noexcept {
    char path[32] = "/proc/self/statm";
    if (pid != 0) std::snprintf(path, sizeof path, "/proc/%d/statm", static_cast<int>(pid));
    char text[128] = {};
    (void)read_small_file(path, text, sizeof text - 1);  // stays empty where it is not there
    unsigned long long resident = 0;
    unsigned long long shared = 0;  // of files and of shared memory
    if (std::sscanf(text, "%*u %llu %llu", &resident, &shared) != 2) return 0;
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return (resident - (std::min)(shared, resident)) * page;
}

}  // namespace multiprocessing::detail
