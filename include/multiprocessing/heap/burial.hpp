// multiprocessing/heap/burial.hpp
//
// How what a process held is given back when it has ended. The process that notices the end does
// so, for the other one may have left without running destructors (a kill, _exit, exec). Floor 1.
// Start at bury.
//
// Each process has a ledger in the heap, which says on which objects it has counted handles. It is
// a list of pages of two sorts, each of them the smallest block that there is. Most objects are one
// bit in a page for the 16 KiB that they lie in, so that a handle costs next to no memory. Second
// handles on the same object, and large objects, have an entry of 8 bytes. One more page, twice as
// large, has the free blocks that the process keeps for itself. See ledger.hpp for how a process
// keeps its own. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/segment.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/heap/size_classes.hpp"

namespace multiprocessing::detail {

/// A page of a ledger. Only the process that it belongs to adds to it, and only the one that buries
/// that process takes it away.
struct LedgerPage {
    static constexpr std::uint32_t word_count = 6;
    static constexpr std::uint32_t region_words = 4;  // a power of two: no division to find one
    static constexpr std::uint32_t region_size = region_words * 64 * block_alignment;
    static constexpr std::uint32_t entries = UINT32_MAX;     // in place of a region
    static constexpr std::uint32_t spares = UINT32_MAX - 1;  // the same, see SparesPage

    Offset next;           //  0  of the process's pages; 0 none
    std::uint32_t region;  //  8  its number from the segment's beginning; or `entries`
    std::uint32_t unused;  // 12
    // 16  a region's: a bit for each 64 bytes of it. Entries: an object's place in the heap; an odd
    //     one is no object, see Ledger in ledger.ipp
    std::atomic<std::uint64_t> words[word_count];

    /// Makes an empty page. @throws std::bad_alloc
    static LedgerPage& make(std::uint32_t region);
};
static_assert(sizeof(LedgerPage) == block_alignment);

/// One page of a ledger: the free blocks that the process keeps, to take them again.
struct SparesPage {
    Offset next;
    std::uint32_t region;  // LedgerPage::spares
    std::uint32_t unused;
    SpareBlocks spares;

    /// Makes an empty page. @throws std::bad_alloc
    static SparesPage& make();
};
static_assert(offsetof(SparesPage, region) == offsetof(LedgerPage, region));

/// Gives back what a process held, and its place in the family's table. A second time does nothing.
/// @pre the process has ended
/// @par Processes a process that is killed in here leaves the rest to the next one that calls bury,
/// or bury_orphans
void bury(ProcessId id) noexcept;

/// Buries the processes that nobody else will bury: those whose parents have ended before them.
/// @returns how many there were
int bury_orphans() noexcept;

/// Takes a place in the family's table for a process that is about to start.
/// @throws std::bad_alloc when 65,535 processes live at once
ProcessId reserve_process(ProcessId parent, std::string_view name, ForkOrigin origin = {});

/// Enters this process in the family's table.
[[gnu::cold]] ProcessId enter_family();

/// Returns this process's place in the family's table, or none while it has none. It is for
/// questions such as whether this process holds something: without a place it does not.
inline ProcessId known_self() noexcept {
    return Family::unpack(local_process.id.load(std::memory_order_relaxed));
}

/// Returns this process's place in the family's table. A process that did not come from this
/// library (the first one, or the child of the program's own fork) is entered on its first call.
/// @throws std::bad_alloc when 65,535 processes live at once
inline ProcessId self() {
    const ProcessId known = known_self();
    if (known) [[likely]]
        return known;
    return enter_family();
}

/// Does what is due when a process was seen to have ended: buries it, and what waited for its end.
void note_end(ProcessId id) noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/burial.ipp"
#endif
