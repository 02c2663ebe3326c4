// multiprocessing/pool.hpp
//
// Pool: a number of worker processes that run a function for every item of a range. Mirrors CPython
// Lib/multiprocessing/pool.py. Floor 5.
//
// Read on in pool/interface.hpp (the calls), pool/board.hpp (what owner and workers share),
// pool/batch.hpp and pool/results.hpp (how calls and results travel), pool/worker.hpp (the worker's
// loop), pool/supervisor.hpp (who watches the workers).
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "multiprocessing/pool/interface.hpp"
#include "multiprocessing/pool/options.hpp"
#include "multiprocessing/pool/process_backend.hpp"
#include "multiprocessing/pool/progress.hpp"
#include "multiprocessing/pool/thread_pool.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing {

/// Worker processes that run tasks.
///
///     mp::Pool pool(4);
///     std::vector<double> roots = pool.map(square_root, numbers);
///
/// At the end of its scope a pool is terminated, as at the end of Python's `with`.
/// @par Processes a worker that dies fails only the item it was running; it is replaced. The
/// workers
///      end with the pool, and when the process that made it is killed. A forked child's copy of a
///      pool is unusable.
/// @par Source CPython Lib/multiprocessing/pool.py, Pool
template <class StartMethod>
class BasicPool : public detail::PoolInterface<detail::ProcessBackend> {
  public:
    /// Starts one worker for each core that this process may use.
    BasicPool() : BasicPool(PoolOptions{}) {}

    /// Starts `processes` workers.
    explicit BasicPool(int processes) : BasicPool(PoolOptions{.processes = processes}) {}

    /// @throws ValueError fewer than 1 process, maxtasksperchild or retries below 0
    /// @throws std::system_error, RuntimeError as Process::start; then no worker is left
    explicit BasicPool(const PoolOptions& options) { open(options, nullptr); }

    /// Starts workers each of which calls `initializer(args...)` before its first task. When that
    /// throws, the pool is broken: BrokenProcessPool with the error's text.
    template <class Initializer, class... Args>
    BasicPool(int processes, Initializer&& initializer, Args&&... args)
        : BasicPool(PoolOptions{.processes = processes}, std::forward<Initializer>(initializer),
                    std::forward<Args>(args)...) {}

    /// Starts workers with options, each of which calls `initializer(args...)` first.
    template <class Initializer, class... Args>
    BasicPool(const PoolOptions& options, Initializer&& initializer, Args&&... args) {
        open(options, detail::make_target<StartMethod::inherits_memory>(
                          std::forward<Initializer>(initializer), std::forward<Args>(args)...));
    }

    [[gnu::cold]] ~BasicPool() {
        if (exit_hook_ == 0) return;
        detail::ExitHooks::remove(exit_hook_);
        // Results and streams may outlive the pool, so it does not go by itself.
        backend_.supervisor()->end();
    }

    friend std::string text_of(const BasicPool& pool) {
        return pool.text("multiprocessing.pool.Pool");
    }

  private:
    [[gnu::cold]] void open(const PoolOptions& options,
                            std::shared_ptr<detail::Target> initializer) {
        detail::check_options(options);
        buffersize_ = static_cast<std::size_t>(options.buffersize);
        shows_progress_ = options.progress;
        backend_.open({static_cast<std::uint32_t>(options.processes),
                       static_cast<std::uint32_t>(options.maxtasksperchild),
                       static_cast<std::uint32_t>(options.retries),
                       static_cast<std::uint32_t>(options.traced), options.task_timeout},
                      start_worker, std::move(initializer));
        // A pool that is still there when the program ends: its workers must not be replaced while
        // they are being ended. Python's priority for it.
        exit_hook_ = detail::ExitHooks::add(15, [weak = std::weak_ptr(backend_.supervisor())] {
            if (const auto supervisor = weak.lock()) supervisor->end();
        });
    }

    [[gnu::cold]] static std::shared_ptr<detail::Child> start_worker(
        const detail::WorkerOrders& orders, std::shared_ptr<detail::Target> initializer) {
        detail::ProcessState& state = detail::state();
        if (!state.identity().may_have_children) {
            throw AssertionError("daemonic processes are not allowed to have children");
        }
        detail::ProcessIdentity identity = detail::child_identity(state);
        identity.lineage = state.next_lineage();
        identity.name = "PoolWorker-" + identity.lineage;
        identity.authkey = state.authkey();
        identity.daemon = true;
        identity.dies_with_parent = true;
        identity.is_pool_worker = true;
        detail::WorkerTarget target(orders, std::move(initializer));
        auto child = StartMethod::start(
            std::move(identity), [&target] { target.run(); }, &target);
        state.add(child);
        detail::register_exit_handler();
        return child;
    }

    std::size_t exit_hook_ = 0;
};

/// The pool of the serial context: every task runs in the caller, at once.
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

#ifdef FMT_VERSION
#include "multiprocessing/detail/format.hpp"
#endif
