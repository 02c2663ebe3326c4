// multiprocessing/mpi/executor.hpp
//
// PoolExecutor: futures of calls that run on the nodes of an MPI program. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/futures.hpp"
#include "multiprocessing/mpi/pool.hpp"

namespace multiprocessing {
namespace detail {

/// A pool of nodes that gives an executor access to its parts. When the program ends, its work is
/// finished.
class NodeExecutorPool : public mpi::Pool {
  public:
    explicit NodeExecutorPool(const mpi::PoolOptions& options) : Pool(Unopened{}) {
        open(options, nullptr, AtExit::finishes);
    }
    template <class Initializer, class... Args>
    NodeExecutorPool(const mpi::PoolOptions& options, Initializer&& initializer, Args&&... args)
        : Pool(Unopened{}) {
        const auto target =
            make_target<false>(std::forward<Initializer>(initializer), std::forward<Args>(args)...);
        open(options, target.get(), AtExit::finishes);
    }

    using typename PoolInterface<NodeBackend>::StreamWish;
    using PoolInterface<NodeBackend>::start_one;
    using PoolInterface<NodeBackend>::stream;
    using PoolInterface<NodeBackend>::text;
    using PoolInterface<NodeBackend>::backend_;
};

}  // namespace detail

namespace mpi {

/// Worker processes on all nodes of the program that run calls whose results are Futures. wait,
/// as_completed and co_await take these as those of ProcessPoolExecutor.
///
///     mp::mpi::PoolExecutor executor;
///     mp::Future<double> future = executor.submit(simulate, seed);
///
/// At the end of its scope it finishes everything, and also when the program ends before that. The
/// loss of a node costs what it costs in mpi::Pool.
/// @par Source CPython Lib/concurrent/futures/_base.py, Executor; mpi4py.futures, MPIPoolExecutor
class PoolExecutor
    : public detail::ExecutorInterface<detail::NodeExecutorPool, detail::NodeBackend> {
  public:
    /// Starts one worker for each core of each node.
    PoolExecutor() : PoolExecutor(PoolOptions{}) {}

    /// Starts workers on all nodes, with options. @throws what the constructor of mpi::Pool throws
    explicit PoolExecutor(const PoolOptions& options) : ExecutorInterface(std::in_place, options) {}

    /// Starts workers that each call `initializer(args...)` first. When that throws, the calls
    /// throw BrokenProcessPool.
    template <class Initializer, class... Args>
    PoolExecutor(const PoolOptions& options, Initializer&& initializer, Args&&... args)
        : ExecutorInterface(std::in_place, options, std::forward<Initializer>(initializer),
                            std::forward<Args>(args)...) {}

    /// Returns the nodes that the executor has, or had.
    [[nodiscard]] std::vector<Node> nodes() const { return pool_.nodes(); }

    friend std::string text_of(const PoolExecutor& executor) {
        return executor.pool_.text("mpi.PoolExecutor", "max_workers");
    }
};

}  // namespace mpi
}  // namespace multiprocessing
