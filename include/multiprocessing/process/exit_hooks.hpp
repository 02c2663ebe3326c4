// multiprocessing/process/exit_hooks.hpp
//
// The list of what a process does before it ends, each process its own. Mirrors the registry of
// CPython Lib/multiprocessing/util.py, _run_finalizers. Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/reduction/exceptions.hpp"

namespace multiprocessing::detail {

/// What to do at the end of the process: ending pools, named memory, a user's Finalize. Kept by
/// exit priority, the highest first.
class ExitHooks {
  public:
    using Hook = std::function<void()>;

    /// @returns a number for remove
    static std::size_t add(int priority, Hook hook) {
        const std::size_t number = last_number_.fetch_add(1) + 1;
        const std::lock_guard guard(list().mutex);
        list().hooks.push_back({priority, number, std::move(hook)});
        return number;
    }

    static void remove(std::size_t number) {
        const std::lock_guard guard(list().mutex);
        std::erase_if(list().hooks, [&](const Entry& entry) { return entry.number == number; });
    }

    /// Runs the hooks of this process whose priority is `lowest` or more, each once. What one of
    /// them throws is reported and stops nothing.
    static void run(int lowest = INT_MIN) {
        for (;;) {
            Entry next{};
            {
                const std::lock_guard guard(list().mutex);
                auto& hooks = list().hooks;
                const auto highest = std::max_element(
                    hooks.begin(), hooks.end(), [](const Entry& a, const Entry& b) {
                        return std::pair(a.priority, a.number) < std::pair(b.priority, b.number);
                    });
                if (highest == hooks.end() || highest->priority < lowest) return;
                next = std::move(*highest);
                hooks.erase(highest);
            }
            try {
                next.hook();
            } catch (...) {
                report_error("at the end of the process",
                             describe_exception(std::current_exception()));
            }
        }
    }

  private:
    struct Entry {
        int priority;
        std::size_t number;
        Hook hook;
    };
    struct List {
        std::mutex mutex;
        std::vector<Entry> hooks;
        pid_t pid = ::getpid();
        List* inherited = nullptr;  // the parent's, so that no leak checker thinks it lost
    };
    // Never destroyed: used while static objects are. No lock guards its making, see install_heap.
    static inline constinit std::atomic<List*> instance_{nullptr};
    // One count for all lists: a child may remove what only its parent has.
    static inline constinit std::atomic<std::size_t> last_number_{0};

    static List& list() {
        List* known = instance_.load(std::memory_order_acquire);
        // A child starts over, also that of a fork of the program's own: the hooks are its
        // parent's, and a thread that was not copied may hold the lock.
        if (known != nullptr && known->pid == ::getpid()) return *known;
        auto fresh = std::make_unique<List>();
        fresh->inherited = known;
        if (!instance_.compare_exchange_strong(known, fresh.get())) return *known;
        return *fresh.release();
    }
};

}  // namespace multiprocessing::detail
