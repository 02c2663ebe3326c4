// multiprocessing/pool/pending_batch.hpp
//
// A batch as the process that waits for it has it: waiting, cancelling, freeing. Floor 5. Start at
// PendingBatch::wait_until_over. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/pool/batch.hpp"
#include "multiprocessing/pool/board.hpp"
#include "multiprocessing/pool/pending_call.hpp"
#include "multiprocessing/pool/spinning.hpp"

namespace multiprocessing::detail {

class PendingBatch;

/// Who can take a batch back.
class BatchCanceller {
  public:
    /// Takes it back. @returns whether its result is a CancelledError now
    virtual bool cancel(PendingBatch& batch, bool kill_running) = 0;

  protected:
    ~BatchCanceller() = default;
};

/// How long the threads of this process should look for the result of a single task.
inline constinit SpinBudget result_spinning;

/// A batch that somebody waits for.
class PendingBatch final : public PendingCall {
  public:
    explicit PendingBatch(BatchOwner batch) : batch_(std::move(batch)) {}

    Batch& operator*() const noexcept { return *batch_; }
    Batch* operator->() const noexcept { return batch_.get(); }
    /// Returns how many bytes it takes in the heap.
    [[nodiscard]] std::uint64_t size() const noexcept { return batch_->size; }

    [[gnu::hot]] bool wait_until_over(const Deadline& deadline) override {
        // Not null for a single thread at most: the one that has made the call and waits for it.
        PoolBoard* unannounced = unannounced_on_;
        if (unannounced != nullptr) unannounced_on_ = nullptr;
        if (comes_soon_ && result_spinning.spin([this] { return is_over(); })) return true;
        for (;;) {
            const std::uint32_t seen = batch_->events.load();
            if (is_over()) return true;
            if (deadline.has_passed()) return false;
            batch_->waiting.store(1);  // seq_cst: see announce
            if (unannounced != nullptr) {
                announce_work(*std::exchange(unannounced, nullptr), chunk_count(), true);
            }
            if (batch_->events.load() == seen) {
                futex_wait_until(batch_->events, seen, deadline);
            }
        }
    }

    [[nodiscard]] bool is_over() const noexcept override { return is_given_up() || is_complete(); }

    /// Returns whether every chunk is finished. Each chunk is looked at once for all calls.
    [[nodiscard]] bool is_complete() const noexcept {
        std::uint32_t index = complete_.load(std::memory_order_relaxed);
        while (index < batch_->chunk_count()) {
            // acquire: the results, which were written before.
            const auto state = batch_->chunks()[index].state.load(std::memory_order_acquire);
            const bool is_cancelled = state == Chunk::finished;  // by no worker
            if (Chunk::phase_of(state) != Chunk::finished || is_cancelled) break;
            ++index;
        }
        complete_.store(index, std::memory_order_relaxed);
        return index == batch_->chunk_count();
    }

    [[nodiscard]] bool is_started() const noexcept override {
        return batch_->chunks()[0].state.load(std::memory_order_relaxed) != Chunk::pending;
    }
    [[nodiscard]] std::uint64_t order() const noexcept override { return batch_->serial; }
    [[nodiscard]] std::uint64_t arrival() const noexcept override {
        return is_given_up() ? UINT64_MAX : batch_->arrival.load(std::memory_order_relaxed);
    }
    [[nodiscard]] bool has_failed() const override {
        return is_given_up() || first_error(*batch_) != 0;
    }

    void ask_for_notice() override {
        batch_->notice.store(Batch::of_the_end);
        // Either the worker's change of events comes later, and it sees the wish; or it was before,
        // and this one sees the finished chunk.
        batch_->events.fetch_add(1);
    }

    [[nodiscard]] std::uint32_t chunk_count() const noexcept override {
        return batch_->chunk_count();
    }
    [[nodiscard]] ChunkProgress progress_of(std::uint32_t chunk) const noexcept override {
        const auto state = batch_->chunks()[chunk].state.load(std::memory_order_acquire);
        if (state == Chunk::pending) return ChunkProgress::untouched;
        return Chunk::phase_of(state) == Chunk::finished ? ChunkProgress::finished
                                                         : ChunkProgress::under_way;
    }

    bool cancel(bool kill_running) override {
        if (is_over()) return is_cancelled();
        const auto canceller = canceller_.lock();
        return canceller != nullptr && canceller->cancel(*this, kill_running);
    }

    /// Marks the chunks that nobody has taken as cancelled. @returns whether there were any
    bool cancel_untaken() noexcept {
        bool any = false;
        for (std::uint32_t index = 0; index < batch_->chunk_count(); ++index) {
            std::uint32_t state = batch_->chunks()[index].state.load(std::memory_order_relaxed);
            if (Chunk::phase_of(state) != Chunk::pending) continue;
            // No worker's ticket with it: what is finished so never becomes complete.
            any |= batch_->chunks()[index].state.compare_exchange_strong(state, Chunk::finished);
        }
        return any;
    }

    /// Frees what the caller has taken, or does not want. The batch's block stays until no worker
    /// looks at it; so does everything when workers may still be running it.
    void discard() noexcept override {
        if (batch_.get_deleter().depth != fork_depth()) return;  // a forked child's copy
        if (!is_complete() || discarded_.exchange(true)) return;
        discard_contents(*batch_);
        release_arrays(*batch_);
    }

    /// Leaves it to wait_until_over to wake the workers, as the last thing before it sleeps: one
    /// that is woken on this thread's core begins when this thread leaves the core.
    void announce_when_waiting(PoolBoard& board) noexcept { unannounced_on_ = &board; }

    /// Says that a worker is at it already. Else it is not worth to look out for it: a wake-up
    /// takes longer than a small task, and other tasks need the core.
    void expect_soon() noexcept { comes_soon_ = batch_->item_count == 1; }

    void set_canceller(std::weak_ptr<BatchCanceller> canceller) noexcept {
        canceller_ = std::move(canceller);
    }

  private:
    void wake() noexcept override { announce(*batch_); }

    BatchOwner batch_;
    std::weak_ptr<BatchCanceller> canceller_;
    bool comes_soon_ = false;
    PoolBoard* unannounced_on_ = nullptr;
    std::atomic<bool> discarded_{false};
    mutable std::atomic<std::uint32_t> complete_{0};
};

}  // namespace multiprocessing::detail
