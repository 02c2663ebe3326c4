// multiprocessing/heap/burial.ipp
//
// How ended processes are buried, and new ones entered: see burial.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/burial.hpp"

#include <unistd.h>

#include <bit>
#include <new>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/sanitizers.hpp"
#include "multiprocessing/heap/object.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE LedgerPage& LedgerPage::make(std::uint32_t region) {
    auto& page = *static_cast<LedgerPage*>(allocate_zeroed(sizeof(LedgerPage)));
    page.region = region;
    return page;
}

MULTIPROCESSING_INLINE SparesPage& SparesPage::make() {
    auto& page = *static_cast<SparesPage*>(allocate_zeroed(sizeof(SparesPage)));
    page.region = LedgerPage::spares;
    return page;
}

/// Drops the handles that a page lists. Each is crossed out first. If this process is killed
/// between the two steps, the object stays until the family ends, but it is never dropped twice.
MULTIPROCESSING_INLINE void drop_all_of(LedgerPage& page) noexcept {
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
MULTIPROCESSING_INLINE void free_all_of(SparesPage& page) noexcept {
    for (std::atomic<Offset>& spare : page.spares.blocks) {
        const Offset block = spare.exchange(0);
        if (block == 0) continue;
        deallocate(note_taken_over(heap().at(block)));
    }
}

/// Gives back what a process held.
MULTIPROCESSING_INLINE void sweep(ProcessRecord& record) noexcept {
    while (const Offset place = record.ledger.load(std::memory_order_acquire)) {
        auto& page = *note_taken_over(heap().at<LedgerPage>(place));
        if (page.region == LedgerPage::spares) {
            free_all_of(*heap().at<SparesPage>(place));
        } else {
            drop_all_of(page);
        }
        record.ledger.store(page.next, std::memory_order_release);
        deallocate(&page);
    }
}

MULTIPROCESSING_INLINE void bury(ProcessId id) noexcept {
    if (!id) return;
    Heap& family_heap = heap();
    Family& family = family_heap.family();
    ProcessRecord& record = family[id];
    // One at a time: another process might just be giving the place to a new one.
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
MULTIPROCESSING_INLINE void bury_shadows() noexcept {
    RemainsState& remains = heap().remains();
    const RobustLock guard(remains.sweeping, [] {});
    remains.has_shadows.store(heap().family().release_shadows(sweep));
}

MULTIPROCESSING_INLINE int bury_orphans() noexcept {
    int buried = 0;
    try {
        const bool others = heap().family().bury_dead_orphans(known_self(), bury, buried);
        heap().remains().has_orphans.store(others, std::memory_order_relaxed);
    } catch (...) {
        // No descriptor left to look at /proc with: somebody else, or a later look, will find them.
    }
    return buried;
}

MULTIPROCESSING_INLINE ProcessId reserve_process(ProcessId parent, std::string_view name,
                                                 ForkOrigin origin) {
    Family& family = heap().family();
    try {
        return family.reserve(parent, name, origin);
    } catch (const std::bad_alloc&) {
        if (bury_orphans() == 0) throw;
        return family.reserve(parent, name, origin);
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE ProcessId enter_family() {
    Family& family = heap().family();
    ForkOrigin origin;
    if (fork_depth() != 0) {
        // Nobody noted when it was forked: it may have inherited all that there is by now.
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

MULTIPROCESSING_INLINE void note_end(ProcessId id) noexcept {
    Heap& family_heap = heap();
    // Its children are about to end too, if they are a pool's workers or daemons. Those that have
    // not ended yet are looked for when other processes end.
    const bool had_children = id && family_heap.family()[id].has_children.load() != 0;
    bury(id);
    if (had_children || family_heap.remains().has_orphans.load(std::memory_order_relaxed) != 0) {
        bury_orphans();
    }
    if (family_heap.remains().has_shadows.load(std::memory_order_relaxed) != 0) bury_shadows();
    collect_limbo();
}

}  // namespace multiprocessing::detail
