// multiprocessing/pool/threads/thread_crew.hpp
//
// The threads of a ThreadPool and the calls that they run. Floor 5. Start at ThreadCrew::submit and
// ThreadCrew::work. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/pool/calls/courier.hpp"
#include "multiprocessing/pool/calls/pool_thread.hpp"
#include "multiprocessing/pool/calls/stream_registry.hpp"
#include "multiprocessing/pool/calls/submit_options.hpp"
#include "multiprocessing/pool/insight/history.hpp"
#include "multiprocessing/pool/options.hpp"
#include "multiprocessing/pool/threads/call_queue.hpp"

namespace multiprocessing::detail {

class ThreadCall;

/// What the threads of a pool share.
class ThreadCrew : public std::enable_shared_from_this<ThreadCrew> {
  public:
    static constexpr bool runs_in_caller = false;

    ThreadCrew() = default;
    ThreadCrew(const ThreadCrew&) = delete;
    ThreadCrew& operator=(const ThreadCrew&) = delete;

    /// Starts the threads.
    /// @param traced     chunks that each thread's log has room for
    /// @param initialize called by each thread first; may be none
    void start(std::uint32_t threads, std::uint32_t traced, const TaskRules& rules,
               std::function<void()> initialize);

    /// Adds a call to the work. @throws ValueError unless the pool is running
    void submit(const std::shared_ptr<ThreadCall>& call, const SubmitOptions& how);

    void forget(const std::shared_ptr<PendingCall>&) const noexcept {}

    void check_running() const;
    /// Changes the number of threads. One that is too many leaves after the chunk that it is at.
    /// @throws ValueError unless the pool is running
    /// @throws std::system_error EAGAIN; then there are fewer threads than wished for
    void resize(std::uint32_t threads);
    void close();
    void add_stream(const std::shared_ptr<StreamFeed>& feed);

    /// Drops what no thread has begun. The threads leave when they have finished their chunks.
    void terminate();

    /// Waits until the threads have left, and the last callback has run.
    void join();

    /// Ends the pool.
    void end();

    /// As Supervisor's.
    [[nodiscard]] const char* state_name() const noexcept;
    [[nodiscard]] std::uint32_t size() const noexcept {
        return size_.load(std::memory_order_relaxed);
    }
    Courier& courier() noexcept { return courier_; }
    [[nodiscard]] LocalLogs logs() const;
    [[nodiscard, gnu::cold]] History history() const;
    [[nodiscard]] Arrivals arrivals() noexcept { return {&arrivals_, &listeners_}; }

  private:
    using Calls = std::vector<std::shared_ptr<ThreadCall>>;

    [[nodiscard]] bool is_owner() const noexcept { return fork_depth() == owner_depth_; }
    void check_owner() const;
    void check_running_locked(bool of_stream) const;
    [[nodiscard]] bool is_own_thread() const noexcept;

    void start_missing_locked();
    void leave();
    void come_in(std::unique_lock<std::mutex>& lock, const SubmitOptions& how);
    [[nodiscard]] bool has_place() const;
    void note_locked(const std::shared_ptr<ThreadCall>& call, Calls& dropped);
    Calls give_up_locked(const std::exception_ptr& error);
    void let_threads_leave();
    void feed_streams();

    void work(std::uint32_t slot, std::uint64_t started);
    [[nodiscard]] bool initialize();

    const std::uint32_t owner_depth_ = fork_depth();
    std::function<void()> initialize_;
    TaskRules rules_;
    std::list<PoolThread> threads_;  // also such as have left; no more come once it is closed
    FutexWord arrivals_{0};
    std::atomic<std::uint32_t> listeners_{0};
    Courier courier_;

    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable work_;
    std::condition_variable begun_;  // where max_pending is set: a call was begun
    CallQueue queue_;
    std::vector<std::weak_ptr<ThreadCall>> calls_;  // that may not be over
    std::size_t next_call_ = 0;                     // to look at
    std::uint64_t last_order_ = 0;
    StreamRegistry streams_;
    LocalLogs logs_;
    std::atomic<std::uint32_t> size_{0};  // threads; changed under the lock
    std::vector<bool> occupied_;          // whether the place has a thread
    History history_;
    std::exception_ptr broken_;
    std::atomic<bool> closed_{false};
    bool leaving_ = false;
    std::atomic<bool> terminated_{false};
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/threads/thread_crew.ipp"
#endif
