// multiprocessing/pool/pending_batch.hpp
//
// A batch as the process that waits for it has it: waiting, giving up, freeing. Mirrors CPython
// Lib/multiprocessing/pool.py, ApplyResult. Floor 5. Start at PendingBatch::wait.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <utility>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/pool/batch.hpp"
#include "multiprocessing/pool/board.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A batch that somebody waits for.
class PendingBatch {
  public:
    explicit PendingBatch(BatchOwner batch) : batch_(std::move(batch)) {}

    Batch& operator*() const noexcept { return *batch_; }
    Batch* operator->() const noexcept { return batch_.get(); }

    /// Waits until every chunk is finished or the batch is given up.
    /// @param spins how long to look before sleeping
    /// @returns whether it is, false when the deadline passed first
    bool wait(const Deadline& deadline, std::uint32_t spins) {
        std::uint32_t spin = 0;
        for (;;) {
            const std::uint32_t seen = batch_->events.load();
            if (is_over()) return true;
            for (; spin < spins; ++spin) {
                if (batch_->events.load(std::memory_order_relaxed) != seen) break;
                spin_pause();
            }
            if (spin < spins) continue;
            if (deadline.has_passed()) return false;
            sleep(seen, deadline);
        }
    }

    /// Frees what the caller has taken, or does not want. The batch's block stays until no worker
    /// looks at it; so does everything when workers may still be running it.
    void discard() noexcept {
        if (!is_complete()) return;
        discard_contents(*batch_);
        release_arrays(*batch_);
    }

    /// Ends the batch with an error for those who wait.
    void give_up(std::exception_ptr error) {
        error_ = std::move(error);
        given_up_.store(true, std::memory_order_release);
        announce(*batch_);
    }
    [[nodiscard]] bool is_given_up() const noexcept {
        return given_up_.load(std::memory_order_acquire);
    }

    void throw_if_given_up() const {
        if (is_given_up() && !is_complete()) std::rethrow_exception(error_);
    }

    /// Returns whether every chunk is finished. Each chunk is looked at once for all calls.
    [[nodiscard]] bool is_complete() const noexcept {
        std::uint32_t index = complete_.load(std::memory_order_relaxed);
        while (index < batch_->chunk_count()) {
            const auto state = batch_->chunks()[index].state.load(std::memory_order_acquire);
            if (Chunk::phase_of(state) != Chunk::finished) break;
            ++index;
        }
        complete_.store(index, std::memory_order_relaxed);
        return index == batch_->chunk_count();
    }

  private:
    [[nodiscard]] bool is_over() const noexcept { return is_given_up() || is_complete(); }

    void sleep(std::uint32_t seen, const Deadline& deadline) {
        batch_->waiting.store(1);  // seq_cst: see announce
        const timespec wait = deadline.left_as_timespec(std::chrono::hours(1));
        if (batch_->events.load() == seen) futex_wait(batch_->events, seen, &wait);
    }

    BatchOwner batch_;
    std::exception_ptr error_;
    std::atomic<bool> given_up_{false};
    mutable std::atomic<std::uint32_t> complete_{0};
};

}  // namespace multiprocessing::detail
