// multiprocessing/heap/allocator.hpp
//
// The allocator of the shared segment. A process may be killed between any two instructions of it:
// every change is one compare-and-swap or one store, after which the next process finds all in
// order. What the victim was about to hand out or take back is lost until the family ends, no
// more. Floor 1. Start at Allocator::allocate.
//
// Small blocks lie in spans of some pages, a span holding blocks of one size. A span has a list of
// its free blocks, which is one word; nobody needs a lock to take a block from it or to give one
// back. Which span is taken from, and which others have free blocks, is kept under a lock that is
// needed once in many blocks. A span whose blocks are all free goes back to the pages it came from.
// Larger blocks are runs of pages, see page_runs.hpp. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>

#include "multiprocessing/heap/block_list.hpp"
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

/// The allocator's part of the segment's first pages.
struct AllocatorState : PageRunsState {
    static constexpr std::uint32_t most_spare_pages = 16;

    RobustMutex spans_lock;  // guards `waiting` and changes of `current`; before the runs' locks
    SmallClass small[small_classes];
    // Large blocks come and go one at a time too, and those of some pages at no cost worth a lock:
    // by the class of how many, the page of one that was freed and is not a free run; 0 none.
    std::atomic<std::uint32_t> spare_runs[class_of_units(most_spare_pages) + 1];
};

/// Allocates in a segment that many processes use at once.
class Allocator {
  public:
    /// Uses the segment, whose beginning holds `state` and, from `records_at` on, a PageRecord for
    /// each page; `first_page` is the first to hand out. All of it is zero in a new segment.
    Allocator(const Segment& segment, AllocatorState& state, Offset records_at,
              std::uint64_t first_page)
        : segment_(segment),
          state_(state),
          runs_(segment, state, reinterpret_cast<PageRecord*>(segment.base() + records_at),
                first_page) {}

    /// Returns the bytes that the records of a segment's pages take.
    static constexpr std::size_t records_size(std::size_t segment_size) {
        return segment_size / page_size * sizeof(PageRecord);
    }

    /// Opens a new segment for allocation. Once, by its maker.
    void initialize() {
        runs_.initialize();
        state_.spans_lock.initialize();
    }

    /// Returns a block of at least `size` bytes, aligned to 64, its content undefined.
    /// @throws std::bad_alloc when the segment, or the machine, has no room for it
    [[nodiscard]] Offset allocate(std::size_t size) {
        if (size <= largest_small_block) return allocate_small(small_class(size));
        return allocate_large(size, nullptr);
    }

    /// The same, with all bytes zero; pages of a large block are not touched for it.
    [[nodiscard]] Offset allocate_zeroed(std::size_t size) {
        bool zero = false;
        const Offset block = size <= largest_small_block ? allocate_small(small_class(size))
                                                         : allocate_large(size, &zero);
        if (!zero) std::memset(segment_.base() + block, 0, size);
        return block;
    }

