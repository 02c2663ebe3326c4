// multiprocessing/heap/allocator.hpp
//
// The allocator of the shared segment. A process may be killed between any two instructions of it,
// so there is no lock: every change is one compare-and-swap, after which the next process finds all
// in order. What the victim was about to hand out or take back is lost until the family ends, no
// more. Floor 1. Start at Allocator::allocate. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "multiprocessing/heap/segment.hpp"

namespace multiprocessing::detail {

// Small blocks are carved out of spans of 64 KiB, a span holding blocks of one size; larger blocks
// are runs of whole spans. Both come in classes of four sizes a power of two, so at most a fifth of
// a block is unused, and of a large block that fifth is never touched.

constexpr std::size_t block_alignment = 64;  // a cache line: no two blocks share one
constexpr std::size_t span_size = std::size_t{1} << 16;
constexpr std::size_t largest_small_block = std::size_t{1} << 13;

/// Returns the class of a size counted in units: 0 … 7 are the sizes 1 … 8, then four classes for
/// each doubling (10, 12, 14, 16, 20, …). @pre units > 0
constexpr unsigned class_of_units(std::uint64_t units) noexcept {
    if (units <= 8) return static_cast<unsigned>(units - 1);
    const unsigned log = static_cast<unsigned>(std::bit_width(units - 1)) - 1;
    return 8 + (log - 3) * 4 + static_cast<unsigned>(((units - 1) >> (log - 2)) & 3);
}

/// Returns the size, in units, of the blocks of a class.
constexpr std::uint64_t units_of_class(unsigned size_class) noexcept {
    if (size_class < 8) return size_class + 1;
    const unsigned step = size_class - 8;
    return static_cast<std::uint64_t>(5 + step % 4) << (step / 4 + 1);
}

constexpr unsigned small_classes = class_of_units(largest_small_block / block_alignment) + 1;
constexpr unsigned large_classes = class_of_units(std::uint64_t{1} << 25) + 1;  // 2 TiB of spans
static_assert(units_of_class(class_of_units(9)) == 10 && units_of_class(class_of_units(16)) == 16);
static_assert(units_of_class(small_classes - 1) * block_alignment == largest_small_block);

/// What is known of a span. It is kept apart from the span, so that a free one needs no memory.
struct SpanRecord {
    std::atomic<std::uint32_t> next_free;  //  0  large blocks: the next of the free list, 0 none
    std::atomic<std::uint8_t> size_class;  //  4  small: its class; large: small_classes + its class
    std::byte unused[3];                   //  5
};
static_assert(sizeof(SpanRecord) == 8);

/// The blocks of one size. A word that is compared and swapped carries a tag that changes with
/// every swap: otherwise a list that was popped and pushed meanwhile would look unchanged (ABA).
struct alignas(64) SmallClass {
    std::atomic<std::uint64_t> free;   //  0  first free block: place (36 bits) | tag (28 bits)
    std::atomic<std::uint64_t> carve;  //  8  fresh blocks: place (36 bits) | how many (28 bits)
    std::byte unused[48];              // 16
};
static_assert(sizeof(SmallClass) == 64);

/// The allocator's part of the segment's first pages.
struct AllocatorState {
    std::atomic<std::uint64_t> frontier;  // the first span that was never used
    std::atomic<std::int64_t> retained;   // bytes of free blocks with pages
    std::byte unused[48];                 //
    SmallClass small[small_classes];      //
    // The first free one: span | tag << 32. Those that have kept their pages are apart, or the ones
    // freed after them, which have not, would be handed out first and keep them there for ever.
    std::atomic<std::uint64_t> warm[large_classes];
    std::atomic<std::uint64_t> cold[large_classes];
};

/// Allocates in a segment that many processes use at once.
class Allocator {
  public:
    /// Uses the segment, whose beginning holds `state` and, from `records_at` on, a SpanRecord for
    /// each span; `first_span` is the first to hand out. All of it is zero in a new segment.
    Allocator(const Segment& segment, AllocatorState& state, Offset records_at)
        : segment_(segment),
          state_(state),
          records_(reinterpret_cast<SpanRecord*>(segment.base() + records_at)),
          spans_(segment.size() / span_size) {}

