// multiprocessing/pool/owner/pending_batch.ipp
//
// How a process waits for a batch, cancels it and frees it: see pending_batch.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/pending_batch.hpp"

#include <algorithm>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/pool/tasks/results.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// How long the threads of this process should spin for the result of a single task.
inline constinit SpinBudget result_spinning;

MULTIPROCESSING_INLINE bool PendingBatch::wait_until_over(const Deadline& deadline) {
    if (!is_own()) [[unlikely]]
        return true;
    // Not null for one thread at most: the one that has made the call and waits for it.
    PoolBoard* unannounced = unannounced_on_;
    if (unannounced != nullptr) unannounced_on_ = nullptr;
    // Not after the deadline: a thread that only looks must not spin.
    const bool spins = comes_soon_ && !deadline.has_passed();
    if (spins && result_spinning.spin([this] { return is_over(); })) return true;
    for (;;) {
        const std::uint32_t seen = batch_->events.load();
        if (is_over()) return true;
        const bool is_late = deadline.has_passed();
        if (!is_late) batch_->waiting.store(1);  // seq_cst: see announce
        if (unannounced != nullptr) {
            announce_work(*std::exchange(unannounced, nullptr), chunk_count(), true);
        }
        if (is_late) return false;
        if (batch_->events.load() == seen) {
            futex_wait_until(batch_->events, seen, deadline);
        }
    }
}

MULTIPROCESSING_INLINE bool PendingBatch::is_complete() const noexcept {
    if (!is_own()) [[unlikely]]
        return true;
    std::uint32_t index = complete_.load(std::memory_order_relaxed);
    while (index < batch_->chunk_count()) {
        // acquire: the results, which the worker wrote before it.
        const auto state = batch_->chunks()[index].state.load(std::memory_order_acquire);
        const bool is_cancelled = state == Chunk::finished;  // by no worker
        if (Chunk::phase_of(state) != Chunk::finished || is_cancelled) break;
        ++index;
    }
    complete_.store(index, std::memory_order_relaxed);
    return index == batch_->chunk_count();
}

MULTIPROCESSING_INLINE bool PendingBatch::has_failed() const {
    check_own();
    return is_given_up() || first_error(*batch_) != 0;
}

MULTIPROCESSING_INLINE void PendingBatch::ask_for_notice() {
    batch_->notice.store(Batch::of_the_end);
    // Either the worker changes events after this, and sees the wish; or it has changed it before,
    // and this thread sees the finished chunk.
    batch_->events.fetch_add(1);
}

MULTIPROCESSING_INLINE ChunkProgress PendingBatch::progress_of(std::uint32_t chunk) const noexcept {
    const auto state = batch_->chunks()[chunk].state.load(std::memory_order_acquire);
    if (state == Chunk::pending) return ChunkProgress::untouched;
    return Chunk::phase_of(state) == Chunk::finished ? ChunkProgress::finished
                                                     : ChunkProgress::under_way;
}

MULTIPROCESSING_INLINE std::uint64_t PendingBatch::failed_items() const noexcept {
    std::uint64_t failed = 0;
    for (std::uint32_t chunk = 0; chunk < chunk_count(); ++chunk) {
        failed += batch_->chunks()[chunk].failures.load(std::memory_order_relaxed);
    }
    return (std::min)(failed, batch_->item_count);
}

MULTIPROCESSING_INLINE bool PendingBatch::cancel(bool kill_running) {
    if (is_over()) return is_cancelled();
    const auto canceller = canceller_.lock();
    return canceller != nullptr && canceller->cancel(*this, kill_running);
}

MULTIPROCESSING_INLINE bool PendingBatch::cancel_untaken() noexcept {
    bool any = false;
    for (std::uint32_t index = 0; index < batch_->chunk_count(); ++index) {
        std::uint32_t state = batch_->chunks()[index].state.load(std::memory_order_relaxed);
        const auto phase = Chunk::phase_of(state);
        if (phase != Chunk::pending && phase != Chunk::resting) continue;
        // Without a worker's ticket: a chunk that is finished in this way never counts as complete.
        any |= batch_->chunks()[index].state.compare_exchange_strong(state, Chunk::finished);
    }
    return any;
}

MULTIPROCESSING_INLINE void PendingBatch::discard() noexcept {
    if (!is_own()) return;
    if (!is_complete() || discarded_.exchange(true)) return;
    discard_contents(*batch_);
    release_arrays(*batch_);
}

MULTIPROCESSING_INLINE void PendingBatch::wake() noexcept { announce(*batch_); }

}  // namespace multiprocessing::detail
