// multiprocessing/pool/owner/delays.hpp
//
// Chunks that are to be tried again after some time (PoolOptions::retry_delay). They rest
// meanwhile: no worker can take them, and none waits for them. The thread that watches the pool
// looks now and then which ones are due. Floor 5. Start at Delays::look. SPDX-License-Identifier:
// MIT
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "multiprocessing/pool/board/policy.hpp"
#include "multiprocessing/pool/calls/pending_list.hpp"
#include "multiprocessing/pool/options.hpp"
#include "multiprocessing/pool/owner/lanes.hpp"

namespace multiprocessing::detail {

/// An entry for what is left of a chunk. It is made before anything is decided. Without the memory
/// for it, everything stays as it was, and is looked at again later.
class RestOfChunk {
  public:
    /// @throws std::bad_alloc
    RestOfChunk(Lanes& lanes, const std::shared_ptr<PendingBatch>& pending, std::uint32_t index);
    RestOfChunk(const RestOfChunk&) = delete;
    RestOfChunk& operator=(const RestOfChunk&) = delete;
    ~RestOfChunk();

    /// Lets the workers see it.
    void publish() noexcept;

  private:
    EntryList& entries_;
    Entry* entry_;
};

/// The chunks of a pool that rest. The caller holds a lock, the same one each time.
class Delays {
  public:
    explicit Delays(const TaskRules& rules) : rules_(rules) {}

    [[nodiscard]] bool is_set() const noexcept {
        return rules_.retries != 0 && rules_.retry_delay.nanoseconds().count() != 0;
    }
    [[nodiscard]] bool is_empty() const noexcept { return waiting_.empty(); }
    /// Returns how often to look, in milliseconds.
    [[nodiscard]] int tick() const noexcept;

    /// Makes room for one more. @throws std::bad_alloc
    void reserve() { waiting_.reserve(waiting_.size() + 1); }
    /// Adds a chunk that rests. @pre reserve
    void add(const std::shared_ptr<PendingBatch>& pending, std::uint32_t index,
             std::uint32_t ticket) noexcept;

    /// Takes what the workers have handed back. @throws std::bad_alloc; the rest stays
    [[gnu::cold]] void take_notes(PoolBoard& board, const PendingList<PendingBatch>& calls);

    /// Hands the chunks that are due to the workers. @throws std::bad_alloc; the rest stays
    [[gnu::cold]] void look(PoolBoard& board, Lanes& entries);

    /// Frees the notes that nobody has taken. @pre no worker is left
    [[gnu::cold]] void clear(TaskPolicy& policy) noexcept;

  private:
    struct Waiting {
        std::shared_ptr<PendingBatch> pending;
        std::uint32_t index;
        std::uint32_t ticket;
        std::uint32_t item;   // the one that has failed
        bool is_counted;      // whether its failure counts already, as that of a dead worker
        std::uint64_t since;  // nanoseconds on the monotonic clock
        std::uint64_t due;    // 0: not known yet
    };

    void take_note(const RestNote& note, const PendingList<PendingBatch>& calls);
    bool look_at(Waiting& waiting, PoolBoard& board, Lanes& entries);

    const TaskRules rules_;
    std::vector<Waiting> waiting_;
    Offset notes_ = 0;  // taken from the workers, not looked at yet
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/delays.ipp"
#endif
