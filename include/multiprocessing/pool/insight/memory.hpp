// multiprocessing/pool/insight/memory.hpp
//
// How much memory a process has for itself. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace multiprocessing::detail {

/// Returns how many bytes of memory a process has for itself: its heap and its stacks, as far as
/// they are in memory, but neither files nor the family's heap. Under fork, pages that it still
/// shares with its parent count too.
/// @param pid 0: this process
/// @returns 0 when the process has ended, or there is no /proc
/// @par Source proc(5), /proc/pid/statm
[[gnu::cold]] std::uint64_t own_memory_of(pid_t pid) noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/insight/memory.ipp"
#endif
