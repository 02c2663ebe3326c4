// multiprocessing/mpi.hpp
//
// Past one machine: the calls of Pool on the nodes of an MPI program. It needs an MPI library (the
// CMake target multiprocessing::mpi, or mpicxx), is no part of multiprocessing.hpp, and header-only
// also where the library is compiled once. Floor 9. Start at mpi::serve and mpi::Pool.
//
// One rank runs on each node. Rank 0 is the program: it makes the calls, and runs no tasks. Each
// other rank is a node: it has a local pool of processes, and runs no tasks itself, so a task that
// crashes costs itself and never a rank.
//
// A pool of nodes is PoolInterface over a third backend, beside processes and threads. As in a pool
// of processes a call becomes a batch in the heap of rank 0. But no worker takes its chunks: the
// crew sends runs of chunks to nodes, as bytes whose types it does not know. A node makes a batch
// of them in its own heap, gives that to its local pool, and sends back what the workers have
// written. Rank 0 puts it into the chunks of the call's batch. From there on everything is as in
// Pool: waiting, errors, streams, callbacks.
//
// The files of mpi/, each of which uses only those before it:
//
//   node_lost.hpp   NodeLost: the error of a task whose node is gone.
//   options.hpp     how a pool is set up, and what it tells of its nodes.
//   library.hpp     the MPI library's header.
//   mailbox.hpp     letters between ranks: all calls of MPI that send or receive.
//   parts.hpp       a part of a batch as bytes, and its results.
//   hosted_pool.hpp the pool of processes on a node.
//   engine.hpp      what runs the calls of a pool; where there is one rank, a local pool does.
//   desk.hpp        what the threads of rank 0 share.
//   crew.hpp        the nodes and the calls of one pool: which node gets what, and losses.
//   master.hpp      the thread of rank 0 that talks with the nodes.
//   node.hpp        the loop of a node.
//   world.hpp       serve: how ranks begin and end.
//   backend.hpp     the checks at compile time, and the way from a typed call to an engine.
//
// To follow a call, read from NodeBackend::submit down:
//
//   NodeCrew::submit        crew.hpp     lists the call
//   NodeCrew::hand_out      crew.hpp     chooses a node and a run of chunks
//   write_part              parts.hpp    makes bytes of it
//   NodeLoop::take_part     node.hpp     makes a batch of the bytes, for the local pool
//   NodeLoop::tell_results  node.hpp     sends the chunks that are finished
//   NodeCrew::take_results  crew.hpp     puts them into the call's batch
//
// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/mpi/backend.hpp"
#include "multiprocessing/mpi/crew.hpp"
#include "multiprocessing/mpi/node_lost.hpp"
#include "multiprocessing/mpi/options.hpp"
#include "multiprocessing/mpi/world.hpp"
#include "multiprocessing/pool/calls/interface.hpp"

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

    /// @{
    /// Not there: what the workers of other machines have done is not collected, and their number
    /// is fixed.
    void stats() const = delete;                     // a pool of nodes does not collect it
    void trace(const std::string&) const = delete;   // a pool of nodes does not collect it
    void report(const std::string&) const = delete;  // a pool of nodes does not collect it
    void resize(int) = delete;                       // the number of workers of a node is fixed
    /// @}

    friend std::string text_of(const Pool& pool) { return pool.text("multiprocessing.mpi.Pool"); }

  private:
    void open(const PoolOptions& options, const detail::Target* initializer) {
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
            backend_.open(std::make_shared<detail::LocalEngine>(options, archive.view()));
        } else {
            backend_.open(detail::NodeCrew::open(master->desk(), options, archive.view()));
        }
    }
};

}  // namespace multiprocessing::mpi

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/detail/format.hpp"
#endif
