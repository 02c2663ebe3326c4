// multiprocessing/process/fork_hooks.hpp
//
// What a program wants done in each forked child; and the warning that a program with several
// threads forks. Mirrors CPython Lib/multiprocessing/util.py, register_after_fork, and
// Modules/posixmodule.c, warn_about_fork_with_threads. Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

namespace multiprocessing::detail {

struct AfterForkHook;

/// The latest hook; null until the first one is added. Each hook leads to the one before it.
inline constinit std::atomic<AfterForkHook*> after_fork_hooks{nullptr};

[[gnu::cold]] void add_after_fork_hook(std::function<void()> run);

/// Runs the hooks in the order of their registration. It reports what a hook throws, and goes on.
[[gnu::cold]] void run_after_fork_hooks(const AfterForkHook* latest);

/// How many threads of the library's own this process has: fork depth << 32 | number, as a child
/// starts with none. They hold no lock of the program's while another thread forks.
inline constinit std::atomic<std::uint64_t> own_threads{0};

/// Counts a thread of the library's own. It is made before the thread, and moved into it.
class OwnThread {
  public:
    OwnThread() noexcept;
    OwnThread(OwnThread&& other) noexcept : counts_(std::exchange(other.counts_, false)) {}
    OwnThread& operator=(OwnThread&&) = delete;
    ~OwnThread() {
        if (counts_) own_threads.fetch_sub(1);
    }

  private:
    bool counts_ = true;
};

/// Warns, once, if the program has other threads: a lock that one of them holds stays locked in the
/// child.
[[gnu::cold]] void warn_of_threads() noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/fork_hooks.ipp"
#endif
