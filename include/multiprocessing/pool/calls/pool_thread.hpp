// multiprocessing/pool/calls/pool_thread.hpp
//
// A thread that belongs to a pool. It keeps the pool's state alive as long as it runs. Several
// threads may wait for its end at once. When what the thread itself runs ends the pool, no thread
// joins it. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/signal_set.hpp"
#include "multiprocessing/detail/thread.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/process/fork_hooks.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A thread that is started once at most.
class PoolThread {
  public:
    PoolThread() = default;
    PoolThread(const PoolThread&) = delete;
    PoolThread& operator=(const PoolThread&) = delete;
    [[gnu::cold]] ~PoolThread();

    /// Starts it with all signals blocked, because it belongs to the library.
    /// @param keeper the object that this one is a part of
    /// @throws std::system_error EAGAIN
    template <class Body>
    [[gnu::cold]] void start(std::shared_ptr<void> keeper, Body body) {
        const SignalBlock block;
        start_unblocked(std::move(keeper),
                        [counted = OwnThread(), body = std::move(body)] { body(); });
    }
    /// Starts it as a thread of the program, because it runs tasks; otherwise as start.
    template <class Body>
    [[gnu::cold]] void start_unblocked(std::shared_ptr<void> keeper, Body body) {
        const std::lock_guard guard(mutex_);
        thread_ = start_thread(
            [this, ended = ended_, keeper = std::move(keeper), body = std::move(body)]() mutable {
                id_.store(std::this_thread::get_id());  // it may need it before the store below
                body();
                ended->store(1);
                futex_wake(*ended);
            });
        id_.store(thread_.get_id());
    }

    [[nodiscard]] bool was_started() const noexcept { return id_.load() != std::thread::id(); }
    /// Returns whether this is the thread.
    [[nodiscard]] bool is_current() const noexcept {
        return id_.load() == std::this_thread::get_id();
    }
    [[nodiscard]] bool has_ended() const noexcept { return ended_->load() != 0; }

    /// Waits until it has ended. @pre the caller is another thread
    /// @returns whether it has ended, also true when it was never started; false when the deadline
    ///          has passed
    [[gnu::cold]] bool wait(const Deadline& deadline = Timeout());

  private:
    const std::uint32_t depth_ = fork_depth();
    const std::shared_ptr<FutexWord> ended_ = std::make_shared<FutexWord>(0);
    std::atomic<std::thread::id> id_{};
    std::mutex mutex_;  // guards what follows
    std::thread thread_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/calls/pool_thread.ipp"
#endif
