// multiprocessing/heap/large_blocks.hpp
//
// Blocks of more than 8 KiB, each a run of pages, and the spare ones among them. Spans of small
// blocks get their pages here too. Floor 1. Start at LargeBlocks::allocate.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/heap/page_runs.hpp"
#include "multiprocessing/heap/segment.hpp"
#include "multiprocessing/heap/size_classes.hpp"

namespace multiprocessing::detail {

/// The large blocks' part of the segment's first pages.
struct LargeBlocksState {
    static constexpr std::uint32_t most_spare_pages = 64;

    // Large blocks come and go one at a time too, and those of some pages cost too little to be
    // worth a lock: with another process in turn it takes 3 µs, as long as copying 64 KiB. So one
    // of each class of sizes is kept when it is freed: this is its page. It is not a free run;
    // 0 none. All of them together are 1.6 MiB.
    std::atomic<std::uint32_t> spare_runs[class_of_units(most_spare_pages) + 1];
};

/// Allocates large blocks. Like PageRuns, a view of the state in the segment.
class LargeBlocks {
  public:
    LargeBlocks(const Segment& segment, LargeBlocksState& state, const PageRuns& runs) noexcept
        : segment_(segment), state_(state), runs_(runs) {}

    [[nodiscard]] PageRuns& runs() noexcept { return runs_; }
    [[nodiscard]] const PageRuns& runs() const noexcept { return runs_; }

    /// Returns a block of at least `size` bytes, its content undefined.
    /// @param zero where to say whether the block's bytes are known to be zero; may be null
    /// @param filled how many bytes will be written at once, see Allocator::allocate_to_fill
    /// @throws std::bad_alloc when the segment, or the machine, has no room for it
    [[nodiscard]] Offset allocate(std::size_t size, bool* zero, std::size_t filled = 0);

    /// Takes back a block of so many pages. @param first its first page
    /// @param may_rest see PageRuns::give_back
    void deallocate(std::uint32_t first, std::uint32_t pages, bool may_rest = false) noexcept;

    /// Takes a run of pages, also from the spare ones. It may not be mapped.
    /// @throws std::bad_alloc when the segment has no room for it
    PageRuns::Run take_run(std::size_t pages);

  private:
    /// @returns 0 when there is none
    std::uint32_t take_spare(unsigned pages_class) noexcept;

    const Segment& segment_;
    LargeBlocksState& state_;
    PageRuns runs_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/large_blocks.ipp"
#endif
