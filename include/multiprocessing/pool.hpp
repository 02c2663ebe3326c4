// multiprocessing/pool.hpp
//
// Pool: a number of worker processes that run a function for every item of a range. Mirrors CPython
// Lib/multiprocessing/pool.py. Floor 5.
//
// The rooms of pool/. Each uses only rooms that stand before it in this list:
//
//   options.hpp  how a pool is set up.
//   captured.hpp a function whose result comes with what it has printed.
//   board/       what the owner and its workers share in the heap: the board, the batches with
//                their chunks, and the workers' logs. Here a worker takes and finishes a chunk.
//   tasks/       how a call becomes a batch, how a worker runs a chunk of the batch, and how
//                results and errors come back.
//   insight/     what a pool tells about its time: statistics, traces, the report.
//   calls/       every call that users see, the same for processes and threads: map, apply, imap;
//                AsyncResult, callbacks, progress.
//   worker/      the loop of a worker process.
//   owner/       the owner's side of a pool of processes: it hands over batches, starts, watches
//                and replaces workers, settles what a dead worker has left, and ends the pool.
//   threads/     ThreadPool and the serial context's pool, which run calls within this process.
//
// To follow a call, read from Pool::map down to the store that commits a chunk:
//
//   PoolInterface::map, start    calls/interface.hpp        checks the call
//   ProcessBackend::submit       owner/process_backend.hpp  knows the function's and items' types
//   make_batch                   tasks/batch.hpp            writes function and items to the heap
//   Supervisor::submit           owner/supervisor.hpp       puts the batch on the board's list
//   PendingBatch::wait_until_over
//                                owner/pending_batch.hpp    wakes the workers, then sleeps
//   WorkerLoop::run              worker/worker.ipp          the loop of a worker
//   claim_chunk                  board/board.hpp            the exchange that takes a chunk
//   TypedRunner::run             tasks/runner.hpp           calls the function for each item
//   ResultWriter::add            tasks/results.hpp          writes a result
//   finish_chunk                 board/board.hpp            the store that commits the chunk
//
// The way back: finish_chunk wakes wait_until_over, and read_results (tasks/results.hpp) makes what
// map returns. SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "multiprocessing/pool/calls/interface.hpp"
#include "multiprocessing/pool/calls/progress.hpp"
#include "multiprocessing/pool/captured.hpp"
#include "multiprocessing/pool/options.hpp"
#include "multiprocessing/pool/owner/end_of_program.hpp"
#include "multiprocessing/pool/owner/process_backend.hpp"
#include "multiprocessing/pool/threads/thread_pool.hpp"
#include "multiprocessing/pool/worker/this_task.hpp"
#include "multiprocessing/pool/worker/worker.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing {
namespace detail {

/// The part of BasicPool that does not depend on the start method.
class ProcessPool : public PoolInterface<ProcessBackend> {
  protected:
    ProcessPool() = default;
    ~ProcessPool() = default;

    /// Starts the workers. @param finishes whether its work is finished when the program ends
    [[gnu::cold]] void open_workers(const PoolOptions& options, StartWorker start_worker,
                                    std::shared_ptr<Target> initializer, bool finishes);

    [[gnu::cold]] void set_on_exit(std::unique_ptr<Target> call);

    /// Ends the pool at the end of its scope.
    [[gnu::cold]] void end_with_scope();

    /// Returns who a new worker is.
    /// @throws AssertionError when this process must not have children
    [[gnu::cold]] static ProcessIdentity worker_identity();

    /// Notes a worker among this process's children.
    [[gnu::cold]] static void note_worker(const std::shared_ptr<Child>& worker);

  private:
    PoolExitHooks exit_hooks_;
};

}  // namespace detail

/// Worker processes that run tasks.
///
///     mp::Pool pool(4);
///     std::vector<double> roots = pool.map(square_root, numbers);
///
/// At the end of its scope a pool is terminated, as at the end of Python's `with`.
/// @par Processes when a worker dies, only the item that it was running fails; the worker is
///      replaced. The workers end with the pool, and also when the process that made the pool is
///      killed. A forked child's copy of a pool is unusable.
/// @par Source CPython Lib/multiprocessing/pool.py, Pool
template <class StartMethod>
class BasicPool : public detail::ProcessPool {
  public:
    /// Starts one worker for each core that this process may use.
    BasicPool() : BasicPool(PoolOptions{}) {}

