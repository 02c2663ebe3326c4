// multiprocessing/pool/owner/pending_batch.hpp
//
// A batch as the process that waits for it has it: waiting, cancelling, freeing. Floor 5. Start at
// PendingBatch::wait_until_over. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/calls/pending_call.hpp"
#include "multiprocessing/pool/tasks/batch.hpp"

namespace multiprocessing::detail {

class PendingBatch;

/// Who can take a batch back.
class BatchCanceller {
  public:
    /// Takes the batch back. @returns whether its result is a CancelledError now
    virtual bool cancel(PendingBatch& batch, bool kill_running) = 0;

  protected:
    ~BatchCanceller() = default;
};

/// A batch that somebody waits for.
class PendingBatch final : public PendingCall {
  public:
    /// @param priority of the call
    explicit PendingBatch(BatchOwner batch, int priority = 0)
        : batch_(std::move(batch)), priority_(priority) {}

    Batch& operator*() const noexcept { return *batch_; }
    Batch* operator->() const noexcept { return batch_.get(); }
    /// Returns how many bytes it takes in the heap.
    [[nodiscard]] std::uint64_t size() const noexcept { return batch_->size; }

    [[gnu::hot]] bool wait_until_over(const Deadline& deadline) override;

    [[nodiscard]] bool is_over() const noexcept override { return is_given_up() || is_complete(); }

    /// Returns whether every chunk is finished. For a forked child's copy of a call it returns
    /// true: the parent may have freed the call. A chunk once found finished is not looked at
    /// again.
    [[nodiscard]] bool is_complete() const noexcept;

    [[nodiscard]] bool is_started() const noexcept override {
        return batch_->chunks()[0].state.load(std::memory_order_relaxed) != Chunk::pending;
    }
    [[nodiscard]] std::uint64_t order() const noexcept override { return batch_->serial; }
    [[nodiscard]] int priority() const noexcept override { return priority_; }
    [[nodiscard]] std::uint64_t arrival() const noexcept override {
        return is_given_up() ? UINT64_MAX : batch_->arrival.load(std::memory_order_relaxed);
    }
    [[nodiscard]] bool has_failed() const override;

    void ask_for_notice() override;

    [[nodiscard]] std::uint32_t chunk_count() const noexcept override {
        return batch_->chunk_count();
    }
    [[nodiscard]] ChunkProgress progress_of(std::uint32_t chunk) const noexcept override;

    [[nodiscard, gnu::cold]] std::uint64_t failed_items() const noexcept override;

    bool cancel(bool kill_running) override;

    /// Marks the chunks that no worker has taken as cancelled. @returns whether there were any
    bool cancel_untaken() noexcept;

    /// Frees what the caller has taken, or does not want. The batch's block stays until no worker
    /// looks at it. Everything stays while workers may still be running the batch.
    void discard() noexcept override;

    /// Leaves it to wait_until_over to wake the workers, as the last thing before it sleeps: a
    /// worker that is woken on this thread's core begins when this thread leaves the core.
    void announce_when_waiting(PoolBoard& board) noexcept { unannounced_on_ = &board; }

    /// Says that a worker is already at it. Only then is it worth spinning for the result: a
    /// wake-up takes longer than a small task, and other tasks need the core.
    void expect_soon() noexcept { comes_soon_ = batch_->item_count == 1; }

    /// Notes that workers that run some of it are to be killed.
    void kill_workers() noexcept { kills_workers_.store(true); }
    [[nodiscard]] bool kills_workers() const noexcept { return kills_workers_.load(); }

    void set_canceller(std::weak_ptr<BatchCanceller> canceller) noexcept {
        canceller_ = std::move(canceller);
    }

  private:
    void wake() noexcept override;

    BatchOwner batch_;
    const int priority_;
    std::weak_ptr<BatchCanceller> canceller_;
    bool comes_soon_ = false;
    PoolBoard* unannounced_on_ = nullptr;
    std::atomic<bool> kills_workers_{false};
    std::atomic<bool> discarded_{false};
    mutable std::atomic<std::uint32_t> complete_{0};  // chunks found finished, from the first on
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/pending_batch.ipp"
#endif
