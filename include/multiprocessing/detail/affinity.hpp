// multiprocessing/detail/affinity.hpp
//
// On which cores a process may run. Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// Returns the numbers of the cores that this thread may run on, in order; none where the system
/// does not tell.
[[gnu::cold]] std::vector<int> cores_of_this_thread();

/// Has this thread, and what it starts from now on, run on these cores only.
/// @throws std::system_error EINVAL when none of them is one that it can run on
[[gnu::cold]] void stay_on_cores(const std::vector<int>& cores);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/affinity.ipp"
#endif