    /// Starts `processes` workers.
    explicit BasicPool(int processes) : BasicPool(PoolOptions{.processes = processes}) {}

    /// Starts workers with options.
    /// @throws ValueError fewer than 1 process, maxtasksperchild or retries below 0, cores that
    ///         this machine does not have, signals that cannot be ignored
    /// @throws std::system_error, RuntimeError as Process::start; then no worker is left
    explicit BasicPool(const PoolOptions& options) { open<false>(options, nullptr); }

    /// Starts workers. Each calls `initializer(args...)` before its first task. When the
    /// initializer throws, the pool is broken: its calls throw BrokenProcessPool with the error's
    /// text.
    template <class Initializer, class... Args>
    BasicPool(int processes, Initializer&& initializer, Args&&... args)
        : BasicPool(PoolOptions{.processes = processes}, std::forward<Initializer>(initializer),
                    std::forward<Args>(args)...) {}

    /// Starts workers with options. Each calls `initializer(args...)` first.
    template <class Initializer, class... Args>
    BasicPool(const PoolOptions& options, Initializer&& initializer, Args&&... args) {
        open<false>(options,
                    detail::make_target<StartMethod::inherits_memory>(
                        std::forward<Initializer>(initializer), std::forward<Args>(args)...));
    }

    /// Not copyable: a pool is passed by reference.
    BasicPool(const BasicPool&) = delete;  // pass it by reference: mp::Pool&
    BasicPool& operator=(const BasicPool&) = delete;

    [[gnu::cold]] ~BasicPool() { this->end_with_scope(); }

    /// Has each worker call `f(args...)` as the last thing, when it leaves: because the pool is
    /// closed and has no more work, because it was replaced, has been idle for too long or is one
    /// too many, or because a task has called mp::exit. Workers that run already do so too.
    ///
    /// Only after that its place may get a new worker. A worker that is killed makes no such call,
    /// nor does one that `terminate` or the end of the pool's scope ends: call close and join
    /// first. What the function throws is reported on standard error. A further call replaces the
    /// function.
    /// @param f what can travel, under every start method
    /// @throws ValueError "Pool not running"
    template <class F, class... Args>
    void on_exit(F&& f, Args&&... args) {
        this->set_on_exit(
            detail::make_target<false>(std::forward<F>(f), std::forward<Args>(args)...));
    }

    friend std::string text_of(const BasicPool& pool) {
        return pool.text("multiprocessing.pool.Pool");
    }

  protected:
    /// For a derived class that opens the pool in another way.
    struct Unopened {};
    /// Makes a pool that has no workers before `open`.
    explicit BasicPool(Unopened) {}

    /// Starts the workers. @tparam finishes whether its work is finished when the program ends
    template <bool finishes>
    [[gnu::cold]] void open(const PoolOptions& options,
                            std::shared_ptr<detail::Target> initializer) {
        this->open_workers(options, start_worker, std::move(initializer), finishes);
    }

  private:
    [[gnu::cold]] static std::shared_ptr<detail::Child> start_worker(
        const detail::WorkerOrders& orders, std::shared_ptr<detail::Target> initializer) {
        detail::ProcessIdentity identity = detail::ProcessPool::worker_identity();
        detail::WorkerTarget target(orders, std::move(initializer));
        auto child = StartMethod::start(
            std::move(identity), [&target] { target.run(); }, &target);
        detail::ProcessPool::note_worker(child);
        return child;
    }
};

/// The pool of the serial context: every task runs at once, in the thread that calls.
template <>
class BasicPool<start_method::serial> : public detail::LocalPool<detail::SerialCrew> {
  public:
    using LocalPool::LocalPool;

    friend std::string text_of(const BasicPool& pool) {
        return pool.text("multiprocessing.pool.Pool");
    }
};

/// A pool of the default start method.
using Pool = BasicPool<default_start_method>;

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool.ipp"
#endif

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/detail/format.hpp"
#endif
