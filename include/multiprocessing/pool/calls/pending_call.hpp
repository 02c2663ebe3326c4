// multiprocessing/pool/calls/pending_call.hpp
//
// A call that was given to a pool, as the thread that waits for it sees it. Processes run it
// (pending_batch.hpp), or threads do (thread_call.hpp). Mirrors CPython
// Lib/multiprocessing/pool.py, ApplyResult. Floor 5. Start at PendingCall. SPDX-License-Identifier:
// MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <vector>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// What a call returns that calls a function, which returns R, for each item of a range.
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

/// Whether this thread runs callbacks. If so, it must not wait for a call's callbacks: they may be
/// waiting for this thread.
inline constinit thread_local bool runs_callbacks = false;

/// How far a chunk is. A chunk is what a worker takes, and finishes, at a time.
enum class ChunkProgress { untouched, under_way, finished };

/// A call that a thread may wait for.
class PendingCall {
  public:
    PendingCall() = default;
    PendingCall(const PendingCall&) = delete;
    PendingCall& operator=(const PendingCall&) = delete;
    virtual ~PendingCall() = default;

    /// Returns whether all of it is done, or given up.
    [[nodiscard]] virtual bool is_over() const noexcept = 0;
    /// Waits until it is over. @returns false when the deadline passed first
    virtual bool wait_until_over(const Deadline& deadline) = 0;
    /// Returns whether a worker has taken any of it.
    [[nodiscard]] virtual bool is_started() const noexcept = 0;
    /// Returns its place among the pool's calls. Workers begin those of one priority in this order.
    [[nodiscard]] virtual std::uint64_t order() const noexcept = 0;
    /// Returns its priority. Workers begin calls of a higher one first.
    [[nodiscard]] virtual int priority() const noexcept = 0;
    /// Returns when it was over, a number to compare with those of the pool's other calls.
    /// @pre is_over()
    [[nodiscard]] virtual std::uint64_t arrival() const noexcept = 0;
    /// Returns whether an item failed, or the whole call was given up. @pre is_over()
    [[nodiscard]] virtual bool has_failed() const = 0;
    /// Asks that the pool's arrivals change when it is over, also when it is over already.
    virtual void ask_for_notice() = 0;
    /// Takes it back. @returns whether its result is a CancelledError now
    virtual bool cancel(bool kill_running) = 0;
    /// Frees the results, once no worker can be writing them any more.
    virtual void discard() noexcept {}

    [[nodiscard]] virtual std::uint32_t chunk_count() const noexcept = 0;
    [[nodiscard]] virtual ChunkProgress progress_of(std::uint32_t chunk) const noexcept = 0;
    /// Returns how many items have failed so far.
    [[nodiscard]] virtual std::uint64_t failed_items() const noexcept = 0;

    /// Waits until it is over, and its callbacks have run.
    bool wait(const Deadline& deadline) {
        if (!is_passable()) return wait_at_gate(deadline);
        return wait_until_over(deadline);
    }
    [[nodiscard]] bool is_ready() const noexcept { return is_over() && is_passable(); }

    /// Returns whether this process made the call. A process that was forked since did not.
    [[nodiscard]] bool is_own() const noexcept { return depth_ == fork_depth(); }
    /// @throws ValueError in a forked child, which cannot know what becomes of its parent's call
    void check_own() const {
        if (!is_own()) throw_not_own();
    }

    /// Ends it with an error for the threads that wait. A call that is over already stays as it is.
    void give_up(std::exception_ptr error);
    /// @returns whether its result is a CancelledError now
    bool give_up_as_cancelled();
    [[nodiscard]] bool is_given_up() const noexcept { return given_up_.load(); }
    [[nodiscard]] bool is_cancelled() const noexcept {
        return is_given_up() && cancelled_.load(std::memory_order_relaxed);
    }
    void throw_if_given_up() const {
        if (is_given_up()) std::rethrow_exception(error_);
    }

    /// Keeps the threads that wait until the callbacks have run; then open_gate lets them go on.
    void close_gate() noexcept { gate_.store(closed, std::memory_order_release); }
    void open_gate() noexcept;

  protected:
    /// Wakes the threads that wait, so that they look again.
    virtual void wake() noexcept = 0;

  private:
    enum Gate : std::uint32_t { none, closed, open };

    /// Returns whether this thread need not wait for callbacks.
    [[nodiscard]] bool is_passable() const noexcept {
        return gate_.load(std::memory_order_acquire) != closed || runs_callbacks || !is_own();
    }

    [[gnu::cold]] bool wait_at_gate(const Deadline& deadline);
    [[noreturn, gnu::cold]] static void throw_not_own();

    const std::uint32_t depth_ = fork_depth();
    std::exception_ptr error_;
    std::atomic<bool> giving_up_{false};
    std::atomic<bool> given_up_{false};
    std::atomic<bool> cancelled_{false};
    FutexWord gate_{none};
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/calls/pending_call.ipp"
#endif
