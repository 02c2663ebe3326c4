// multiprocessing/heap/burial.hpp
//
// What happens to what a process held when it has ended: whoever notices the end gives it back, for
// the process itself may have left without a destructor (a kill, _exit, exec). Floor 1. Start at
// bury.
//
// Each process has a ledger in the heap, which says of which objects it has counted handles. It is
// a list of pages of two sorts, each of them the smallest block that there is. Most objects are one
// bit in a page for the 16 KiB that they lie in, so that a handle costs next to no memory. Second
// handles on the same object, and large objects, have an entry of 8 bytes. One page more, twice as
// large, has the free blocks that the process keeps for itself. See ledger.hpp for how a process
// keeps its own. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

#include "multiprocessing/heap/object.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

/// A page of a ledger. Only the process that it belongs to adds to it, only who buries it takes it
/// away.
struct LedgerPage {
    static constexpr std::uint32_t word_count = 6;
    static constexpr std::uint32_t region_words = 4;  // so that nothing is divided to find one
    static constexpr std::uint32_t region_size = region_words * 64 * block_alignment;
    static constexpr std::uint32_t entries = UINT32_MAX;     // in place of a region
    static constexpr std::uint32_t spares = UINT32_MAX - 1;  // the same, see SparesPage

    Offset next;           //  0  of the process's pages; 0 none
    std::uint32_t region;  //  8  which one, from the segment's beginning; or `entries`
    std::uint32_t unused;  // 12
    // 16  a region's: a bit for each 64 bytes of it; entries: an object's place in the heap or,
    // odd,
    //     no object, see Ledger
    std::atomic<std::uint64_t> words[word_count];

    /// Makes an empty page. @throws std::bad_alloc
    static LedgerPage& make(std::uint32_t region) {
        auto& page = *static_cast<LedgerPage*>(allocate_zeroed(sizeof(LedgerPage)));
        page.region = region;
        return page;
    }
};
static_assert(sizeof(LedgerPage) == block_alignment);

/// Among the pages of a process: the blocks that it may take again.
struct SparesPage {
    Offset next;
    std::uint32_t region;  // LedgerPage::spares
    std::uint32_t unused;
    SpareBlocks spares;

    /// Makes an empty page. @throws std::bad_alloc
    static SparesPage& make() {
        auto& page = *static_cast<SparesPage*>(allocate_zeroed(sizeof(SparesPage)));
        page.region = LedgerPage::spares;
        return page;
    }
};
static_assert(offsetof(SparesPage, region) == offsetof(LedgerPage, region));

/// Drops the handles that a page lists. Each is crossed out first: if this process is killed
/// between the two, the object stays until the family ends, but it is never dropped twice.
inline void drop_all_of(LedgerPage& page) noexcept {
    Heap& family_heap = heap();
    for (std::uint32_t number = 0; number < LedgerPage::word_count; ++number) {
        std::atomic<std::uint64_t>& word = page.words[number];
        std::uint64_t content = word.load(std::memory_order_acquire);
        if (page.region == LedgerPage::entries) {
            if (content == 0 || (content & 1) != 0) continue;
            word.store(0, std::memory_order_release);
            drop_reference(*family_heap.at<SharedObject>(content));
            continue;
        }
        while (content != 0) {
            const auto bit = static_cast<unsigned>(std::countr_zero(content));
            content &= content - 1;
            word.store(content, std::memory_order_release);
            const Offset place = Offset{page.region} * LedgerPage::region_size +
                                 (std::size_t{number} * 64 + bit) * block_alignment;
            drop_reference(*family_heap.at<SharedObject>(place));
        }
    }
}

/// Frees the blocks that a page lists, each crossed out first too.
inline void free_all_of(SparesPage& page) noexcept {
    for (std::atomic<Offset>& spare : page.spares.blocks) {
        if (const Offset block = spare.exchange(0)) deallocate(heap().at(block));
    }
}

/// Gives back what a process held.
inline void sweep(ProcessRecord& record) noexcept {
    while (const Offset place = record.ledger.load(std::memory_order_acquire)) {
        auto& page = *heap().at<LedgerPage>(place);
        if (page.region == LedgerPage::spares) {
            free_all_of(*heap().at<SparesPage>(place));
        } else {
            drop_all_of(page);
        }
        record.ledger.store(page.next, std::memory_order_release);
        deallocate(&page);
    }
}