    /// Returns the bytes that the records of a segment's spans take.
    static constexpr std::size_t records_size(std::size_t segment_size) {
        return segment_size / span_size * sizeof(SpanRecord);
    }

    /// Opens a new segment for allocation from `first_free` on. Once, by its maker.
    void initialize(Offset first_free) {
        state_.frontier.store((first_free + span_size - 1) / span_size);
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
    void deallocate(Offset block) noexcept {
        const unsigned size_class = record_of(block).size_class.load(std::memory_order_relaxed);
        if (size_class < small_classes) {
            push_small(state_.small[size_class], block);
        } else {
            free_large(static_cast<std::uint32_t>(block / span_size), size_class - small_classes);
        }
    }

    /// Returns how many bytes the block has room for.
    [[nodiscard]] std::size_t usable_size(Offset block) const noexcept {
        const unsigned size_class = record_of(block).size_class.load(std::memory_order_relaxed);
        return size_class < small_classes ? units_of_class(size_class) * block_alignment
                                          : units_of_class(size_class - small_classes) * span_size;
    }

  private:
    static constexpr unsigned place_bits = 36;  // × 64 bytes: 4 TiB
    static constexpr std::uint64_t place_mask = (std::uint64_t{1} << place_bits) - 1;
    static constexpr std::uint64_t one_tag = std::uint64_t{1} << place_bits;
    static constexpr std::int64_t retained_limit = 8 << 20;
    static constexpr std::size_t worth_asking = std::size_t{64} << 20;

    static unsigned small_class(std::size_t size) noexcept {
        return class_of_units(size == 0 ? 1 : (size + block_alignment - 1) / block_alignment);
    }

    SpanRecord& record_of(Offset block) const noexcept { return records_[block / span_size]; }

    std::atomic<std::uint64_t>& link_of(Offset block) const noexcept {
        return *reinterpret_cast<std::atomic<std::uint64_t>*>(segment_.base() + block);
    }

    // --- small blocks ---

    [[gnu::hot]] Offset allocate_small(unsigned size_class) {
        SmallClass& blocks = state_.small[size_class];
        // acquire: pairs with the release in push_small, so that the link it wrote is seen.
        std::uint64_t head = blocks.free.load(std::memory_order_acquire);
        while ((head & place_mask) != 0) {
            const Offset block = (head & place_mask) * block_alignment;
            const std::uint64_t next = stale_read(link_of(block)) & place_mask;
            const std::uint64_t tagged = next | ((head & ~place_mask) + one_tag);
            if (blocks.free.compare_exchange_weak(head, tagged, std::memory_order_acquire)) {
                return block;
            }
        }
        return carve(blocks, size_class);
    }

    /// Reads the link of a block that another process may have taken and be writing to: the value
    /// is then garbage, and the tag makes the swap that would use it fail.
    __attribute__((noinline, no_sanitize("thread"))) static std::uint64_t stale_read(
        const std::atomic<std::uint64_t>& link) noexcept {
        return *reinterpret_cast<const volatile std::uint64_t*>(&link);
    }

    void push_small(SmallClass& blocks, Offset block) noexcept {
        std::uint64_t head = blocks.free.load(std::memory_order_relaxed);
        std::uint64_t tagged = 0;
        do {
            link_of(block).store(head & place_mask, std::memory_order_relaxed);
            tagged = block / block_alignment | ((head & ~place_mask) + one_tag);
            // release: whoever pops the block sees its link, and all that was done with it before.
        } while (!blocks.free.compare_exchange_weak(head, tagged, std::memory_order_release,
                                                    std::memory_order_relaxed));
    }

    /// Takes a block that was never used. No ABA here: a place is carved once.
    Offset carve(SmallClass& blocks, unsigned size_class) {
        const std::uint64_t units = units_of_class(size_class);
        std::uint64_t fresh = blocks.carve.load(std::memory_order_acquire);
        for (;;) {
            if (fresh >> place_bits == 0) {
                const Offset span = allocate_large(span_size, nullptr);
                const auto count = span_size / (units * block_alignment);
                record_of(span).size_class.store(static_cast<std::uint8_t>(size_class),
                                                 std::memory_order_relaxed);
                const std::uint64_t rest =
                    (span / block_alignment + units) | ((count - 1) << place_bits);
                // release: whoever carves from the span sees its class.
                if (blocks.carve.compare_exchange_strong(fresh, rest, std::memory_order_acq_rel)) {
                    return span;
                }
                // Another one was faster: its span has room for us both.
                record_of(span).size_class.store(small_classes, std::memory_order_relaxed);
                free_large(static_cast<std::uint32_t>(span / span_size), 0);
            } else if (blocks.carve.compare_exchange_weak(fresh, fresh + units - one_tag,
                                                          std::memory_order_acq_rel)) {
                return (fresh & place_mask) * block_alignment;
            }
        }
    }

    // --- large blocks ---

    /// @param zero where to say whether the block's bytes are known to be zero
    Offset allocate_large(std::size_t size, bool* zero) {
        if (size > segment_.size()) throw std::bad_alloc();
        if (size >= worth_asking && size > available_memory()) throw std::bad_alloc();
        const unsigned size_class = class_of_units((size + span_size - 1) / span_size);
        std::uint32_t span = pop_large(state_.warm[size_class]);
        const bool has_pages = span != 0;
        if (span == 0) span = pop_large(state_.cold[size_class]);
        if (span == 0) span = take_from_frontier(units_of_class(size_class));
        if (span == 0) span = take_from_larger(size_class);
        if (span == 0) throw std::bad_alloc();
        records_[span].size_class.store(static_cast<std::uint8_t>(small_classes + size_class),
                                        std::memory_order_relaxed);
        if (has_pages) {
            state_.retained.fetch_sub(bytes_of(size_class), std::memory_order_relaxed);
        } else if (size <= span_size || strict_overcommit()) {
            reserve_or_give_back(span, size_class, size);
        }
        if (zero != nullptr) *zero = !has_pages;
        return Offset{span} * span_size;
    }

    /// Makes sure that touching the block will not end in SIGBUS. Large ones are trusted to an
    /// overcommitting kernel as malloc trusts it; spans of small blocks are used up anyway.
    void reserve_or_give_back(std::uint32_t span, unsigned size_class, std::size_t size) {
        try {
            segment_.reserve_pages(Offset{span} * span_size, size);
        } catch (...) {
            free_large(span, size_class);
            throw;
        }
    }

    /// A freed block keeps its pages for the next one of its size: taking them anew costs ten times
    /// what filling them does (1 MiB through a queue: 850 µs instead of 40). A few blocks are
    /// enough for those who come and go, so that what many blocks held goes back.
    void free_large(std::uint32_t span, unsigned size_class) noexcept {
        const std::int64_t size = bytes_of(size_class);
        if (2 * size > retained_limit || has_enough_warm(size_class)) {
            return free_cold(span, size_class);
        }
        std::int64_t retained = state_.retained.fetch_add(size, std::memory_order_relaxed) + size;
        push_large(state_.warm[size_class], span);
        while (retained > retained_limit && release_warm(size_class)) {
            retained = state_.retained.load(std::memory_order_relaxed);
        }
    }

    /// Returns whether as many free blocks of the size have kept their pages as ever may. Others
    /// change the list meanwhile, and a wrong answer does no harm.
    [[nodiscard]] bool has_enough_warm(unsigned size_class) const noexcept {
        constexpr int enough = 8;
        auto span =
            static_cast<std::uint32_t>(state_.warm[size_class].load(std::memory_order_acquire));
        int count = 0;
        for (; span != 0 && count < enough; ++count) {
            span = static_cast<std::uint32_t>(
                records_[span].next_free.load(std::memory_order_relaxed));
        }
        return count == enough;
    }

    /// Takes the pages from one free block that has kept its own: of the largest size but this one,
    /// which is the one that will be wanted next. @returns whether there was any
    [[gnu::noinline]] bool release_warm(unsigned wanted) noexcept {
        for (unsigned size_class = large_classes; size_class-- > 0;) {
            if (size_class != wanted && release_warm_of(size_class)) return true;
        }
        return release_warm_of(wanted);
    }
    bool release_warm_of(unsigned size_class) noexcept {
        const std::uint32_t span = pop_large(state_.warm[size_class]);
        if (span == 0) return false;
        state_.retained.fetch_sub(bytes_of(size_class), std::memory_order_relaxed);
        free_cold(span, size_class);
        return true;
    }

    void free_cold(std::uint32_t span, unsigned size_class) noexcept {
        segment_.release_pages(Offset{span} * span_size, units_of_class(size_class) * span_size);
        push_large(state_.cold[size_class], span);
    }

    static std::int64_t bytes_of(unsigned size_class) noexcept {
        return static_cast<std::int64_t>(units_of_class(size_class) * span_size);
    }

    std::uint32_t pop_large(std::atomic<std::uint64_t>& list) noexcept {
        // acquire: pairs with push_large, for the record's fields.
        std::uint64_t head = list.load(std::memory_order_acquire);
        while (static_cast<std::uint32_t>(head) != 0) {
            const auto span = static_cast<std::uint32_t>(head);
            const std::uint64_t next = records_[span].next_free.load(std::memory_order_relaxed);
            const std::uint64_t tagged = next | (((head >> 32) + 1) << 32);
            if (list.compare_exchange_weak(head, tagged, std::memory_order_acquire)) return span;
        }
        return 0;
    }

    void push_large(std::atomic<std::uint64_t>& list, std::uint32_t span) noexcept {
        std::uint64_t head = list.load(std::memory_order_relaxed);
        std::uint64_t tagged = 0;
        do {
            records_[span].next_free.store(static_cast<std::uint32_t>(head),
                                           std::memory_order_relaxed);
            tagged = span | (((head >> 32) + 1) << 32);
        } while (!list.compare_exchange_weak(head, tagged, std::memory_order_release,
                                             std::memory_order_relaxed));
    }

    std::uint32_t take_from_frontier(std::uint64_t spans) noexcept {
        std::uint64_t first = state_.frontier.load(std::memory_order_relaxed);
        do {
            if (spans > spans_ - first) return 0;
        } while (!state_.frontier.compare_exchange_weak(first, first + spans,
                                                        std::memory_order_relaxed));
        return static_cast<std::uint32_t>(first);
    }

    /// Once the segment is used up: splits a free block of a larger class, and frees what is over.
    std::uint32_t take_from_larger(unsigned size_class) noexcept {
        for (unsigned larger = size_class + 1; larger < large_classes; ++larger) {
            std::uint32_t span = pop_large(state_.cold[larger]);
            if (span == 0) {
                span = pop_large(state_.warm[larger]);
                if (span == 0) continue;
                state_.retained.fetch_sub(bytes_of(larger), std::memory_order_relaxed);
                segment_.release_pages(Offset{span} * span_size,
                                       units_of_class(larger) * span_size);
            }
            free_run(span + static_cast<std::uint32_t>(units_of_class(size_class)),
                     units_of_class(larger) - units_of_class(size_class));
            return span;
        }
        return 0;
    }

    /// Frees a run of untouched spans as blocks of the largest classes that fit.
    void free_run(std::uint32_t span, std::uint64_t spans) noexcept {
        while (spans > 0) {
            unsigned size_class = class_of_units(spans);
            if (units_of_class(size_class) > spans) --size_class;
            push_large(state_.cold[size_class], span);
            span += static_cast<std::uint32_t>(units_of_class(size_class));
            spans -= units_of_class(size_class);
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
    SpanRecord* records_;
    std::uint64_t spans_;
};

}  // namespace multiprocessing::detail
