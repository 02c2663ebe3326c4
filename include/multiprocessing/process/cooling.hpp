// multiprocessing/process/cooling.hpp
//
// Large messages leave their pages for a moment, because new ones cost more than to fill them. A
// thread then gives them back, and ends. Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

namespace multiprocessing::detail {

/// The fork depth + 1 of the process whose thread cools the heap; 0 none. In a forked child, which
/// has no such thread, it is another one's.
inline constinit std::atomic<std::uint32_t> cooling_process{0};

/// Lets this process, and those that are forked from it, keep a sixteenth of the memory that it may
/// use, or a gibibyte if that is less, for one second at the most.
void keep_heap_warm() noexcept;

/// Gives the memory back that would have to rest first, if this process was to do it: for one that
/// ends.
void cool_heap_now() noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/cooling.ipp"
#endif
