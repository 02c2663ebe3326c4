// multiprocessing/mpi/pool.hpp
//
// Pool: the calls of multiprocessing::Pool on the nodes of an MPI program. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/mpi/backend.hpp"
#include "multiprocessing/mpi/crew.hpp"
#include "multiprocessing/mpi/gathered_logs.hpp"
#include "multiprocessing/mpi/options.hpp"
#include "multiprocessing/mpi/world.hpp"
#include "multiprocessing/pool/calls/interface.hpp"
#include "multiprocessing/pool/insight/report.hpp"
#include "multiprocessing/pool/insight/statistics.hpp"
#include "multiprocessing/pool/insight/trace.hpp"

namespace multiprocessing::mpi {

/// Worker processes on all nodes of the program, with the calls of Pool.
///
///     mp::mpi::Pool pool;
///     std::vector<double> roots = pool.map(square_root, numbers);
///
/// The chunk size says what one worker takes at a time. What a node gets at a time follows from
/// it. In a program of one rank it is a pool of this process's own. The workers come from the fork
/// server in either case, so they have nothing of this process's memory.
///
/// At the end of its scope a pool is terminated, as at the end of Python's `with`. cancel() takes
/// back what was not sent to a node yet: what was sent counts as begun.
/// @par Processes a lost worker costs its task, as in Pool. A lost node costs the chunks that it
///      had, see PoolOptions::retries; their error is NodeLost. When the last node is lost, all
///      pending calls throw NodeLost, and later ones BrokenProcessPool. A lost rank 0 ends the
///      program. A forked child's copy of a pool is unusable
class Pool : public detail::PoolInterface<detail::NodeBackend> {
  public:
    /// Starts one worker for each core of each node.
    Pool() : Pool(PoolOptions{}) {}

    /// Starts workers on all nodes, with options.
    /// @throws RuntimeError before serve
    /// @throws ValueError for an option out of its range
    /// @throws what a node throws that cannot start them; then no worker is left
    explicit Pool(const PoolOptions& options) { open(options, nullptr); }

    /// Starts workers. Each calls `initializer(args...)` before its first task. When the
    /// initializer throws, the pool is broken: its calls throw BrokenProcessPool with the error's
    /// text.
    template <class Initializer, class... Args>
    Pool(const PoolOptions& options, Initializer&& initializer, Args&&... args) {
        const auto target = detail::make_target<false>(std::forward<Initializer>(initializer),
                                                       std::forward<Args>(args)...);
        open(options, target.get());
    }

    /// Not copyable: a pool is passed by reference.
    Pool(const Pool&) = delete;  // pass it by reference: mp::mpi::Pool&
    Pool& operator=(const Pool&) = delete;

    [[gnu::cold]] ~Pool() {
        if (backend_.engine()) backend_.engine()->end();
    }

    /// Returns the nodes that the pool has, or had.
    [[nodiscard]] std::vector<Node> nodes() const { return backend_.engine()->nodes(); }

    /// Changes the number of workers of each node, see multiprocessing::Pool::resize.
    /// @param workers of a node, at least 1
    /// @throws ValueError fewer than 1 worker; "Pool not running"
    void resize(int workers) { backend_.resize(detail::checked_worker_count(workers)); }

    /// Returns what each worker of each node has done so far, by node: WorkerStats::rank and host
    /// say where. The workers of a lost node are not among them.
    ///
    /// **Blocking**: until each node has answered, or is lost.
    [[nodiscard]] PoolStats stats() const {
        detail::GatheredLogs all = gather(detail::WhichRecords::none);
        return detail::read_stats(all.logs(), all.history());
    }

    /// Writes the timeline of the latest tasks of each worker, see multiprocessing::Pool::trace.
    /// The clocks of the nodes are compared by a message there and back. **Blocking**: as stats.
    /// @throws std::system_error when it cannot be written, e.g. ENOENT, ENOSPC
    void trace(const std::string& path) const {
        detail::GatheredLogs all = gather(detail::WhichRecords::latest);
        detail::write_trace(all.logs(), all.history(), path);
    }

    /// Writes a page for a browser that says what the pool has done, see
    /// multiprocessing::Pool::report. **Blocking**: as stats.
    /// @throws std::system_error when it cannot be written, e.g. ENOENT, ENOSPC
    void report(const std::string& path) const {
        detail::GatheredLogs all = gather(detail::WhichRecords::latest);
        detail::write_report(all.logs(), all.history(), path);
    }

    friend std::string text_of(const Pool& pool) { return pool.text("multiprocessing.mpi.Pool"); }

  protected:
    /// For a derived class that opens the pool in another way.
    struct Unopened {};
    /// Makes a pool that has no workers before `open`.
    explicit Pool(Unopened) {}

    /// Starts the workers. @param at_exit what becomes of the work when the program ends
    void open(const PoolOptions& options, const detail::Target* initializer,
              detail::AtExit at_exit = detail::AtExit::drops) {
        detail::check_node_options(options);
        const auto master = detail::served_master();
        detail::OutputArchive archive;
        if (initializer != nullptr) initializer->save(archive);
        if (!archive.handles().empty()) {
            throw ValueError(
                "an argument of the initializer holds a handle (Queue, Lock, Value and the like), "
                "which stands for memory of this machine: it cannot go to another node");
        }
        buffersize_ = static_cast<std::size_t>(options.buffersize);
        shows_progress_ = options.progress;
        if (master == nullptr) {
            backend_.open(std::make_shared<detail::LocalEngine>(options, archive.view(), at_exit));
        } else {
            const auto crew = detail::NodeCrew::open(master->desk(), options, archive.view());
            if (at_exit == detail::AtExit::finishes) crew->finish_at_exit();
            backend_.open(crew);
        }
    }

  private:
    [[nodiscard]] detail::GatheredLogs gather(detail::WhichRecords which) const {
        // A copy of the pointer: a callback may destroy the pool meanwhile.
        return std::shared_ptr(backend_.engine())->gather(which);
    }
};

}  // namespace multiprocessing::mpi
