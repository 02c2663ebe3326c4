// multiprocessing/process/exit_hooks.hpp
//
// What a process does before it ends. Each process has a list of its own. Mirrors the registry of
// CPython Lib/multiprocessing/util.py, _run_finalizers. Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace multiprocessing::detail {

/// The thread that ends this process while others run: pid << 32 | its id.
inline constinit std::atomic<std::uint64_t> ending_thread{0};

/// Returns the calling thread in the form of ending_thread.
[[gnu::cold]] std::uint64_t this_thread_of_process() noexcept;

/// Returns whether another thread is ending this process. Then nothing that the calling thread does
/// counts any more.
[[gnu::cold]] bool another_thread_ends_process() noexcept;

/// Waits until another thread has ended this process.
[[noreturn, gnu::cold]] void wait_for_end_of_process() noexcept;

/// What to do at the end of the process: end pools, remove named memory, run a user's Finalize.
/// Hooks run in the order of their exit priorities, the highest first, and among equals the latest
/// first.
class ExitHooks {
  public:
    using Hook = std::function<void()>;

    /// @returns a number for remove
    static std::size_t add(int priority, Hook hook);

    static void remove(std::size_t number);

    /// Runs the hooks of this process whose priority is `lowest` or more, each once. It reports
    /// what a hook throws, and goes on.
    static void run(int lowest = INT_MIN);
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/exit_hooks.ipp"
#endif
