// multiprocessing/heap/spans.hpp
//
// Small blocks, of at most 8 KiB, in spans of some pages: all blocks of a span are of one size.
// Floor 1. Start at Spans::allocate.
//
// A span has a list of its free blocks, which is one word; nobody needs a lock to take a block from
// it or to give one back. A lock guards which span blocks are taken from, and which others have
// free blocks; it is needed once in many blocks. A span whose blocks are all free goes back to the
// pages it came from. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "multiprocessing/detail/robust_mutex.hpp"
#include "multiprocessing/heap/block_list.hpp"
#include "multiprocessing/heap/large_blocks.hpp"
#include "multiprocessing/heap/page_runs.hpp"
#include "multiprocessing/heap/segment.hpp"
#include "multiprocessing/heap/size_classes.hpp"

namespace multiprocessing::detail {

/// The spans of one size.
struct SmallClass {
    std::atomic<std::uint32_t> current;  //  0  first page of the span to take blocks from, or 0
    std::uint32_t waiting;               //  4  the first of a list of others that have free blocks
    // Most blocks come and go one at a time: the last one freed is handed out next, for one swap
    // instead of a look at its span.
    std::atomic<Offset> spare;  //  8  a free block that no span counts as free; 0 none
};

/// The spans' part of the segment's first pages.
struct SpansState {
    RobustMutex spans_lock;  // guards `waiting` and changes of `current`; before the runs' locks
    SmallClass small[small_classes];
};

/// Allocates small blocks, by the class of their size. Like PageRuns, a view of the state in the
/// segment.
class Spans {
  public:
    Spans(const Segment& segment, SpansState& state, LargeBlocks& pages) noexcept
        : segment_(segment), state_(state), pages_(pages), runs_(pages.runs()) {}

    /// Opens a new segment. Its maker calls this once.
    void initialize() { state_.spans_lock.initialize(); }

    /// Returns a block, its content undefined.
    /// @throws std::bad_alloc when the segment, or the machine, has no room for it
    [[gnu::hot]] [[nodiscard]] Offset allocate(unsigned size_class) {
        std::atomic<Offset>& spare = state_.small[size_class].spare;
        if (spare.load(std::memory_order_relaxed) != 0) {
            // acquire: pairs with deallocate, for what was done with the block before.
            if (const Offset block = spare.exchange(0, std::memory_order_acquire)) return block;
        }
        return allocate_from_span(size_class);
    }

    /// Takes back a block. @param page which one it begins in @param run that page's word
    [[gnu::hot]] void deallocate(Offset block, std::uint32_t page, RunWord run) noexcept {
        std::atomic<Offset>& spare = state_.small[run.size_class()].spare;
        Offset none = 0;
        // release: whoever takes it sees all that was done with it before.
        if (spare.load(std::memory_order_relaxed) == 0 &&
            spare.compare_exchange_strong(none, block, std::memory_order_release,
                                          std::memory_order_relaxed)) {
            return;
        }
        push(page - run.distance(), run.size_class(), block);
    }

    /// Puts in order what a process that was killed with the lock held was in the middle of.
    void repair() noexcept;

  private:
    /// Holds the lock.
    class Guard;

    /// Spans that lie one behind the other.
    struct FreshSpans {
        std::uint32_t first;
        std::uint32_t end;
    };

    [[nodiscard]] std::atomic<std::uint64_t>& list_of(std::uint32_t span) const noexcept;
    [[nodiscard]] std::atomic<std::uint64_t>& link_of(Offset block) const noexcept;

    // --- taking a block ---

    Offset allocate_from_span(unsigned size_class);
    /// @returns 0 when the span has no free block, or is no longer one of this class
    Offset pop(std::uint32_t span, unsigned size_class) noexcept;

    // --- giving a block back ---

    void push(std::uint32_t span, unsigned size_class, Offset block) noexcept;
    /// @param list what the word is taken to be; updated when that is wrong
    bool try_push(std::atomic<std::uint64_t>& word, BlockList& list, std::uint32_t span,
                  Offset block) noexcept;
    /// Gives a block back to a span that was full, or has no other block in use.
    [[gnu::cold]] void push_slowly(std::uint32_t span, unsigned size_class, Offset block) noexcept;

    // --- finding or making spans ---

    /// Sees to it that there is a span to take blocks from.
    void refill(unsigned size_class);
    /// @returns whether there is a current span with free blocks now
    bool use_waiting(unsigned size_class) noexcept;
    /// @returns false when it has free blocks
    bool detach_if_full(SmallClass& spans, std::uint32_t span, unsigned size_class) noexcept;
    [[nodiscard]] bool has_blocks(std::uint32_t span, unsigned size_class) const noexcept;
    /// Makes some spans, all of whose blocks are free. Nobody else knows them yet.
    FreshSpans make_spans(unsigned size_class);
    /// Makes the blocks of a span a list, each linked to the one behind it.
    void clear_links(std::uint32_t span, unsigned size_class) noexcept;

    // --- the lists of spans; with the lock ---

    void insert_waiting(SmallClass& spans, std::uint32_t span) noexcept;
    void remove_waiting(SmallClass& spans, std::uint32_t span) noexcept;
    void rebuild_lists() noexcept;

    const Segment& segment_;
    SpansState& state_;
    LargeBlocks& pages_;
    PageRuns runs_;  // by value: each block's span is looked up in it
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/spans.ipp"
#endif
