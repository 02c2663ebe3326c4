// multiprocessing/pool/owner/delays.ipp
//
// How chunks rest, and when they are due: see delays.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/delays.hpp"

#include <algorithm>
#include <utility>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/heap.hpp"

namespace multiprocessing::detail {

// --- RestOfChunk ---

MULTIPROCESSING_INLINE RestOfChunk::RestOfChunk(Lanes& lanes,
                                                const std::shared_ptr<PendingBatch>& pending,
                                                std::uint32_t index)
    : entries_(lanes.list_of(pending->priority())),
      entry_(static_cast<Entry*>(allocate_zeroed(sizeof(Entry)))) {
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

MULTIPROCESSING_INLINE RestOfChunk::~RestOfChunk() {
    if (entry_ == nullptr) return;
    entries_.withdraw();
    deallocate(entry_);
}

MULTIPROCESSING_INLINE void RestOfChunk::publish() noexcept {
    entries_.publish(*std::exchange(entry_, nullptr));
}

// --- Delays ---

MULTIPROCESSING_INLINE int Delays::tick() const noexcept {
    return static_cast<int>(
        std::clamp<long>(rules_.retry_delay.nanoseconds().count() / 1'000'000 / 8, 1, 100));
}

MULTIPROCESSING_INLINE void Delays::add(const std::shared_ptr<PendingBatch>& pending,
                                        std::uint32_t index, std::uint32_t ticket) noexcept {
    const std::uint32_t item = (*pending)->chunks()[index].start;
    waiting_.push_back({pending, index, ticket, item, true, monotonic_now(), 0});
}

MULTIPROCESSING_INLINE void Delays::take_notes(PoolBoard& board,
                                               const PendingList<PendingBatch>& calls) {
    if (board.policy == 0) return;
    for (;;) {
        if (notes_ == 0) notes_ = take_rests(*heap().at<TaskPolicy>(board.policy));
        if (notes_ == 0) return;
        RestNote& note = *heap().at<RestNote>(notes_);
        take_note(note, calls);
        notes_ = note.next;
        deallocate(&note);
    }
}

MULTIPROCESSING_INLINE void Delays::take_note(const RestNote& note,
                                              const PendingList<PendingBatch>& calls) {
    // Not among the entries: this one's may be gone. A call that is not over is listed.
    const auto is_its = [&](const auto& call) {
        return (*call)->whole.batch == note.batch && (*call)->serial == note.serial;
    };
    const auto found = std::find_if(calls.begin(), calls.end(), is_its);
    if (found == calls.end()) return;
    reserve();
    waiting_.push_back({*found, note.chunk, note.ticket, note.item, false, note.since, 0});
}

MULTIPROCESSING_INLINE void Delays::look(PoolBoard& board, Lanes& entries) {
    for (std::size_t i = 0; i < waiting_.size();) {
        if (!look_at(waiting_[i], board, entries)) {
            ++i;
            continue;
        }
        if (i + 1 != waiting_.size()) waiting_[i] = std::move(waiting_.back());
        waiting_.pop_back();
    }
}

/// @returns whether it waits no longer
MULTIPROCESSING_INLINE bool Delays::look_at(Waiting& waiting, PoolBoard& board, Lanes& entries) {
    PendingBatch& batch = *waiting.pending;
    Chunk& chunk = batch->chunks()[waiting.index];
    const std::uint32_t state = chunk.state.load(std::memory_order_acquire);
    // The worker is about to let it rest, or has died before that: then the chunk will be settled.
    if (state == (waiting.ticket << 2 | Chunk::taken)) return false;
    if (state != (waiting.ticket << 2 | Chunk::resting)) return true;
    if (batch.is_given_up()) {
        batch->arrival.store(ticks(), std::memory_order_relaxed);
        chunk.state.store(waiting.ticket << 2 | Chunk::finished);
        announce(*batch);
        return true;
    }
    if (!std::exchange(waiting.is_counted, true)) {
        chunk.attempts = (waiting.item == chunk.start ? chunk.attempts : 0) + 1;
        chunk.start = waiting.item;
    }
    if (waiting.due == 0) {
        waiting.due = waiting.since + rules_.delay_after(chunk.attempts, ticks());
    }
    if (monotonic_now() < waiting.due) return false;
    RestOfChunk rest(entries, waiting.pending, waiting.index);
    // release: what is written above. The call may be cancelled at this moment, without the lock.
    std::uint32_t resting = state;
    if (!chunk.state.compare_exchange_strong(resting, waiting.ticket << 2 | Chunk::pending)) {
        return true;
    }
    rest.publish();
    announce_work(board, 1, false);
    return true;
}

MULTIPROCESSING_INLINE void Delays::clear(TaskPolicy& policy) noexcept {
    for (Offset place : {std::exchange(notes_, 0), policy.rests.exchange(0)}) {
        while (place != 0) {
            RestNote& note = *heap().at<RestNote>(place);
            place = note.next;
            deallocate(&note);
        }
    }
    waiting_.clear();
}

}  // namespace multiprocessing::detail
