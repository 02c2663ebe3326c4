// multiprocessing/heap/spans.ipp
//
// How blocks are taken from spans and given back to them: see spans.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/spans.hpp"

#include <cstddef>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/sanitizers.hpp"

namespace multiprocessing::detail {

class Spans::Guard {
  public:
    explicit Guard(Spans& spans) noexcept
        : lock_(spans.state_.spans_lock, [&spans] { spans.rebuild_lists(); }) {}

  private:
    RobustLock lock_;
};

MULTIPROCESSING_INLINE void Spans::repair() noexcept {
    RobustLock::repair_if_abandoned(state_.spans_lock, [this] { rebuild_lists(); });
}

MULTIPROCESSING_INLINE std::atomic<std::uint64_t>& Spans::list_of(
    std::uint32_t span) const noexcept {
    return runs_.record(span).blocks;
}

MULTIPROCESSING_INLINE std::atomic<std::uint64_t>& Spans::link_of(Offset block) const noexcept {
    runs_.cover();
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(segment_.base() + block);
}

// --- taking a block ---

// Not inlined, as push: so the usual case needs no registers for it.
[[gnu::noinline]] MULTIPROCESSING_INLINE Offset Spans::allocate_from_span(unsigned size_class) {
    for (;;) {
        // acquire: pairs with the release in refill and use_waiting, for the span's records.
        const std::uint32_t span = state_.small[size_class].current.load(std::memory_order_acquire);
        if (span != 0) [[likely]] {
            if (const Offset block = pop(span, size_class)) [[likely]]
                return block;
        }
        refill(size_class);
    }
}

/// Returns the next block's place plus 1, or 0. @param place the block's own
MULTIPROCESSING_INLINE std::uint32_t next_block(std::uint64_t link, std::uint32_t place,
                                                unsigned size_class) noexcept {
    constexpr std::uint32_t units_in_page = page_size / block_alignment;
    if (link != 0) return static_cast<std::uint32_t>(link - 1) & 0x7FF;
    const std::uint32_t units = small_sizes.units[size_class];
    const bool is_last = place + 2 * units > small_sizes.pages[size_class] * units_in_page;
    return is_last ? 0 : place + units + 1;
}

/// Reads the link of a block that another process may have taken and be writing to. The value is
/// then garbage, and the tag makes the swap that would use it fail.
__attribute__((noinline, no_sanitize("thread"))) MULTIPROCESSING_INLINE std::uint64_t stale_read(
    const std::atomic<std::uint64_t>& link) noexcept {
    return *reinterpret_cast<const volatile std::uint64_t*>(&link);
}

MULTIPROCESSING_INLINE Offset Spans::pop(std::uint32_t span, unsigned size_class) noexcept {
    std::atomic<std::uint64_t>& word = list_of(span);
    // acquire: pairs with the release in try_push, so that the link it wrote is seen.
    BlockList list(word.load(std::memory_order_acquire));
    while (list.is_of(size_class) && list.first() != 0) {
        const std::uint32_t place = list.first() - 1;
        const Offset block = Offset{span} * page_size + place * block_alignment;
        const std::uint32_t next = next_block(stale_read(link_of(block)), place, size_class);
        std::uint64_t expected = list.word();
        if (word.compare_exchange_weak(expected, list.popped(next).word(),
                                       std::memory_order_acquire)) {
            return block;
        }
        list = BlockList(expected);
    }
    return 0;
}

// --- giving a block back ---

[[gnu::noinline]] MULTIPROCESSING_INLINE void Spans::push(std::uint32_t span, unsigned size_class,
                                                          Offset block) noexcept {
    std::atomic<std::uint64_t>& word = list_of(span);
    BlockList list(word.load(std::memory_order_relaxed));
    for (;;) {
        if (!list.is_attached() ||
            (list.count() + 1 == BlockList::capacity(size_class) &&
             state_.small[size_class].current.load(std::memory_order_relaxed) != span))
            [[unlikely]] {
            return push_slowly(span, size_class, block);
        }
        if (try_push(word, list, span, block)) return;
    }
}

MULTIPROCESSING_INLINE bool Spans::try_push(std::atomic<std::uint64_t>& word, BlockList& list,
                                            std::uint32_t span, Offset block) noexcept {
    link_of(block).store(list.first() + std::uint64_t{1}, std::memory_order_relaxed);
    note_given_away(&link_of(block));
    const auto place =
        static_cast<std::uint32_t>((block - Offset{span} * page_size) / block_alignment);
    std::uint64_t expected = list.word();
    // release: whoever pops the block sees its link, and all that was done with it before.
    const bool done = word.compare_exchange_weak(
        expected, list.pushed(place).word(), std::memory_order_release, std::memory_order_relaxed);
    if (!done) list = BlockList(expected);
    return done;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void Spans::push_slowly(std::uint32_t span,
                                                                 unsigned size_class,
                                                                 Offset block) noexcept {
    std::atomic<std::uint64_t>& word = list_of(span);
    bool is_empty = false;
    {
        const Guard guard(*this);
        SmallClass& spans = state_.small[size_class];
        BlockList list(word.load(std::memory_order_relaxed));
        for (;;) {
            const bool is_current = spans.current.load(std::memory_order_relaxed) == span;
            is_empty = list.count() + 1 == BlockList::capacity(size_class) && !is_current;
            if (is_empty) {
                std::uint64_t expected = list.word();
                if (word.compare_exchange_weak(expected, list.retired().word())) {
                    remove_waiting(spans, span);
                    break;
                }
                list = BlockList(expected);
            } else if (!list.is_attached()) {
                std::uint64_t expected = list.word();
                if (word.compare_exchange_weak(expected, list.with_attached(true).word())) {
                    insert_waiting(spans, span);
                    expected = list.with_attached(true).word();
                }
                list = BlockList(expected);
            } else if (try_push(word, list, span, block)) {
                break;
            }
        }
    }
    if (is_empty) runs_.give_back(span);
}

// --- finding or making spans ---

[[gnu::noinline]] MULTIPROCESSING_INLINE void Spans::refill(unsigned size_class) {
    if (use_waiting(size_class)) return;
    const FreshSpans fresh = make_spans(size_class);
    const Guard guard(*this);
    SmallClass& spans = state_.small[size_class];
    // Backwards: so the first of them comes first in the list. Another process may have been
    // faster.
    for (std::uint32_t span = fresh.end; span > fresh.first;) {
        span -= small_sizes.pages[size_class];
        const bool is_next = span == fresh.first &&
                             !has_blocks(spans.current.load(std::memory_order_relaxed), size_class);
        if (is_next) {
            spans.current.store(span, std::memory_order_release);  // pairs: allocate_from_span
        } else {
            insert_waiting(spans, span);
        }
    }
}

MULTIPROCESSING_INLINE bool Spans::use_waiting(unsigned size_class) noexcept {
    const Guard guard(*this);
    SmallClass& spans = state_.small[size_class];
    for (;;) {
        const std::uint32_t current = spans.current.load(std::memory_order_relaxed);
        if (current != 0 && !detach_if_full(spans, current, size_class)) return true;
        const std::uint32_t next = spans.waiting;
        if (next == 0) return false;
        remove_waiting(spans, next);
        spans.current.store(next, std::memory_order_release);  // pairs: allocate_from_span
    }
}

MULTIPROCESSING_INLINE bool Spans::detach_if_full(SmallClass& spans, std::uint32_t span,
                                                  unsigned size_class) noexcept {
    std::atomic<std::uint64_t>& word = list_of(span);
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    for (;;) {
        const BlockList list(seen);
        if (!list.is_of(size_class)) return true;
        if (list.first() != 0) return false;
        if (!list.is_attached() ||
            word.compare_exchange_weak(seen, list.with_attached(false).word())) {
            break;
        }
    }
    remove_waiting(spans, span);
    return true;
}

MULTIPROCESSING_INLINE bool Spans::has_blocks(std::uint32_t span,
                                              unsigned size_class) const noexcept {
    if (span == 0) return false;
    const BlockList list(list_of(span).load(std::memory_order_relaxed));
    return list.is_of(size_class) && list.first() != 0;
}

MULTIPROCESSING_INLINE Spans::FreshSpans Spans::make_spans(unsigned size_class) {
    const std::uint32_t pages = small_sizes.pages[size_class];
    std::uint32_t length = pages;
    PageRuns::Run run = runs_.take_warm(pages);
    if (run.first == 0 && state_.small[size_class].current.load(std::memory_order_relaxed) != 0) {
        length = most_span_pages;  // new pages cost less when they are taken together
        run = runs_.take(length);
    }
    if (run.first == 0) {
        length = pages;
        run = pages_.take_run(pages);
    }
    const std::size_t size = length * page_size;
    runs_.map_or_give_back(run, size);
    if (!run.has_pages) runs_.reserve_or_give_back(run, size);
    const std::uint32_t end = run.first + length;
    // The first page says so last: until then all of it is one used run.
    for (std::uint32_t page = end; page-- > run.first;) {
        const std::uint32_t distance = (page - run.first) % pages;
        if (distance == 0) {
            runs_.record(page).older = 0;  // in no list yet
            if (!run.is_zero) clear_links(page, size_class);
        }
        runs_.set_run(page, RunWord::of_span(size_class, distance));
    }
    // Only now are there blocks. A process that read `current` long ago may look into this span
    // already, if there was one of the same size here before.
    for (std::uint32_t span = run.first; span < end; span += pages) {
        std::atomic<std::uint64_t>& word = list_of(span);
        const BlockList before(word.load(std::memory_order_relaxed));
        word.store(BlockList::all(size_class, before).word(), std::memory_order_release);
    }
    return {run.first, end};
}

MULTIPROCESSING_INLINE void Spans::clear_links(std::uint32_t span, unsigned size_class) noexcept {
    const std::size_t step = small_sizes.units[size_class] * block_alignment;
    Offset block = Offset{span} * page_size;
    for (std::uint32_t left = small_sizes.capacity[size_class]; left > 0; --left) {
        link_of(block).store(0, std::memory_order_relaxed);
        block += step;
    }
}

// --- the lists of spans; with the lock ---

MULTIPROCESSING_INLINE void Spans::insert_waiting(SmallClass& spans, std::uint32_t span) noexcept {
    PageRecord& record = runs_.record(span);
    if (record.older != 0) return;
    record.older = 1;
    record.next = spans.waiting;
    record.previous = 0;
    if (spans.waiting != 0) runs_.record(spans.waiting).previous = span;
    spans.waiting = span;
}

MULTIPROCESSING_INLINE void Spans::remove_waiting(SmallClass& spans, std::uint32_t span) noexcept {
    PageRecord& record = runs_.record(span);
    if (record.older == 0) return;
    record.older = 0;
    (record.previous != 0 ? runs_.record(record.previous).next : spans.waiting) = record.next;
    if (record.next != 0) runs_.record(record.next).previous = record.previous;
}

MULTIPROCESSING_INLINE void Spans::rebuild_lists() noexcept {
    for (SmallClass& spans : state_.small) spans.waiting = 0;
    runs_.for_each([this](std::uint32_t first, RunWord run) {
        if (run.kind() != RunWord::span) return;
        SmallClass& spans = state_.small[run.size_class()];
        runs_.record(first).older = 0;
        std::atomic<std::uint64_t>& word = list_of(first);
        std::uint64_t seen = word.load();
        const auto is_waiting = [&] { return BlockList(seen).count() != 0; };
        while (
            !word.compare_exchange_weak(seen, BlockList(seen).with_attached(is_waiting()).word())) {
        }
        if (is_waiting()) insert_waiting(spans, first);
    });
    // A span that is one no more is found out when it is used.
}

}  // namespace multiprocessing::detail
