// multiprocessing/heap/local_mutex.hpp
//
// A mutex between the threads of one process, for objects that a fork may copy while another thread
// has it locked: the child, in which that thread does not exist, finds it free. Floor 1.
//
// The bits of its word:
//      0        somebody may be asleep
//      1 … 31   who has locked it: the process's fork depth + 1, 0: nobody
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

/// The mutex. A standard lockable; not recursive. All of its code is where it is used, so that a
/// process that has slept need not find the C library's first.
class LocalMutex {
  public:
    void lock() {
        if (!try_fast()) lock_slowly();
    }
    [[nodiscard]] bool try_lock() noexcept {
        if (try_fast()) return true;
        std::uint32_t w = word_.load(std::memory_order_relaxed);
        return is_stale(w) && word_.compare_exchange_strong(w, mine());
    }
    void unlock() noexcept {
        // seq_cst: a look at another variable after it, as ConnectionState's, must not move before.
        if ((word_.exchange(0) & asleep) != 0) futex_wake(word_, 1);
    }
    /// Returns whether a thread of this process has locked it.
    [[nodiscard]] bool is_locked() const noexcept {
        const std::uint32_t w = word_.load();
        return w != 0 && !is_stale(w);
    }

  private:
    static constexpr std::uint32_t asleep = 1;

    static std::uint32_t mine() noexcept { return (fork_depth() + 1) << 1; }
    static bool is_stale(std::uint32_t w) noexcept { return w != 0 && w >> 1 != fork_depth() + 1; }
    bool try_fast() noexcept {
        std::uint32_t free = 0;
        return word_.compare_exchange_strong(free, mine());
    }
    [[gnu::noinline]] void lock_slowly() {
        for (;;) {
            std::uint32_t w = word_.load(std::memory_order_relaxed);
            if (w == 0 || is_stale(w)) {
                // With the mark: others may have gone to sleep before the last one unlocked it.
                if (word_.compare_exchange_weak(w, mine() | asleep)) return;
            } else if ((w & asleep) != 0 || word_.compare_exchange_weak(w, w | asleep)) {
                futex_wait(word_, w | asleep, nullptr);
            }
        }
    }

    FutexWord word_{0};
};

}  // namespace multiprocessing::detail
