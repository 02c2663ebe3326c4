// multiprocessing/pool/owner/settlement.ipp
//
// How the chunks of dead workers are settled: see settlement.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/settlement.hpp"

#include <signal.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/board/task_place.hpp"
#include "multiprocessing/pool/owner/entry_list.hpp"
#include "multiprocessing/pool/owner/pending_batch.hpp"
#include "multiprocessing/pool/tasks/results.hpp"

namespace multiprocessing::detail {

/// An entry for what is left of a chunk. It is made before anything is decided. Without the memory
/// for it, everything stays as it was, and is looked at again later.
class Settlement::Rest {
  public:
    Rest(EntryList& entries, const std::shared_ptr<PendingBatch>& pending, std::uint32_t index)
        : entries_(entries), entry_(static_cast<Entry*>(allocate_zeroed(sizeof(Entry)))) {
        entry_->batch = (*pending)->whole.batch;
        entry_->cursor.store(index);
        entry_->end = index + 1;
        try {
            entries_.prepare(*entry_, pending);
        } catch (...) {
            deallocate(entry_);
            throw;
        }
    }
    Rest(const Rest&) = delete;
    Rest& operator=(const Rest&) = delete;
    ~Rest() {
        if (entry_ == nullptr) return;
        entries_.withdraw();
        deallocate(entry_);
    }

    void publish() noexcept { entries_.publish(*std::exchange(entry_, nullptr)); }

  private:
    EntryList& entries_;
    Entry* entry_;
};

MULTIPROCESSING_INLINE void Settlement::look_at_memory() {
    if (!has_looked_at_memory()) (void)memory_kills_.have_grown();
}

[[gnu::noinline]] MULTIPROCESSING_INLINE bool Settlement::settle(const WorkerSlot& slot,
                                                                 const WorkerEnd& end) {
    const Offset offset = slot.entry.load();
    if (offset == 0) return false;
    const Entry& entry = *heap().at<Entry>(offset);
    if (entry.batch == 0) return false;
    Batch& batch = *heap().at<Batch>(entry.batch);
    const std::uint32_t index = (std::min)(slot.chunk.load(), batch.chunk_count() - 1);
    const bool held = batch.chunks()[index].state.load() == (end.ticket << 2 | Chunk::taken);
    if (held) settle_chunk(batch, index, slot.item.load(), end);
    // The worker may have died after the last store and before it told anybody.
    announce(batch);
    announce_arrival(*board_);
    return held;
}

MULTIPROCESSING_INLINE void Settlement::settle_chunk(Batch& batch, std::uint32_t index,
                                                     std::uint32_t at, const WorkerEnd& end) {
    Chunk& chunk = batch.chunks()[index];
    const auto pending = entries_->find(heap().offset_of(&batch));
    if (pending && !pending->is_given_up()) {
        Rest rest(*entries_, pending, index);
        const std::uint32_t item = (std::max)(at, chunk.start);
        const std::uint32_t committed = committed_items(chunk);
        if (committed > item || find_error(chunk, item) != 0) {
            set_start(chunk, item + 1);  // it died between two items
        } else {
            if (item != chunk.start) set_start(chunk, item);
            blame(batch, index, end);
        }
        if (chunk.start < batch.size_of(index)) {
            chunk.state.store(end.ticket << 2 | Chunk::pending, std::memory_order_release);
            rest.publish();
            announce_work(*board_, 1, false);
            return;
        }
    }
    batch.arrival.store(ticks(), std::memory_order_relaxed);
    chunk.state.store(end.ticket << 2 | Chunk::finished);
}

/// Decides on the item that the worker died in: it counts as lost, or may be tried again.
MULTIPROCESSING_INLINE void Settlement::blame(Batch& batch, std::uint32_t index,
                                              const WorkerEnd& end) {
    Chunk& chunk = batch.chunks()[index];
    if (end.doom != Doom::too_slow && ++chunk.attempts <= retries_) return;
    const std::uint64_t item = std::uint64_t{index} * batch.chunk_size + chunk.start;
    // An attempt that took too long is not among those counted above.
    const std::uint32_t attempts = chunk.attempts + (end.doom == Doom::too_slow ? 1 : 0);
    record_error(batch, chunk, chunk.start, error_for(describe_task(batch, item, attempts), end), 1,
                 false);
    set_start(chunk, chunk.start + 1);
}

MULTIPROCESSING_INLINE std::exception_ptr Settlement::error_for(const std::string& task,
                                                                const WorkerEnd& end) {
    if (end.doom == Doom::too_slow) {
        const double seconds = static_cast<double>(task_timeout_.nanoseconds().count()) * 1e-9;
        std::string limit = std::to_string(seconds);
        limit.erase(limit.find_last_not_of('0') + 1);
        return std::make_exception_ptr(
            TimeoutError(task + " ran for more than the task_timeout of " + limit +
                         " s: its worker (pid " + std::to_string(end.pid) + ") was killed"));
    }
    const bool memory = end.exitcode == -SIGKILL && memory_kills_.have_grown();
    return std::make_exception_ptr(
        WorkerLost(describe_loss(end.exitcode, end.pid, task, memory), end.exitcode, end.pid));
}

MULTIPROCESSING_INLINE void Settlement::set_start(Chunk& chunk, std::uint32_t item) noexcept {
    chunk.start = item;
    chunk.attempts = 0;
}

}  // namespace multiprocessing::detail
