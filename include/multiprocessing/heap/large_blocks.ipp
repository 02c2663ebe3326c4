// multiprocessing/heap/large_blocks.ipp
//
// How large blocks are taken and given back: see large_blocks.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/large_blocks.hpp"

#include <iterator>
#include <new>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

/// Returns whether the kernel promises no more memory than there is (vm.overcommit_memory = 2).
/// There, a touched page of a memfd can fail with SIGBUS, so all pages are taken at allocation.
MULTIPROCESSING_INLINE bool strict_overcommit() {
    static constinit CachedFact fact;
    return fact.get([] { return cgroup_number("/proc/sys/vm/overcommit_memory", 0) == 2; });
}

MULTIPROCESSING_INLINE Offset LargeBlocks::allocate(std::size_t size, bool* zero,
                                                    std::size_t filled) {
    constexpr std::size_t worth_asking = std::size_t{64} << 20;
    constexpr std::size_t most_filled_pages = 16;  // it takes all of its pages at once
    constexpr std::uint32_t most_spare_pages = LargeBlocksState::most_spare_pages;
    if (size > segment_.size()) throw std::bad_alloc();
    if (size >= worth_asking && size > available_memory()) throw std::bad_alloc();
    std::size_t pages = (size + page_size - 1) / page_size;
    PageRuns::Run run;
    if (pages <= most_spare_pages) {
        const unsigned pages_class = class_of_units(pages);
        pages = static_cast<std::size_t>(units_of_class(pages_class));
        run = {take_spare(pages_class), true, false};
    }
    if (run.first == 0) run = take_run(pages);
    runs_.map_or_give_back(run, size);
    if (!run.has_pages) {
        const bool needs_all = pages <= most_filled_pages || strict_overcommit();
        const std::size_t reserved = needs_all ? size : filled;
        if (reserved != 0) runs_.reserve_or_give_back(run, reserved);
    }
    if (zero != nullptr) *zero = run.is_zero;
    return Offset{run.first} * page_size;
}

MULTIPROCESSING_INLINE void LargeBlocks::deallocate(std::uint32_t first, std::uint32_t pages,
                                                    bool may_rest) noexcept {
    if (pages <= LargeBlocksState::most_spare_pages) {
        std::atomic<std::uint32_t>& spare = state_.spare_runs[class_of_units(pages)];
        std::uint32_t none = 0;
        // release: pairs with take_spare, as for small blocks.
        if (spare.load(std::memory_order_relaxed) == 0 &&
            spare.compare_exchange_strong(none, first, std::memory_order_release,
                                          std::memory_order_relaxed)) {
            return;
        }
    }
    runs_.give_back(first, may_rest);
}

MULTIPROCESSING_INLINE PageRuns::Run LargeBlocks::take_run(std::size_t pages) {
    PageRuns::Run run = runs_.take(pages);
    if (run.first != 0) return run;
    // The spare ones may be what it lacks.
    for (unsigned pages_class = 0; pages_class < std::size(state_.spare_runs); ++pages_class) {
        if (const std::uint32_t spare = take_spare(pages_class)) runs_.give_back(spare);
    }
    run = runs_.take(pages);
    if (run.first == 0) throw std::bad_alloc();
    return run;
}

MULTIPROCESSING_INLINE std::uint32_t LargeBlocks::take_spare(unsigned pages_class) noexcept {
    std::atomic<std::uint32_t>& spare = state_.spare_runs[pages_class];
    // acquire: pairs with deallocate.
    return spare.load(std::memory_order_relaxed) == 0
               ? 0
               : spare.exchange(0, std::memory_order_acquire);
}

}  // namespace multiprocessing::detail
