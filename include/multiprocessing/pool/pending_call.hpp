// multiprocessing/pool/pending_call.hpp
//
// A call that was given to a pool, as whoever waits for it sees it, whatever runs it: processes
// (pending_batch.hpp) or threads (thread_call.hpp). Mirrors CPython Lib/multiprocessing/pool.py,
// ApplyResult. Floor 5. Start at PendingCall. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// What a call of a function that returns R for each item of a range returns.
template <class R>
struct ResultListOf {
    using Type = std::vector<R>;
};
template <>
struct ResultListOf<void> {
    using Type = void;
};
template <class R>
using ResultList = typename ResultListOf<R>::Type;

/// Whether this is a thread that runs callbacks: what it waits for cannot wait for it.
inline constinit thread_local bool runs_callbacks = false;

/// How far a chunk is. A chunk is what is taken and finished at a time.
enum class ChunkProgress { untouched, under_way, finished };

/// A call that somebody waits for.
class PendingCall {
  public:
    PendingCall() = default;
    PendingCall(const PendingCall&) = delete;
    PendingCall& operator=(const PendingCall&) = delete;
    virtual ~PendingCall() = default;

    /// Returns whether all is done, or given up.
    [[nodiscard]] virtual bool is_over() const noexcept = 0;
    /// Waits until it is. @returns whether it is, false when the deadline passed first
    virtual bool wait_until_over(const Deadline& deadline) = 0;
    /// Returns whether any of it has been taken by a worker.
    [[nodiscard]] virtual bool is_started() const noexcept = 0;
    /// Returns its place among the pool's calls, in which workers begin them.
    [[nodiscard]] virtual std::uint64_t order() const noexcept = 0;
    /// Returns when it was over, to be compared with that of others of its pool. @pre is_over()
    [[nodiscard]] virtual std::uint64_t arrival() const noexcept = 0;
    /// Returns whether an item failed, or all was given up. @pre is_over()
    [[nodiscard]] virtual bool has_failed() const = 0;
    /// Wants the pool's arrivals to change when it is over, also when it is already.
    virtual void ask_for_notice() = 0;
    /// Takes it back. @returns whether its result is a CancelledError now
    virtual bool cancel(bool kill_running) = 0;
    /// Frees the results, when nobody can be writing them any more.
    virtual void discard() noexcept {}

    [[nodiscard]] virtual std::uint32_t chunk_count() const noexcept = 0;
    [[nodiscard]] virtual ChunkProgress progress_of(std::uint32_t chunk) const noexcept = 0;

    /// Waits until it is over, and its callbacks have run.
    bool wait(const Deadline& deadline) {
        if (gate_.load(std::memory_order_acquire) == closed && !runs_callbacks) {
            return wait_at_gate(deadline);
        }
        return wait_until_over(deadline);
    }
    [[nodiscard]] bool is_ready() const noexcept {
        return is_over() && (runs_callbacks || gate_.load(std::memory_order_acquire) != closed);
    }

    /// Ends it with an error for those who wait. What it was before, it stays.
    void give_up(std::exception_ptr error) {
        if (is_over() || giving_up_.exchange(true)) return;
        error_ = std::move(error);
        given_up_.store(true, std::memory_order_release);
        wake();
    }
    /// @returns whether its result is a CancelledError now
    bool give_up_as_cancelled() {
        cancelled_.store(true, std::memory_order_relaxed);
        give_up(std::make_exception_ptr(CancelledError()));
        return is_given_up();
    }
    [[nodiscard]] bool is_given_up() const noexcept {
        return given_up_.load(std::memory_order_acquire);
    }
    [[nodiscard]] bool is_cancelled() const noexcept {
        return is_given_up() && cancelled_.load(std::memory_order_relaxed);
    }
    void throw_if_given_up() const {
        if (is_given_up()) std::rethrow_exception(error_);
    }

    /// Keeps those who wait until the callbacks have run: open_gate is called after them.
    void close_gate() noexcept { gate_.store(closed, std::memory_order_release); }
    void open_gate() noexcept {
        gate_.store(open, std::memory_order_release);
        futex_wake(gate_);
    }

  protected:
    /// Lets those who wait look again.
    virtual void wake() noexcept = 0;

  private:
    enum Gate : std::uint32_t { none, closed, open };

    [[gnu::cold, gnu::noinline]] bool wait_at_gate(const Deadline& deadline) {
        while (gate_.load(std::memory_order_acquire) == closed) {
            if (deadline.has_passed()) return false;
            futex_wait_until(gate_, closed, deadline);
        }
        return true;
    }

    std::exception_ptr error_;
    std::atomic<bool> giving_up_{false};
    std::atomic<bool> given_up_{false};
    std::atomic<bool> cancelled_{false};
    FutexWord gate_{none};
};

}  // namespace multiprocessing::detail