/// Gives back what a process held, and its place in the family's table. A second time does nothing.
/// @pre the process has ended
/// @par Processes one that is killed in here leaves the rest to the next one that calls bury, or
/// bury_orphans
inline void bury(ProcessId id) noexcept {
    if (!id) return;
    Heap& family_heap = heap();
    Family& family = family_heap.family();
    ProcessRecord& record = family[id];
    // One at a time: another one might be just giving the place to a new process.
    const RobustLock guard(family_heap.remains().sweeping, [] {});
    if (!ProcessRecord::is_of(record.state.load(), id)) return;
    RemainsState& remains = family_heap.remains();
    if (record.copies.load() == ProcessRecord::held_for && family.has_living_copies(id)) {
        remains.has_shadows.store(1);
        family.make_shadow(id);
    } else {
        sweep(record);
        // First, or a kill in between would leave a shadow that nobody looks for.
        if (record.copies.load() != ProcessRecord::none) remains.has_shadows.store(1);
        family.release(id);
    }
    family_heap.allocator().repair();
}

/// Gives back what is left of processes that have ended, and of which nobody is a copy any more.
inline void bury_shadows() noexcept {
    RemainsState& remains = heap().remains();
    const RobustLock guard(remains.sweeping, [] {});
    remains.has_shadows.store(heap().family().release_shadows(sweep));
}

/// Buries the processes that nobody else will bury: those whose parents have ended before them.
/// @returns how many there were
inline int bury_orphans() noexcept {
    int buried = 0;
    try {
        const ProcessId me = Family::unpack(local_process.id.load(std::memory_order_relaxed));
        const bool others = heap().family().find_dead_orphans(me, [&](ProcessId id) {
            bury(id);
            ++buried;
        });
        heap().remains().has_orphans.store(others, std::memory_order_relaxed);
    } catch (...) {
        // No descriptor left to look at /proc with: somebody else, or a later look, will find them.
    }
    return buried;
}

/// Takes a place in the family's table for a process that is about to start.
/// @throws std::bad_alloc when 65,535 processes live at once
inline ProcessId reserve_process(ProcessId parent, std::string_view name, ForkOrigin origin = {}) {
    Family& family = heap().family();
    try {
        return family.reserve(parent, name, origin);
    } catch (const std::bad_alloc&) {
        if (bury_orphans() == 0) throw;
        return family.reserve(parent, name, origin);
    }
}

/// Enters this process in the family's table.
[[gnu::cold, gnu::noinline]] inline ProcessId enter_family() {
    Family& family = heap().family();
    ForkOrigin origin;
    if (fork_depth() != 0) {
        // Nobody noted when it was forked: it may have inherited everything there is by now.
        origin = {family.begin_fork(), Family::unpack(local_process.forker.load())};
        family.end_fork();
        heap().remains().has_orphans.store(1, std::memory_order_relaxed);  // nobody waits for it
    }
    const ProcessId id = reserve_process({}, "", origin);
    family.activate(id, ::getpid());
    std::uint64_t none = 0;
    if (!local_process.id.compare_exchange_strong(none, Family::pack(id))) {
        family.release(id);  // another thread of this process was faster
        return Family::unpack(none);
    }
    return id;
}

/// Returns this process's place in the family's table. A process that did not come from this
/// library (the first one, or the child of the program's own fork) is entered on its first call.
inline ProcessId self() {
    const ProcessId known = Family::unpack(local_process.id.load(std::memory_order_relaxed));
    if (known) [[likely]]
        return known;
    return enter_family();
}

/// What is due when a process was seen to have ended: its burial, and that of what waited for it.
inline void note_end(ProcessId id) noexcept {
    Heap& family_heap = heap();
    // Its children are about to end too, if they are a pool's workers or daemons. Those that have
    // not by now are looked for at later ends.
    const bool had_children = id && family_heap.family()[id].has_children.load() != 0;
    bury(id);
    if (had_children || family_heap.remains().has_orphans.load(std::memory_order_relaxed) != 0) {
        bury_orphans();
    }
    if (family_heap.remains().has_shadows.load(std::memory_order_relaxed) != 0) bury_shadows();
    collect_limbo();
}

}  // namespace multiprocessing::detail
