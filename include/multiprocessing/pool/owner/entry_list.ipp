// multiprocessing/pool/owner/entry_list.ipp
//
// How the owner frees a board's entries, and looks through them: see entry_list.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/entry_list.hpp"

#include <algorithm>
#include <new>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void EntryList::open(PoolBoard& board, std::atomic<Offset>& head,
                                            std::atomic<std::uint64_t>* added) {
    board_ = &board;
    head_ = &head;
    added_ = added;
    entries_.push_back({nullptr, nullptr});
    last_ = static_cast<Entry*>(allocate_zeroed(sizeof(Entry)));
    entries_.back().entry = last_;
    head.store(heap().offset_of(last_));
}

MULTIPROCESSING_INLINE void EntryList::withdraw() noexcept { entries_.pop_back(); }

MULTIPROCESSING_INLINE void EntryList::free_passed() noexcept {
    // A scan frees many small ones at a time. Large ones are freed as soon as possible: in a block
    // that was not in use yet, every process has to map each page, which takes longer than to fill
    // the page.
    constexpr std::uint64_t large = std::uint64_t{1} << 14;
    const bool is_due =
        entries_.size() >= 2 * board_->worker_count.load(std::memory_order_relaxed) + 8;
    if (!is_due && appended_bytes_ < large) return;
    appended_bytes_ = 0;
    try {
        scan();
    } catch (const std::bad_alloc&) {
    }
}

MULTIPROCESSING_INLINE void EntryList::clear() noexcept {
    for (const Listed& listed : passed_) free(listed);
    for (const Listed& listed : entries_) free(listed);
    passed_.clear();
    entries_.clear();
}

MULTIPROCESSING_INLINE std::uint32_t EntryList::count_untaken(std::uint32_t most) const noexcept {
    std::uint32_t count = 0;
    for (const Listed& listed : entries_) {
        const std::uint32_t next = listed.entry->cursor.load();
        if (next < listed.entry->end) count += (std::min)(most - count, listed.entry->end - next);
        if (count == most) break;
    }
    return count;
}

MULTIPROCESSING_INLINE std::shared_ptr<PendingBatch> EntryList::find(Offset offset) const noexcept {
    const auto has_it = [offset](const Listed& listed) {
        return listed.pending && heap().offset_of(&**listed.pending) == offset;
    };
    if (const auto found = std::ranges::find_if(passed_, has_it); found != passed_.end()) {
        return found->pending;
    }
    const auto found = std::ranges::find_if(entries_, has_it);
    return found != entries_.end() ? found->pending : nullptr;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void EntryList::scan() {
    const Offset head = head_->load();
    while (heap().offset_of(entries_.front().entry) != head) {
        passed_.push_back(std::move(entries_.front()));
        entries_.pop_front();
    }
    std::erase_if(passed_, [this](const Listed& listed) {
        if (is_looked_at(listed)) return false;
        free(listed);
        return true;
    });
}

MULTIPROCESSING_INLINE bool EntryList::is_looked_at(const Listed& listed) const noexcept {
    const Offset offset = heap().offset_of(listed.entry);
    const std::uint32_t count = board_->worker_count.load(std::memory_order_relaxed);
    for (std::uint32_t slot = 0; slot < count; ++slot) {
        if (board_->worker_slots()[slot].entry.load() == offset) return true;
    }
    return false;
}

MULTIPROCESSING_INLINE void EntryList::free(const Listed& listed) noexcept {
    // A batch's own entry lies in its block. The block is freed with the last owner of `pending`.
    const bool lies_in_batch = listed.pending && listed.entry == &(*listed.pending)->whole;
    if (!lies_in_batch) deallocate(listed.entry);
}

}  // namespace multiprocessing::detail
