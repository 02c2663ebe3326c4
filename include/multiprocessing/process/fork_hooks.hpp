// multiprocessing/process/fork_hooks.hpp
//
// What a program wants done in each forked child, and the warning about forks in a program with
// several threads. Mirrors CPython Lib/multiprocessing/util.py, register_after_fork, and
// Modules/posixmodule.c, warn_about_fork_with_threads. Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <utility>
#include <vector>

#include "multiprocessing/heap.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/reduction/exceptions.hpp"

namespace multiprocessing::detail {

/// A list that only grows, the latest first: a forked child finds it whole at any time.
struct AfterForkHook {
    std::function<void()> run;
    AfterForkHook* next;
};
inline constinit std::atomic<AfterForkHook*> after_fork_hooks{nullptr};

[[gnu::cold]] inline void add_after_fork_hook(std::function<void()> run) {
    auto* const fresh = new AfterForkHook{std::move(run), after_fork_hooks.load()};
    while (!after_fork_hooks.compare_exchange_weak(fresh->next, fresh)) {
    }
}

/// Runs them in order of registration. What one throws is reported and stops nothing.
[[gnu::cold, gnu::noinline]] inline void run_after_fork_hooks(const AfterForkHook* latest) {
    std::vector<const AfterForkHook*> hooks;
    for (; latest != nullptr; latest = latest->next) hooks.push_back(latest);
    std::for_each(hooks.rbegin(), hooks.rend(), [](const AfterForkHook* hook) {
        try {
            hook->run();
        } catch (const std::exception& error) {
            report_error("after a fork", error.what());
        }
    });
}

/// How many threads of the library's own this process has: fork depth << 32 | number, as a child
/// starts with none. They hold no lock of the program's while another thread forks.
inline constinit std::atomic<std::uint64_t> own_threads{0};

/// Counts a thread among them: made before it, moved into it.
class OwnThread {
  public:
    OwnThread() noexcept {
        const std::uint64_t none = std::uint64_t{fork_depth()} << 32;
        std::uint64_t known = own_threads.load();
        while (!own_threads.compare_exchange_weak(known, std::max(known, none) + 1)) {
        }
    }
    OwnThread(OwnThread&& other) noexcept : counts_(std::exchange(other.counts_, false)) {}
    OwnThread& operator=(OwnThread&&) = delete;
    ~OwnThread() {
        if (counts_) own_threads.fetch_sub(1);
    }

  private:
    bool counts_ = true;
};

// ThreadSanitizer has a thread of its own in each process.
#if defined(__SANITIZE_THREAD__)
constexpr std::uint64_t sanitizer_threads = 1;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr std::uint64_t sanitizer_threads = 1;
#else
constexpr std::uint64_t sanitizer_threads = 0;
#endif
#else
constexpr std::uint64_t sanitizer_threads = 0;
#endif

/// Warns, once, if other threads of the program are there: locks that they hold stay locked in the
/// child.
[[gnu::cold, gnu::noinline]] inline void warn_of_threads() noexcept {
    static constinit std::atomic<bool> said{false};
    if (said.load(std::memory_order_relaxed)) return;
    struct stat task {};
    // A folder has a link for each of its folders besides its own two: one for each thread.
    if (::stat("/proc/self/task", &task) != 0 || task.st_nlink <= 2) return;
    const std::uint64_t own = own_threads.load();
    const std::uint64_t ours = own >> 32 == fork_depth() ? own & UINT32_MAX : 0;
    if (task.st_nlink - 2 <= ours + 1 + sanitizer_threads || said.exchange(true)) return;
    log_event(log_level::warning,
              "this process has several threads and starts a child with fork: a lock that another "
              "thread holds stays locked in the child. Start the child before the threads, or use "
              "the start method spawn or forkserver");
}

}  // namespace multiprocessing::detail
