// multiprocessing/pool/entry_list.hpp
//
// The owner's side of the board's list of entries: it adds to the end, and frees what the workers
// have passed and no longer look at. Floor 5. Start at EntryList::append.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "multiprocessing/pool/board.hpp"
#include "multiprocessing/pool/pending_batch.hpp"

namespace multiprocessing::detail {

/// The entries of a board. Its user has a lock; the workers meanwhile take from it without one.
class EntryList {
  public:
    /// The list is never empty, so that adding to it and taking from it do not meet.
    void open(PoolBoard& board) {
        board_ = &board;
        last_ = static_cast<Entry*>(allocate_zeroed(sizeof(Entry)));
        board.head.store(heap().offset_of(last_));
        entries_.push_back({last_, nullptr});
    }

    /// @param pending whose entry it is; it lives until no worker looks at the entry any more
    void append(Entry& entry, std::shared_ptr<PendingBatch> pending) {
        appended_bytes_ += pending->size();
        entries_.push_back({&entry, std::move(pending)});
        // seq_cst, so that a worker that read the number of work before reads the entry after it.
        std::exchange(last_, &entry)->next.store(heap().offset_of(&entry));
    }

    /// Frees the entries that the head has passed and no worker looks at.
    void free_passed() {
        // A scan frees many small ones at a time. Large ones go as soon as may be: in a block that
        // was not in use yet every process has to map each page, which takes longer than to fill
        // it.
        constexpr std::uint64_t large = std::uint64_t{1} << 14;
        const bool is_due = entries_.size() >= 2 * board_->worker_count + 8;
        if (!is_due && appended_bytes_ < large) return;
        appended_bytes_ = 0;
        scan();
    }

    /// Frees all. @pre no worker is left
    [[gnu::cold]] void clear() noexcept {
        for (const Listed& listed : passed_) free(listed);
        for (const Listed& listed : entries_) free(listed);
        passed_.clear();
        entries_.clear();
    }

    [[nodiscard, gnu::cold]] bool has_untaken_chunks() const noexcept {
        for (const Listed& listed : entries_) {
            if (listed.entry->cursor.load() < listed.entry->end) return true;
        }
        return false;
    }

    /// Returns the batch that lies at `offset`, if it has an entry.
    [[nodiscard, gnu::cold]] std::shared_ptr<PendingBatch> find(Offset offset) const noexcept {
        const auto has_it = [offset](const Listed& listed) {
            return listed.pending && heap().offset_of(&**listed.pending) == offset;
        };
        if (const auto found = std::ranges::find_if(passed_, has_it); found != passed_.end()) {
            return found->pending;
        }
        const auto found = std::ranges::find_if(entries_, has_it);
        return found != entries_.end() ? found->pending : nullptr;
    }

  private:
    struct Listed {
        Entry* entry;
        std::shared_ptr<PendingBatch> pending;  // none for the first
    };

    [[gnu::noinline]] void scan() {
        const Offset head = board_->head.load();
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

    [[nodiscard]] bool is_looked_at(const Listed& listed) const noexcept {
        const Offset offset = heap().offset_of(listed.entry);
        for (std::uint32_t slot = 0; slot < board_->worker_count; ++slot) {
            if (board_->slots()[slot].entry.load() == offset) return true;
        }
        return false;
    }

    static void free(const Listed& listed) noexcept {
        // A batch's own entry lies in its block, which goes with the last owner of `pending`.
        const bool lies_in_batch = listed.pending && listed.entry == &(*listed.pending)->whole;
        if (!lies_in_batch) deallocate(listed.entry);
    }

    PoolBoard* board_ = nullptr;
    Entry* last_ = nullptr;
    std::uint64_t appended_bytes_ = 0;  // since the last scan
    std::deque<Listed> entries_;        // from the head on, or a little before
    std::vector<Listed> passed_;
};

}  // namespace multiprocessing::detail
