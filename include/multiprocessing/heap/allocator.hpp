// multiprocessing/heap/allocator.hpp
//
// The allocator of the shared segment. A process may be killed between any two instructions of it:
// every change is one compare-and-swap or one store, after which the next process finds all in
// order. What the victim was about to hand out or take back is lost until the family ends, and
// nothing else. Floor 1. Start at Allocator::allocate.
//
// Small blocks lie in spans, see spans.hpp. Larger ones are runs of pages, see large_blocks.hpp and
// page_runs.hpp. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "multiprocessing/heap/large_blocks.hpp"
#include "multiprocessing/heap/page_runs.hpp"
#include "multiprocessing/heap/segment.hpp"
#include "multiprocessing/heap/size_classes.hpp"
#include "multiprocessing/heap/spans.hpp"

namespace multiprocessing::detail {

/// The allocator's part of the segment's first pages.
struct AllocatorState : PageRunsState, SpansState, LargeBlocksState {};

/// Allocates in a segment that many processes use at once.
class Allocator {
  public:
    /// Uses the segment, whose beginning holds `state` and, from `records_at` on, a PageRecord for
    /// each page; `first_page` is the first to hand out. All of it is zero in a new segment.
    Allocator(const Segment& segment, AllocatorState& state, Offset records_at,
              std::uint64_t first_page);
    Allocator(const Allocator&) = delete;
    Allocator& operator=(const Allocator&) = delete;

    /// Returns the bytes that the records of a segment's pages take.
    static constexpr std::size_t records_size(std::size_t segment_size) {
        return segment_size / page_size * sizeof(PageRecord);
    }

    /// Opens a new segment for allocation. Its maker calls this once.
    void initialize();

    /// Returns a block of at least `size` bytes, aligned to 64, its content undefined.
    /// @throws std::bad_alloc when the segment, or the machine, has no room for it
    [[nodiscard]] Offset allocate(std::size_t size) {
        if (size <= largest_small_block) return spans_.allocate(small_class(size));
        return large_.allocate(size, nullptr);
    }

    /// The same, with all bytes zero; pages of a large block are not touched for it.
    [[nodiscard]] Offset allocate_zeroed(std::size_t size);

    /// The same as allocate, for a block whose first `filled` bytes will be written at once: their
    /// pages are taken in one go, which costs less than one by one as they are touched.
    [[nodiscard]] Offset allocate_to_fill(std::size_t size, std::size_t filled) {
        if (size <= largest_small_block) return spans_.allocate(small_class(size));
        return large_.allocate(size, nullptr, filled);
    }

    /// Takes back a block. @pre `block` came from allocate and is not free
    /// @param may_rest whether its pages may stay for a moment, because one of its kind will be
    ///        needed soon
    [[gnu::hot]] void deallocate(Offset block, bool may_rest = false) noexcept {
        const auto page = static_cast<std::uint32_t>(block / page_size);
        const RunWord run = large_.runs().run(page);
        if (run.kind() != RunWord::span) return large_.deallocate(page, run.pages(), may_rest);
        spans_.deallocate(block, page, run);
    }

    /// Returns the class of a small block; small_classes for a large one.
    [[nodiscard]] unsigned class_of(Offset block) const noexcept {
        const RunWord run = large_.runs().run(block / page_size);
        return run.kind() == RunWord::span ? run.size_class() : small_classes;
    }
    /// Returns the class that a small block of this size is of. @pre size <= largest_small_block
    static unsigned small_class(std::size_t size) noexcept {
        return class_of_units(size == 0 ? 1 : (size + block_alignment - 1) / block_alignment);
    }

    /// Returns how many bytes the block has room for.
    [[nodiscard]] std::size_t usable_size(Offset block) const noexcept;

    /// Returns whether the block is a small one.
    [[nodiscard]] bool is_small(Offset block) const noexcept {
        return large_.runs().run(block / page_size).kind() == RunWord::span;
    }

    /// Makes sure that all that is in use is mapped in this process. Nearly always it is.
    void cover() const noexcept { large_.runs().cover(); }
    /// Does so where this process may have mapped only a part.
    void extend() const noexcept { large_.runs().extend(); }

    /// Returns how many bytes lie before the part of the segment that is not in use: what has been
    /// used of its address space.
    [[nodiscard]] std::size_t used_space() const noexcept { return large_.runs().used_space(); }

    /// See PageRuns::cool and cool_at_once.
    bool cool() noexcept { return large_.runs().cool(); }
    void cool_at_once() noexcept { large_.runs().cool_at_once(); }

    /// Puts in order what a killed process was in the middle of. Nothing waits for that: the one
    /// who notices that a process has died calls it, so that nothing lies around until somebody
    /// needs the same lock.
    void repair() noexcept;

  private:
    const Segment& segment_;
    LargeBlocks large_;
    Spans spans_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/allocator.ipp"
#endif
