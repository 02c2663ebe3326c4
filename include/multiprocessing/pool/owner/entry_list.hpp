// multiprocessing/pool/owner/entry_list.hpp
//
// The owner's side of the board's list of entries. It adds to the end, and frees the entries that
// the workers have passed and no longer look at. Floor 5. Start at EntryList::append.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/owner/pending_batch.hpp"

namespace multiprocessing::detail {

/// The entries of one of a board's lists. The caller holds a lock, the same one each time.
/// Meanwhile the workers take from the list without a lock.
class EntryList {
  public:
    /// The list is never empty, so that adding to it and taking from it do not meet.
    /// @param head  where the workers begin
    /// @param added see Lane; may be null
    void open(PoolBoard& board, std::atomic<Offset>& head,
              std::atomic<std::uint64_t>* added = nullptr);

    /// @param pending whose entry it is; it lives until no worker looks at the entry any more
    void append(Entry& entry, std::shared_ptr<PendingBatch> pending) {
        prepare(entry, std::move(pending));
        publish(entry);
    }

    /// Does the first half: what may need memory. @throws std::bad_alloc; then nothing has changed
    void prepare(Entry& entry, std::shared_ptr<PendingBatch> pending) {
        entries_.push_back({&entry, std::move(pending)});
    }
    /// Does the other half: the workers see the entry that was prepared last.
    void publish(Entry& entry) noexcept {
        appended_bytes_ += entries_.back().pending->size();
        // seq_cst: a worker reads PoolBoard::work first and this pointer after it, see
        // announce_work.
        std::exchange(last_, &entry)->next.store(heap().offset_of(&entry));
        if (added_ != nullptr) added_->fetch_add(1);
    }
    /// Takes back the entry that was prepared last.
    [[gnu::cold]] void withdraw() noexcept;

    /// Frees the entries that the head has passed and no worker looks at. Without memory to note
    /// them, the next call does it: the entry that was published just before is the workers' by
    /// now.
    void free_passed() noexcept;

    /// Frees all. @pre no worker is left
    [[gnu::cold]] void clear() noexcept;

    /// Returns how many chunks no worker has taken; at most `most`.
    [[nodiscard, gnu::cold]] std::uint32_t count_untaken(std::uint32_t most) const noexcept;

    /// Returns the batch that lies at `offset`, if it has an entry.
    [[nodiscard, gnu::cold]] std::shared_ptr<PendingBatch> find(Offset offset) const noexcept;

  private:
    struct Listed {
        Entry* entry;
        std::shared_ptr<PendingBatch> pending;  // none for the first
    };

    void scan();
    [[nodiscard]] bool is_looked_at(const Listed& listed) const noexcept;
    static void free(const Listed& listed) noexcept;

    PoolBoard* board_ = nullptr;
    std::atomic<Offset>* head_ = nullptr;
    std::atomic<std::uint64_t>* added_ = nullptr;
    Entry* last_ = nullptr;
    std::uint64_t appended_bytes_ = 0;  // since the last scan
    std::deque<Listed> entries_;        // from the head on, or a little before
    std::vector<Listed> passed_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/entry_list.ipp"
#endif
