// multiprocessing/process/cooling.ipp
//
// How much may stay warm, and the thread that cools it: see cooling.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/cooling.hpp"

#include <time.h>

#include <algorithm>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/signal_set.hpp"
#include "multiprocessing/detail/thread.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/process/fork_hooks.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::uint64_t most_warm_pages() noexcept {
    static constinit std::atomic<std::uint64_t> known{0};
    std::uint64_t pages = known.load(std::memory_order_relaxed);
    if (pages != 0) return pages;
    constexpr std::uint64_t most = std::uint64_t{1} << 30;
    try {
        pages = (std::min)(most, available_memory() / 16) / page_size + 1;
    } catch (...) {  // no memory to find out now
        return 1;
    }
    known.store(pages, std::memory_order_relaxed);
    return pages;
}

/// Cools the heap until it is cool. A block that is freed just then may find this thread, or start
/// the next one.
MULTIPROCESSING_INLINE void cool_heap(std::uint32_t own) noexcept {
    constexpr timespec pause{0, PageRuns::cooling_pause * 1'000'000};
    Allocator& allocator = heap().allocator();
    for (;;) {
        do ::nanosleep(&pause, nullptr);
        while (allocator.cool());
        cooling_process.store(0);
        std::uint32_t none = 0;
        if (!allocator.cool() || !cooling_process.compare_exchange_strong(none, own)) return;
    }
}

MULTIPROCESSING_INLINE bool begin_cooling(const Segment& segment) noexcept {
    if (&segment != &heap().segment()) return false;
    const std::uint32_t own = fork_depth() + 1;
    std::uint32_t known = cooling_process.load(std::memory_order_relaxed);
    if (known == own || !cooling_process.compare_exchange_strong(known, own)) return true;
    try {
        const SignalBlock block;  // for the thread
        start_thread([own, counted = OwnThread()] { cool_heap(own); }).detach();
        return true;
    } catch (...) {  // out of memory, or of threads
        cooling_process.store(0);
        return false;
    }
}

MULTIPROCESSING_INLINE void keep_heap_warm() noexcept {
    static constexpr HeapCooling cooling{most_warm_pages, begin_cooling};
    heap_cooling.store(&cooling, std::memory_order_release);
}

MULTIPROCESSING_INLINE void cool_heap_now() noexcept {
    if (cooling_process.load() == fork_depth() + 1) heap().allocator().cool_at_once();
}

}  // namespace multiprocessing::detail
