// multiprocessing/pool/board/own_memory.ipp
//
// How a process's memory is counted: see own_memory.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/board/own_memory.hpp"

#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::uint64_t private_memory(pid_t pid) noexcept {
    char path[32] = "/proc/self/statm";
    if (pid != 0) std::snprintf(path, sizeof path, "/proc/%d/statm", static_cast<int>(pid));
    char text[256];
    const std::size_t size = read_small_file(path, text, sizeof text - 1);
    text[size] = '\0';
    // In pages: all that is mapped, what of it is in memory, and what of that is of files or
    // shared, see proc(5). The difference of the last two is the kernel's RssAnon.
    char* field = text;
    (void)std::strtoull(field, &field, 10);
    const std::uint64_t resident = std::strtoull(field, &field, 10);
    const std::uint64_t shared = std::strtoull(field, &field, 10);
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return resident > shared ? (resident - shared) * page : 0;
}

}  // namespace multiprocessing::detail
