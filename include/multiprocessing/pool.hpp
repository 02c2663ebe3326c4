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
#include "multiprocessing/pool/process_backend.hpp"
#include "multiprocessing/pool/progress.hpp"
#include "multiprocessing/pool/statistics.hpp"
#include "multiprocessing/pool/thread_pool.hpp"
#include "multiprocessing/pool/trace.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing {

/// What a Pool is to be; designated initialisers name the fields.
struct PoolOptions {
    /// Worker processes, at least 1.
    int processes = process_cpu_count();
    /// Chunks after which a worker is replaced by a fresh one; 0: never.
    int maxtasksperchild = 0;
    /// How long a task may run, in seconds; then its worker is killed, and it is a TimeoutError.
    Timeout task_timeout = std::nullopt;
    /// How often an item is tried again whose worker died. Items before it in its chunk are not.
    int retries = 0;
    /// Items that imap reads ahead of the results taken; 0: some for each worker.
    int buffersize = 0;
    /// Whether map and starmap show how far they are, on standard error.
    bool progress = false;
    /// Chunks that each worker remembers for `trace`.
    int traced = 1024;
};

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

    /// Returns what each worker has done so far, and the slowest tasks.
    [[nodiscard]] PoolStats stats() const {
        return detail::read_stats(backend_.supervisor()->board());
    }

    /// Writes the timeline of the latest tasks of each worker (PoolOptions::traced of them) as a
    /// file that chrome://tracing and ui.perfetto.dev open.
    /// @throws std::system_error when it cannot be written, e.g. ENOENT, ENOSPC
    void trace(const std::string& path) const {
        detail::write_trace(backend_.supervisor()->board(), path);
    }

  private:
    [[gnu::cold]] void open(const PoolOptions& options,
                            std::shared_ptr<detail::Target> initializer) {
        check_options(options);
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

    [[gnu::cold]] static void check_options(const PoolOptions& options) {
        if (options.processes < 1) throw ValueError("Number of processes must be at least 1");
        if (options.maxtasksperchild < 0) {
            throw ValueError("maxtasksperchild must be at least 1, or 0 for no limit");
        }
        if (options.retries < 0) throw ValueError("retries must be at least 0");
        if (options.buffersize < 0) throw ValueError("buffersize must be at least 1, or 0");
        if (options.traced < 0) throw ValueError("traced must be at least 0");
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

using Pool = BasicPool<default_start_method>;

}  // namespace multiprocessing
