// multiprocessing/pool/settlement.hpp
//
// What becomes of the chunk that a dead worker had taken: its items are known to be done, or lost,
// or tried again. Floor 5. Start at Settlement::settle. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>

#include "multiprocessing/pool/board.hpp"
#include "multiprocessing/pool/crew.hpp"
#include "multiprocessing/pool/entry_list.hpp"
#include "multiprocessing/pool/losses.hpp"

namespace multiprocessing::detail {

/// How a worker has ended.
struct WorkerEnd {
    int exitcode;
    pid_t pid;
    std::uint32_t ticket;
    Doom doom;
};

/// Settles the chunks of dead workers. Its user has a lock.
class Settlement {
  public:
    Settlement(std::uint32_t retries, Timeout task_timeout)
        : retries_(retries), task_timeout_(task_timeout) {}

    void open(PoolBoard& board, EntryList& entries) {
        board_ = &board;
        entries_ = &entries;
    }

    /// Sees how often the kernel has killed for want of memory so far, to know of a new time.
    void look_at_memory() {
        if (!has_looked_at_memory()) (void)memory_kills_.have_grown();
    }
    [[nodiscard]] bool has_looked_at_memory() const noexcept { return memory_kills_.are_known(); }

    /// Settles what the worker of `slot` was doing.
    /// @returns whether it had a chunk in hand
    [[gnu::cold, gnu::noinline]] bool settle(const WorkerSlot& slot, const WorkerEnd& end) {
        const Offset offset = slot.entry.load();
        if (offset == 0) return false;
        const Entry& entry = *heap().at<Entry>(offset);
        if (entry.batch == 0) return false;
        Batch& batch = *heap().at<Batch>(entry.batch);
        const std::uint32_t index = std::min(slot.chunk.load(), batch.chunk_count() - 1);
        const bool held = batch.chunks()[index].state.load() == (end.ticket << 2 | Chunk::taken);
        if (held) settle_chunk(batch, index, slot.item.load(), end);
        // It may have died after the last store and before it told anybody.
        announce(batch);
        announce_arrival(*board_);
        return held;
    }

  private:
    [[gnu::cold]] void settle_chunk(Batch& batch, std::uint32_t index, std::uint32_t at,
                                    const WorkerEnd& end) {
        Chunk& chunk = batch.chunks()[index];
        const auto pending = entries_->find(heap().offset_of(&batch));
        if (pending && !pending->is_given_up()) {
            const std::uint32_t item = std::max(at, chunk.start);
            const std::uint32_t committed = committed_items(chunk);
            if (committed > item || find_error(chunk, item) != 0) {
                set_start(chunk, item + 1);  // it died between two items
            } else {
                if (item != chunk.start) set_start(chunk, item);
                blame(batch, index, end);
            }
            if (chunk.start < batch.size_of(index)) return try_again(chunk, index, end, pending);
        }
        batch.arrival.store(ticks(), std::memory_order_relaxed);
        chunk.state.store(end.ticket << 2 | Chunk::finished);
    }

    /// Decides on the item that the worker died in: it counts as lost, or may be tried again.
    [[gnu::cold]] void blame(Batch& batch, std::uint32_t index, const WorkerEnd& end) {
        Chunk& chunk = batch.chunks()[index];
        if (end.doom != Doom::too_slow && ++chunk.attempts <= retries_) return;
        const std::uint64_t number = std::uint64_t{index} * batch.chunk_size + chunk.start;
        record_error(batch, chunk, chunk.start, error_for(batch, number, end));
        set_start(chunk, chunk.start + 1);
    }

    [[gnu::cold]] std::exception_ptr error_for(const Batch& batch, std::uint64_t item,
                                               const WorkerEnd& end) {
        if (end.doom == Doom::too_slow) {
            const double seconds = static_cast<double>(task_timeout_.nanoseconds().count()) * 1e-9;
            std::string limit = std::to_string(seconds);
            limit.erase(limit.find_last_not_of('0') + 1);
            return std::make_exception_ptr(TimeoutError(
                "item " + std::to_string(item) + " of call " + std::to_string(batch.serial) +
                " ran for more than the task_timeout of " + limit + " s: its worker (pid " +
                std::to_string(end.pid) + ") was killed"));
        }
        const bool memory = end.exitcode == -SIGKILL && memory_kills_.have_grown();
        return std::make_exception_ptr(
            WorkerLost(describe_loss(end.exitcode, end.pid, batch.serial, item, memory),
                       end.exitcode, end.pid));
    }

    static void set_start(Chunk& chunk, std::uint32_t item) noexcept {
        chunk.start = item;
        chunk.attempts = 0;
    }

    [[gnu::cold]] void try_again(Chunk& chunk, std::uint32_t index, const WorkerEnd& end,
                                 const std::shared_ptr<PendingBatch>& pending) {
        Entry* const again = static_cast<Entry*>(allocate_zeroed(sizeof(Entry)));
        again->batch = (*pending)->whole.batch;
        again->cursor.store(index);
        again->end = index + 1;
        chunk.state.store(end.ticket << 2 | Chunk::pending, std::memory_order_release);
        entries_->append(*again, pending);
        announce_work(*board_, 1, false);
    }

    const std::uint32_t retries_;
    const Timeout task_timeout_;
    PoolBoard* board_ = nullptr;
    EntryList* entries_ = nullptr;
    MemoryKills memory_kills_;
};

}  // namespace multiprocessing::detail
