// multiprocessing/pool/owner/lanes.hpp
//
// The owner's side of a board's lists of entries: the usual one, and one for each further priority
// that a call has had. Floor 5. Start at Lanes::list_of. SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <memory>

#include "multiprocessing/pool/board/lanes.hpp"
#include "multiprocessing/pool/owner/entry_list.hpp"

namespace multiprocessing::detail {

/// The lists of a board. The caller holds a lock, the same one each time.
class Lanes {
  public:
    void open(PoolBoard& board);

    /// Returns the list of a priority, which is made if there is none. @throws std::bad_alloc
    [[nodiscard]] EntryList& list_of(int priority) {
        return priority == 0 ? usual_ : other_list(priority);
    }

    /// Frees all. @pre no worker is left
    [[gnu::cold]] void clear() noexcept;

    [[nodiscard, gnu::cold]] bool has_untaken_chunks() const noexcept {
        return count_untaken(1) != 0;
    }
    /// Returns how many chunks no worker has taken, in all lists; at most `most`.
    [[nodiscard, gnu::cold]] std::uint32_t count_untaken(std::uint32_t most) const noexcept;

    /// Returns the batch that lies at `offset`, if it has an entry.
    [[nodiscard, gnu::cold]] std::shared_ptr<PendingBatch> find(Offset offset) const noexcept;

  private:
    struct Other {
        Lane* lane = nullptr;
        EntryList list;
    };

    [[gnu::cold]] EntryList& other_list(int priority);
    [[gnu::cold]] void add(Lane& lane) noexcept;
    [[gnu::cold]] static Lane* make_lane(int priority);

    PoolBoard* board_ = nullptr;
    EntryList usual_;
    Lane* usual_lane_ = nullptr;   // null: there are no others
    std::map<int, Other> others_;  // by priority
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/lanes.ipp"
#endif
