// multiprocessing/process/fork_hooks.ipp
//
// How the hooks of forked children are kept and run, and how threads are counted: see
// fork_hooks.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/fork_hooks.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <exception>
#include <vector>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/sanitizers.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"

namespace multiprocessing::detail {

/// One of a list that only grows, at its front: a forked child finds it whole at any time.
struct AfterForkHook {
    std::function<void()> run;
    AfterForkHook* next;
};

MULTIPROCESSING_INLINE void add_after_fork_hook(std::function<void()> run) {
    auto* const fresh = new AfterForkHook{std::move(run), after_fork_hooks.load()};
    while (!after_fork_hooks.compare_exchange_weak(fresh->next, fresh)) {
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void run_after_fork_hooks(const AfterForkHook* latest) {
    std::vector<const AfterForkHook*> hooks;
    for (; latest != nullptr; latest = latest->next) hooks.push_back(latest);
    std::for_each(hooks.rbegin(), hooks.rend(), [](const AfterForkHook* hook) {
        try {
            hook->run();
        } catch (...) {
            report_error("after a fork", describe_exception(std::current_exception()));
        }
    });
}

MULTIPROCESSING_INLINE OwnThread::OwnThread() noexcept {
    const std::uint64_t none = std::uint64_t{fork_depth()} << 32;
    std::uint64_t known = own_threads.load();
    while (!own_threads.compare_exchange_weak(known, (std::max)(known, none) + 1)) {
    }
}

// ThreadSanitizer has a thread of its own in each process.
constexpr std::uint64_t sanitizer_threads = thread_sanitizer ? 1 : 0;

[[gnu::noinline]] MULTIPROCESSING_INLINE void warn_of_threads() noexcept {
    static constinit std::atomic<bool> said{false};
    if (said.load(std::memory_order_relaxed)) return;
    struct stat task {};
    // A folder has two links of its own, and one for each folder in it. Here each folder in it is a
    // thread.
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
