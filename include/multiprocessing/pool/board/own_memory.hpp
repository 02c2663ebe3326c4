// multiprocessing/pool/board/own_memory.hpp
//
// How much memory of its own a worker has: private pages in memory, without files and without the
// shared heap. What a forked process has inherited from its parent is subtracted by the caller.
// Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace multiprocessing::detail {

/// Returns how many bytes of private memory a process has, also inherited ones; 0 where nobody can
/// tell: without /proc, or when the process has ended. @param pid 0: this process
[[nodiscard]] std::uint64_t private_memory(pid_t pid) noexcept;

/// Returns the memory that has come after `inherited`, in bytes.
[[nodiscard]] inline std::uint64_t own_memory(pid_t pid, std::uint64_t inherited) noexcept {
    const std::uint64_t now = private_memory(pid);
    return now > inherited ? now - inherited : 0;
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/board/own_memory.ipp"
#endif
