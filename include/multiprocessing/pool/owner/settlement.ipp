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
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/board/task_place.hpp"
#include "multiprocessing/pool/insight/history.hpp"
#include "multiprocessing/pool/owner/delays.hpp"
#include "multiprocessing/pool/owner/lanes.hpp"
#include "multiprocessing/pool/owner/pending_batch.hpp"
#include "multiprocessing/pool/tasks/results.hpp"

namespace multiprocessing::detail {

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
        RestOfChunk rest(*entries_, pending, index);
        delays_->reserve();
        const std::uint32_t item = (std::max)(at, chunk.start);
        const std::uint32_t committed = committed_items(chunk);
        if (committed > item || find_error(chunk, item) != 0) {
            set_start(chunk, item + 1);  // it died between two items
        } else {
            if (item != chunk.start) set_start(chunk, item);
            blame(batch, index, end);
        }
        if (chunk.start < batch.size_of(index)) {
            if (delays_->is_set() && chunk.attempts != 0) {
                chunk.state.store(end.ticket << 2 | Chunk::resting, std::memory_order_release);
                delays_->add(pending, index, end.ticket);
                return;
            }
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
    const bool is_tried_again = end.doom != Doom::too_slow && ++chunk.attempts <= retries_;
    const std::uint64_t item = std::uint64_t{index} * batch.chunk_size + chunk.start;
    // An attempt that took too long is not among those counted above.
    const std::uint32_t attempts = chunk.attempts + (end.doom == Doom::too_slow ? 1 : 0);
    const LostTask task{item, attempts, {}};
    const auto error = [&] { return error_for(batch, task, end); };
    if (is_tried_again) return note_loss(end, true, error);
    const std::exception_ptr made = error();
    record_error(batch, chunk, chunk.start, made, 1, false);
    note_loss(end, false, [&] { return made; });
    set_start(chunk, chunk.start + 1);
}

/// @param error returns what the task gets, or would get if it were not tried again
template <class Error>
void Settlement::note_loss(const WorkerEnd& end, bool is_tried_again, Error error) noexcept {
    std::exception_ptr told;
    try {
        told = error();
    } catch (...) {  // no memory for it
        told = std::current_exception();
    }
    history_->note_loss({.worker = end.slot,
                         .pid = end.pid,
                         .exitcode = end.exitcode,
                         .is_tried_again = is_tried_again,
                         .what = {}},
                        told);
}

/// Returns the error of a task. @param task its item is its place in the batch
MULTIPROCESSING_INLINE std::exception_ptr Settlement::error_for(const Batch& batch,
                                                                const LostTask& task,
                                                                const WorkerEnd& end) {
    const std::string text = describe_task(batch, task.item, task.attempts);
    LostTask lost{batch.first_item + task.item, task.attempts, LossReason::timeout};
    if (end.doom == Doom::too_slow) {
        const bool is_own = batch.time_limit != 0;  // the call's
        const double seconds =
            is_own ? static_cast<double>(batch.time_limit)
                   : static_cast<double>(task_timeout_.nanoseconds().count()) * 1e-9;
        std::string limit = FixedText(seconds, 6).text;
        limit.erase(limit.find_last_not_of('0') + 1);
        if (limit.back() == '.') limit.pop_back();
        return std::make_exception_ptr(TimeoutError(
            joined({text, " ran for more than the ", is_own ? "timeout of " : "task_timeout of ",
                    limit, " s: its worker (pid ", end.pid, ") was killed"}),
            lost));
    }
    if (end.doom == Doom::too_big) {
        lost.reason = LossReason::memory;
        return std::make_exception_ptr(WorkerLost(
            joined({"the worker with pid ", end.pid, " took more memory than the memory_limit of ",
                    memory_limit_, " bytes while it ran ", text, ": it was killed"}),
            end.exitcode, end.pid, lost));
    }
    const bool memory = end.exitcode == -SIGKILL && memory_kills_.have_grown();
    lost.reason = memory ? LossReason::memory : reason_of(end.exitcode);
    return std::make_exception_ptr(WorkerLost(describe_loss(end.exitcode, end.pid, text, memory),
                                              end.exitcode, end.pid, lost));
}

MULTIPROCESSING_INLINE void Settlement::set_start(Chunk& chunk, std::uint32_t item) noexcept {
    chunk.start = item;
    chunk.attempts = 0;
}

}  // namespace multiprocessing::detail
