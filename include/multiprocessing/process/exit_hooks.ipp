// multiprocessing/process/exit_hooks.ipp
//
// The list of what a process does before it ends: see exit_hooks.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/exit_hooks.hpp"

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::uint64_t this_thread_of_process() noexcept {
    return static_cast<std::uint64_t>(::getpid()) << 32 | static_cast<std::uint64_t>(::gettid());
}

MULTIPROCESSING_INLINE bool another_thread_ends_process() noexcept {
    const std::uint64_t ending = ending_thread.load();
    const std::uint64_t here = this_thread_of_process();
    return ending != here && ending >> 32 == here >> 32;
}

MULTIPROCESSING_INLINE void wait_for_end_of_process() noexcept {
    for (;;) ::pause();
}

struct ExitHook {
    int priority;
    std::size_t number;
    ExitHooks::Hook hook;
};

/// One process's hooks.
struct ExitHookList {
    std::mutex mutex;
    std::vector<ExitHook> hooks;
    pid_t pid = ::getpid();
    ExitHookList* inherited = nullptr;  // the parent's; kept so that leak checkers see it in use
};

// Never destroyed: static objects use it at their end. No lock guards its making, see install_heap.
inline constinit std::atomic<ExitHookList*> exit_hook_list{nullptr};
// One count for all lists: a child may remove a hook that only its parent has.
inline constinit std::atomic<std::size_t> last_exit_hook{0};

/// Returns this process's list; the first call makes it.
MULTIPROCESSING_INLINE ExitHookList& exit_hooks() {
    ExitHookList* known = exit_hook_list.load(std::memory_order_acquire);
    // A child starts with an empty list, also after a fork of the program's own: the hooks are its
    // parent's, and a thread that was not copied may hold the lock.
    if (known != nullptr && known->pid == ::getpid()) return *known;
    auto fresh = std::make_unique<ExitHookList>();
    fresh->inherited = known;
    if (!exit_hook_list.compare_exchange_strong(known, fresh.get())) return *known;
    return *fresh.release();
}

MULTIPROCESSING_INLINE std::size_t ExitHooks::add(int priority, Hook hook) {
    const std::size_t number = last_exit_hook.fetch_add(1) + 1;
    const std::lock_guard guard(exit_hooks().mutex);
    exit_hooks().hooks.push_back({priority, number, std::move(hook)});
    return number;
}

MULTIPROCESSING_INLINE void ExitHooks::remove(std::size_t number) {
    const std::lock_guard guard(exit_hooks().mutex);
    std::erase_if(exit_hooks().hooks,
                  [&](const ExitHook& entry) { return entry.number == number; });
}

MULTIPROCESSING_INLINE void ExitHooks::run(int lowest) {
    for (;;) {
        ExitHook next{};
        {
            const std::lock_guard guard(exit_hooks().mutex);
            auto& hooks = exit_hooks().hooks;
            const auto highest = std::max_element(
                hooks.begin(), hooks.end(), [](const ExitHook& a, const ExitHook& b) {
                    return std::pair(a.priority, a.number) < std::pair(b.priority, b.number);
                });
            if (highest == hooks.end() || highest->priority < lowest) return;
            next = std::move(*highest);
            hooks.erase(highest);
        }
        try {
            next.hook();
        } catch (...) {
            report_error("at the end of the process", describe_exception(std::current_exception()));
        }
    }
}

}  // namespace multiprocessing::detail
