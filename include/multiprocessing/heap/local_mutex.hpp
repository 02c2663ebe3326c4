// multiprocessing/heap/local_mutex.hpp
//
// A mutex between the threads of one process, for objects that a fork may copy while another thread
// holds the mutex: that thread does not exist in the child, so the child finds it free. Floor 1.
//
// The bits of its word:
//      0        a thread may be asleep
//      1 … 31   the fork depth + 1 of the process that has locked it; 0: it is free
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

/// The mutex. A standard lockable; not recursive. What locks and unlocks it without waiting is
/// inlined where it is used, so that a process that has slept need not first fetch the code of the
/// C library's mutex.
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
    void lock_slowly();

    FutexWord word_{0};
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/local_mutex.ipp"
#endif