    /// Takes back a block. @pre `block` came from allocate and is not free
    [[gnu::hot]] void deallocate(Offset block) noexcept {
        const auto page = static_cast<std::uint32_t>(block / page_size);
        const RunWord run = runs_.run(page);
        if (run.kind() != RunWord::span) return deallocate_large(page, run.pages());
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

    /// Returns the class of a small block; small_classes for a large one.
    [[nodiscard]] unsigned class_of(Offset block) const noexcept {
        const RunWord run = runs_.run(block / page_size);
        return run.kind() == RunWord::span ? run.size_class() : small_classes;
    }
    /// Returns the class that a small block of this size is of. @pre size <= largest_small_block
    static unsigned small_class(std::size_t size) noexcept {
        return class_of_units(size == 0 ? 1 : (size + block_alignment - 1) / block_alignment);
    }

    /// Returns how many bytes the block has room for.
    [[nodiscard]] std::size_t usable_size(Offset block) const noexcept {
        const RunWord run = runs_.run(block / page_size);
        return run.kind() == RunWord::span
                   ? static_cast<std::size_t>(units_of_class(run.size_class())) * block_alignment
                   : std::size_t{run.pages()} * page_size;
    }

    /// Returns whether the block is one of the small ones, and its size.
    [[nodiscard]] bool is_small(Offset block) const noexcept {
        return runs_.run(block / page_size).kind() == RunWord::span;
    }

    /// Makes sure that all that is in use is mapped in this process. Nearly always it is.
    void cover() const noexcept {
        if (segment_.is_partial()) [[unlikely]]
            extend();
    }
    [[gnu::cold, gnu::noinline]] void extend() const noexcept {
        if (used_space() <= segment_.mapped()) return;
        // Nobody can go on without it, and where this is called nothing may throw.
        if (!segment_.extend(used_space())) std::terminate();
    }

    /// Returns how many bytes lie before the part of the segment that is not in use: what has been
    /// used of its address space.
    [[nodiscard]] std::size_t used_space() const noexcept {
        return static_cast<std::size_t>(state_.frontier.load(std::memory_order_relaxed)) *
               page_size;
    }

    /// Puts in order what a killed process was in the middle of. Nothing waits for it: it is for
    /// the one who notices that a process has died, so that nothing lies around until the next one
    /// needs the same lock.
    void repair() noexcept {
        runs_.repair();
        RobustLock::repair_if_abandoned(state_.spans_lock, [this] { rebuild_lists(); });
    }

  private:
    static constexpr std::size_t worth_asking = std::size_t{64} << 20;
    static constexpr std::uint64_t end_of_list = 1;
    static constexpr std::uint32_t units_in_page = page_size / block_alignment;

    // --- small blocks ---

    [[nodiscard]] std::atomic<std::uint64_t>& list_of(std::uint32_t span) const noexcept {
        return runs_.record(span).blocks;
    }
    [[nodiscard]] std::atomic<std::uint64_t>& link_of(Offset block) const noexcept {
        cover();
        return *reinterpret_cast<std::atomic<std::uint64_t>*>(segment_.base() + block);
    }

    [[gnu::hot]] Offset allocate_small(unsigned size_class) {
        std::atomic<Offset>& spare = state_.small[size_class].spare;
        if (spare.load(std::memory_order_relaxed) != 0) {
            // acquire: pairs with deallocate, for what was done with the block before.
            if (const Offset block = spare.exchange(0, std::memory_order_acquire)) return block;
        }
        return allocate_from_span(size_class);
    }

    // Apart, as push: what is usual then needs no registers of its own.
    [[gnu::noinline]] Offset allocate_from_span(unsigned size_class) {
        for (;;) {
            // acquire: pairs with the release in refill and use_waiting, for the span's records.
            const std::uint32_t span =
                state_.small[size_class].current.load(std::memory_order_acquire);
            if (span != 0) [[likely]] {
                if (const Offset block = pop(span, size_class)) [[likely]]
                    return block;
            }
            refill(size_class);
        }
    }

    /// @returns 0 when the span has no free block, or is not one of this class any more
    Offset pop(std::uint32_t span, unsigned size_class) noexcept {
        std::atomic<std::uint64_t>& word = list_of(span);
        // acquire: pairs with the release in push, so that the link it wrote is seen.
        BlockList list(word.load(std::memory_order_acquire));
        while (list.is_of(size_class) && list.first() != 0) {
            const std::uint32_t place = list.first() - 1;
            const Offset block = Offset{span} * page_size + place * block_alignment;
            const std::uint32_t next = next_of(stale_read(link_of(block)), place, size_class);
            std::uint64_t expected = list.word();
            if (word.compare_exchange_weak(expected, list.popped(next).word(),
                                           std::memory_order_acquire)) {
                return block;
            }
            list = BlockList(expected);
        }
        return 0;
    }

    /// Returns the next block's place plus 1, or 0. @param place the block's own
    static std::uint32_t next_of(std::uint64_t link, std::uint32_t place,
                                 unsigned size_class) noexcept {
        if (link != 0) return static_cast<std::uint32_t>(link - 1) & 0x7FF;
        const std::uint32_t units = small_sizes.units[size_class];
        const bool is_last = place + 2 * units > small_sizes.pages[size_class] * units_in_page;
        return is_last ? 0 : place + units + 1;
    }

    /// Reads the link of a block that another process may have taken and be writing to: the value
    /// is then garbage, and the tag makes the swap that would use it fail.
    __attribute__((noinline, no_sanitize("thread"))) static std::uint64_t stale_read(
        const std::atomic<std::uint64_t>& link) noexcept {
        return *reinterpret_cast<const volatile std::uint64_t*>(&link);
    }

    [[gnu::noinline]] void push(std::uint32_t span, unsigned size_class, Offset block) noexcept {
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
    /// @param list what the word is taken to be; updated when that is wrong
    bool try_push(std::atomic<std::uint64_t>& word, BlockList& list, std::uint32_t span,
                  Offset block) noexcept {
        link_of(block).store(list.first() + std::uint64_t{1}, std::memory_order_relaxed);
        const auto place =
            static_cast<std::uint32_t>((block - Offset{span} * page_size) / block_alignment);
        std::uint64_t expected = list.word();
        // release: whoever pops the block sees its link, and all that was done with it before.
        const bool done =
            word.compare_exchange_weak(expected, list.pushed(place).word(),
                                       std::memory_order_release, std::memory_order_relaxed);
        if (!done) list = BlockList(expected);
        return done;
    }

    /// Gives a block back to a span that was full, or has no other block in use.
    [[gnu::noinline, gnu::cold]] void push_slowly(std::uint32_t span, unsigned size_class,
                                                  Offset block) noexcept {
        std::atomic<std::uint64_t>& word = list_of(span);
        bool is_empty = false;
        {
            const SpansGuard guard(*this);
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

    /// Sees to it that there is a span to take blocks from.
    [[gnu::noinline]] void refill(unsigned size_class) {
        if (use_waiting(size_class)) return;
        const FreshSpans fresh = make_spans(size_class);
        const SpansGuard guard(*this);
        SmallClass& spans = state_.small[size_class];
        // Waiting, the first one comes first. Another process may have been faster.
        for (std::uint32_t span = fresh.end; span > fresh.first;) {
            span -= small_sizes.pages[size_class];
            const bool is_next =
                span == fresh.first &&
                !has_blocks(spans.current.load(std::memory_order_relaxed), size_class);
            if (is_next) {
                spans.current.store(span, std::memory_order_release);  // pairs: allocate_from_span
            } else {
                insert_waiting(spans, span);
            }
        }
    }

    /// @returns whether there is a current span with free blocks now
    bool use_waiting(unsigned size_class) noexcept {
        const SpansGuard guard(*this);
        SmallClass& spans = state_.small[size_class];
        for (;;) {
            const std::uint32_t current = spans.current.load(std::memory_order_relaxed);
            if (current != 0 && !detach_if_full(spans, current, size_class)) return true;
            const std::uint32_t next = spans.waiting;
            if (next == 0) return false;
            remove_waiting(spans, next);
            spans.current.store(next, std::memory_order_release);
        }
    }

    /// @returns false when it has free blocks
    bool detach_if_full(SmallClass& spans, std::uint32_t span, unsigned size_class) noexcept {
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

    [[nodiscard]] bool has_blocks(std::uint32_t span, unsigned size_class) const noexcept {
        if (span == 0) return false;
        const BlockList list(list_of(span).load(std::memory_order_relaxed));
        return list.is_of(size_class) && list.first() != 0;
    }

    /// Spans that lie one behind the other.
    struct FreshSpans {
        std::uint32_t first;
        std::uint32_t end;
    };

    /// Makes some spans, all of whose blocks are free. Nobody else knows them yet.
    FreshSpans make_spans(unsigned size_class) {
        const std::uint32_t pages = small_sizes.pages[size_class];
        std::uint32_t length = pages;
        PageRuns::Run run = runs_.take_warm(pages);
        if (run.first == 0 &&
            state_.small[size_class].current.load(std::memory_order_relaxed) != 0) {
            length = most_span_pages;  // new pages cost less when they are taken together
            run = runs_.take(length);
        }
        if (run.first == 0) {
            length = pages;
            run = take_run(pages);
        }
        const std::size_t size = length * page_size;
        map_or_give_back(run, size);
        if (!run.has_pages) reserve_or_give_back(run, size);
        // The first page says so last: until then all of it is one used run.
        for (std::uint32_t page = run.first + length; page-- > run.first;) {
            const std::uint32_t distance = (page - run.first) % pages;
            if (distance == 0) {
                runs_.record(page).older = 0;  // in no list yet
                std::atomic<std::uint64_t>& word = list_of(page);
                const BlockList before(word.load(std::memory_order_relaxed));
                word.store(BlockList::all(size_class, before).word(), std::memory_order_release);
                if (!run.is_zero) clear_links(page, size_class);
            }
            runs_.set_run(page, RunWord::of_span(size_class, distance));
        }
        return {run.first, run.first + length};
    }

    /// Makes the blocks of a span a list, each linked to the one behind it.
    void clear_links(std::uint32_t span, unsigned size_class) noexcept {
        const std::size_t step = small_sizes.units[size_class] * block_alignment;
        Offset block = Offset{span} * page_size;
        for (std::uint32_t left = small_sizes.capacity[size_class]; left > 0; --left) {
            link_of(block).store(0, std::memory_order_relaxed);
            block += step;
        }
    }

    // --- the lists of spans; with the lock ---

    class SpansGuard {
      public:
        explicit SpansGuard(Allocator& allocator) noexcept
            : lock_(allocator.state_.spans_lock, [&allocator] { allocator.rebuild_lists(); }) {}

      private:
        RobustLock lock_;
    };

    void insert_waiting(SmallClass& spans, std::uint32_t span) noexcept {
        PageRecord& record = runs_.record(span);
        if (record.older != 0) return;
        record.older = 1;
        record.next = spans.waiting;
        record.previous = 0;
        if (spans.waiting != 0) runs_.record(spans.waiting).previous = span;
        spans.waiting = span;
    }
    void remove_waiting(SmallClass& spans, std::uint32_t span) noexcept {
        PageRecord& record = runs_.record(span);
        if (record.older == 0) return;
        record.older = 0;
        (record.previous != 0 ? runs_.record(record.previous).next : spans.waiting) = record.next;
        if (record.next != 0) runs_.record(record.next).previous = record.previous;
    }

    void rebuild_lists() noexcept {
        for (SmallClass& spans : state_.small) spans.waiting = 0;
        runs_.for_each([this](std::uint32_t first, RunWord run) {
            if (run.kind() != RunWord::span) return;
            SmallClass& spans = state_.small[run.size_class()];
            runs_.record(first).older = 0;
            std::atomic<std::uint64_t>& word = list_of(first);
            std::uint64_t seen = word.load();
            const auto is_waiting = [&] { return BlockList(seen).count() != 0; };
            while (!word.compare_exchange_weak(
                seen, BlockList(seen).with_attached(is_waiting()).word())) {
            }
            if (is_waiting()) insert_waiting(spans, first);
        });
        // A span that is not one any more is found out when it is used.
    }

    // --- large blocks ---

    /// @param zero where to say whether the block's bytes are known to be zero
    Offset allocate_large(std::size_t size, bool* zero) {
        if (size > segment_.size()) throw std::bad_alloc();
        if (size >= worth_asking && size > available_memory()) throw std::bad_alloc();
        std::size_t pages = (size + page_size - 1) / page_size;
        PageRuns::Run run;
        if (pages <= AllocatorState::most_spare_pages) {
            const unsigned pages_class = class_of_units(pages);
            pages = static_cast<std::size_t>(units_of_class(pages_class));
            run = {take_spare_run(pages_class), true, false};
        }
        if (run.first == 0) run = take_run(pages);
        map_or_give_back(run, size);
        if (!run.has_pages && (pages <= AllocatorState::most_spare_pages || strict_overcommit())) {
            reserve_or_give_back(run, size);
        }
        if (zero != nullptr) *zero = run.is_zero;
        return Offset{run.first} * page_size;
    }

    void deallocate_large(std::uint32_t first, std::uint32_t pages) noexcept {
        if (pages <= AllocatorState::most_spare_pages) {
            std::atomic<std::uint32_t>& spare = state_.spare_runs[class_of_units(pages)];
            std::uint32_t none = 0;
            // release: as that of small ones.
            if (spare.load(std::memory_order_relaxed) == 0 &&
                spare.compare_exchange_strong(none, first, std::memory_order_release,
                                              std::memory_order_relaxed)) {
                return;
            }
        }
        runs_.give_back(first);
    }

    /// @returns 0 when there is none
    std::uint32_t take_spare_run(unsigned pages_class) noexcept {
        std::atomic<std::uint32_t>& spare = state_.spare_runs[pages_class];
        // acquire: pairs with deallocate_large.
        return spare.load(std::memory_order_relaxed) == 0
                   ? 0
                   : spare.exchange(0, std::memory_order_acquire);
    }

    /// @throws std::bad_alloc
    PageRuns::Run take_run(std::size_t pages) {
        PageRuns::Run run = runs_.take(pages);
        if (run.first != 0) return run;
        // The spare ones may be what it lacks.
        for (unsigned pages_class = 0; pages_class < std::size(state_.spare_runs); ++pages_class) {
            if (const std::uint32_t spare = take_spare_run(pages_class)) runs_.give_back(spare);
        }
        run = runs_.take(pages);
        if (run.first == 0) throw std::bad_alloc();
        return run;
    }

    void map_or_give_back(const PageRuns::Run& run, std::size_t size) {
        const std::size_t end = Offset{run.first} * page_size + size;
        if (end <= segment_.mapped() || segment_.extend(end)) return;
        runs_.give_back_untouched(run);
        throw std::bad_alloc();
    }

    /// Makes sure that touching the run will not end in SIGBUS. Large blocks are trusted to an
    /// overcommitting kernel as malloc trusts it; spans of small blocks are used up anyway.
    void reserve_or_give_back(const PageRuns::Run& run, std::size_t size) {
        try {
            segment_.reserve_pages(Offset{run.first} * page_size, size);
        } catch (...) {
            runs_.give_back(run.first);  // it may have some pages by now
            throw;
        }
    }

    /// Whether the kernel promises no more memory than there is (vm.overcommit_memory = 2): there,
    /// a touched page of a memfd can fail with SIGBUS, so all pages are taken at allocation.
    static bool strict_overcommit() {
        static constinit CachedFact fact;
        return fact.get([] { return cgroup_number("/proc/sys/vm/overcommit_memory", 0) == 2; });
    }

    const Segment& segment_;
    AllocatorState& state_;
    PageRuns runs_;
};

}  // namespace multiprocessing::detail
