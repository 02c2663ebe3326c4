// multiprocessing/heap/local_mutex.ipp
//
// How a thread waits for the mutex: see local_mutex.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/local_mutex.hpp"

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

[[gnu::noinline]] MULTIPROCESSING_INLINE void LocalMutex::lock_slowly() {
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

}  // namespace multiprocessing::detail
