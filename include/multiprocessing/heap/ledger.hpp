// multiprocessing/heap/ledger.hpp
//
// This process's ledger: on which objects it has counted handles, so that these can be dropped for
// it when it ends without running destructors. Floor 1. Start at note_handle; burial.hpp has the
// pages.
//
// A handle is noted once it is counted, and crossed out before its count is dropped. So a process
// that is killed between the two steps leaves a count too many, and never one too few. What the
// note needs is made before, so that they are a few instructions apart.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/single_threaded.h>

#include <atomic>
#include <cstdint>

#include "multiprocessing/heap/burial.hpp"
#include "multiprocessing/heap/object.hpp"
#include "multiprocessing/heap/segment.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/heap/size_classes.hpp"

namespace multiprocessing::detail {

/// Where a handle is noted.
enum class LedgerPlace : std::uint32_t {
    // There was no memory: the handle stays counted if the process ends without destructors.
    nowhere = 0,
    bit = 1,               // the object's bit in the page for its region
    first_entry = 2,       // … and so on: the entries, one after the other
    borrowed = UINT32_MAX  // it does not count: another handle lives at least as long
};

/// An object's bit, in the page of a ledger that is for its region.
struct LedgerBit {
    explicit LedgerBit(Offset object) noexcept
        : region(static_cast<std::uint32_t>(object / LedgerPage::region_size)),
          word(static_cast<std::uint32_t>(object / (64 * block_alignment) %
                                          LedgerPage::region_words)),
          bit(std::uint64_t{1} << object / block_alignment % 64) {}
    std::uint32_t region;
    std::uint32_t word;
    std::uint64_t bit;

    // Only this process changes its words, so one with a single thread needs no locked instruction,
    // which would be half of what a handle costs. The C library knows of the second thread before
    // there is one.

    /// @returns false when it was set
    [[nodiscard]] bool set_in(LedgerPage& page) const noexcept {
        std::atomic<std::uint64_t>& place = page.words[word];
        if (!__libc_single_threaded) {
            // release: the process that buries this one finds the object made.
            return (place.fetch_or(bit, std::memory_order_release) & bit) == 0;
        }
        const std::uint64_t before = place.load(std::memory_order_relaxed);
        place.store(before | bit, std::memory_order_release);
        return (before & bit) == 0;
    }
    void clear_in(LedgerPage& page) const noexcept {
        std::atomic<std::uint64_t>& place = page.words[word];
        if (!__libc_single_threaded) {
            place.fetch_and(~bit, std::memory_order_release);
        } else {
            place.store(place.load(std::memory_order_relaxed) & ~bit, std::memory_order_release);
        }
    }
};

/// The page in which this thread noted a handle last: most handles come and go near each other. A
/// page of a living process is never taken away, so it is good as long as the process is the same.
struct LastPage {
    std::uint64_t key;  // see key_of
    LedgerPage* page;

    /// Returns a number for the region in this process, which differs from that of its forked
    /// children.
    static std::uint64_t key_of(std::uint32_t region) noexcept {
        return std::uint64_t{fork_depth()} << 32 | region;
    }
    [[nodiscard]] bool is_of_this_process() const noexcept { return key >> 32 == fork_depth(); }
    /// Returns whether it is the page of an object's bit.
    [[nodiscard]] bool has(const LedgerBit& place) const noexcept {
        return key == key_of(place.region);
    }
};
inline constinit thread_local LastPage last_page{UINT64_MAX, nullptr};

/// Begins this process's ledger, unless there is one, or no memory for it.
void begin_ledger() noexcept;

/// Notes a handle on an object whose bit is not in the last page.
LedgerPlace note_handle_elsewhere(Offset place) noexcept;

/// Takes a reference on an object whose bit is not in the last page, and notes it.
LedgerPlace take_reference_elsewhere(SharedObject& object) noexcept;

/// Notes a handle on an object whose bit is set already.
LedgerPlace note_second_handle(Offset place) noexcept;

/// Crosses out a handle that is not in the last page, or has no bit.
void erase_handle_elsewhere(LedgerPlace place, Offset offset) noexcept;

/// Notes a counted handle of this process.
/// @returns where; nowhere when there is no memory left to note it
inline LedgerPlace note_handle(const SharedObject& object) noexcept {
    const Offset offset = heap().offset_of(&object);
    const LedgerBit place(offset);
    if (!last_page.has(place)) return note_handle_elsewhere(offset);
    return place.set_in(*last_page.page) ? LedgerPlace::bit : note_second_handle(offset);
}

/// Takes a new reference on an object that is alive, and notes it.
/// @returns where; nowhere when there is no memory left to note it
inline LedgerPlace take_reference(SharedObject& object) noexcept {
    const Offset offset = heap().offset_of(&object);
    const LedgerBit place(offset);
    if (!last_page.has(place)) return take_reference_elsewhere(object);
    add_reference(object);
    return place.set_in(*last_page.page) ? LedgerPlace::bit : note_second_handle(offset);
}

/// Sees to it that there is a ledger, before an object is made that is to be noted in it.
inline void prepare_ledger() noexcept {
    if (!last_page.is_of_this_process()) begin_ledger();
}

/// Crosses a handle out that this process has noted.
inline void erase_handle(LedgerPlace place, const SharedObject& object) noexcept {
    if (place == LedgerPlace::nowhere) return;
    const Offset offset = heap().offset_of(&object);
    const LedgerBit bit(offset);
    if (place != LedgerPlace::bit || !last_page.has(bit)) {
        return erase_handle_elsewhere(place, offset);
    }
    bit.clear_in(*last_page.page);
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/ledger.ipp"
#endif
