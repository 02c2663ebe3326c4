// multiprocessing/process/descendants.hpp
//
// Kills what a process has started, as far as the system tells: its children and theirs, whatever
// programs they run by now, and the orphans of its process group. Floor 3.
// Start at kill_descendants. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <span>

namespace multiprocessing::detail {

/// Kills the descendants of stopped processes, and the members of the groups that they lead, but
/// not the processes themselves. It stops every descendant before it kills any: a running one could
/// start others meanwhile, and the children of a dead one can no longer be attributed. Does nothing
/// where there is no /proc.
/// @param roots the pids of the stopped processes
[[gnu::cold]] void kill_descendants(std::span<const pid_t> roots);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/descendants.ipp"
#endif
