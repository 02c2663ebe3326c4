// multiprocessing/pool/worker/this_task.hpp
//
// this_task: what a task of a pool can ask about itself: its place in the call, and how often it
// was tried. Floor 5. Start at this_task. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <version>
#ifdef __cpp_lib_jthread
#include <stop_token>
#endif

#include "multiprocessing/heap.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/calls/pool_thread.hpp"

namespace multiprocessing {
namespace detail {

/// A task that is under way, as it sees itself.
class TaskView {
  public:
    TaskView() = default;
    TaskView(const TaskView&) = delete;
    TaskView& operator=(const TaskView&) = delete;

    /// Returns its place in its call; nothing when no task is under way.
    [[nodiscard]] virtual std::optional<std::size_t> index() const noexcept = 0;
    /// Returns how often it was tried, this time included; 0 when no task is under way.
    [[nodiscard]] virtual std::uint32_t attempt() const noexcept = 0;

    /// Returns whether it is to stop.
    [[nodiscard]] virtual bool stop_requested() const noexcept = 0;
#ifdef __cpp_lib_jthread
    /// Returns what tells that as well. @throws std::bad_alloc; std::system_error EAGAIN
    [[nodiscard]] virtual std::stop_token stop_token() = 0;
#endif

    /// Returns whether this is not a forked child's copy: a task's children are not the task.
    [[nodiscard]] bool is_own() const noexcept { return depth_ == fork_depth(); }

  protected:
    ~TaskView() = default;

  private:
    const std::uint32_t depth_ = fork_depth();
};

/// The task of this thread, where a pool of threads runs it.
inline constinit thread_local TaskView* task_of_thread = nullptr;
/// The task of this process, where it is a pool's worker.
inline constinit std::atomic<TaskView*> task_of_process{nullptr};

/// The task of a worker process. It costs the worker nothing while it runs tasks: all of it is read
/// from the words that the owner reads too.
class WorkerTask final : public TaskView {
  public:
    WorkerTask(PoolBoard& board, WorkerSlot& slot, std::uint32_t ticket) noexcept
        : board_(board), slot_(slot), ticket_(ticket) {
        task_of_process.store(this);
    }
    ~WorkerTask();

    /// Lets SIGTERM interrupt what a task waits for, if the task was asked to stop, instead of
    /// ending the process. Does nothing if the initializer has a handler of its own.
    [[gnu::cold]] void catch_signal() noexcept;

    [[nodiscard]] std::optional<std::size_t> index() const noexcept override;
    [[nodiscard]] std::uint32_t attempt() const noexcept override;
    [[nodiscard]] bool stop_requested() const noexcept override;
#ifdef __cpp_lib_jthread
    [[nodiscard]] std::stop_token stop_token() override;
#endif

  private:
    [[nodiscard]] Batch* batch() const noexcept;
    static void on_signal(int number) noexcept;

    PoolBoard& board_;
    WorkerSlot& slot_;
    const std::uint32_t ticket_;
    const pid_t pid_ = ::getpid();

#ifdef __cpp_lib_jthread
    /// Tells a task from others of this worker.
    struct Mark {
        std::uint64_t turn = 0;
        std::uint32_t item = 0;
        friend bool operator==(const Mark&, const Mark&) = default;
    };
    [[nodiscard]] Mark mark() const noexcept;
    [[gnu::cold]] void pass_on_wishes();

    PoolThread thread_;  // waits for the owner's wish; started when a task asks for a token
    std::atomic<bool> leaving_{false};
    std::mutex mutex_;  // guards what follows
    std::stop_source source_{std::nostopstate};
    Mark source_mark_;  // the task that it is for
#endif
};

}  // namespace detail

/// What a task of a pool can ask about itself. All threads of a worker process may ask.
namespace this_task {

/// Returns the task's place in its call, from 0; outside of a task, nothing.
[[nodiscard]] std::optional<std::size_t> index() noexcept;

/// Returns how often the task was tried, this time included; outside of a task, 0.
[[nodiscard]] std::uint32_t attempt() noexcept;

/// Returns whether the task is to stop: its time is over, its call was cancelled with kill_running,
/// or its pool was terminated. It then has the time that PoolOptions::grace says; a thread has any
/// time. Outside of a task, false.
[[nodiscard]] bool stop_requested() noexcept;

#ifdef __cpp_lib_jthread
/// Returns what tells the same to a std::condition_variable_any, or calls a std::stop_callback, in
/// another thread. Outside of a task, and without a grace, nothing is ever told.
/// @throws std::bad_alloc; std::system_error EAGAIN: in a worker process it needs a thread
[[nodiscard]] std::stop_token stop_token();
#endif

}  // namespace this_task
}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/worker/this_task.ipp"
#endif
