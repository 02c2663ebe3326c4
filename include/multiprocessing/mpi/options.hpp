// multiprocessing/mpi/options.hpp
//
// How a pool of nodes is set up, and what it tells of its nodes. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/options.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace mpi {

/// How a Pool is set up; designated initialisers name the fields. What it shares with
/// multiprocessing::PoolOptions means the same here, for the workers of each node; there all of it
/// is told in full.
///
/// Not here: max_pending, because rank 0 sends a node as much as `ahead` allows and no more.
struct PoolOptions {
    /// Worker processes on each node; 0: one for each core that the node's rank may use.
    int processes = 0;
    /// How many chunks a node has in advance for each of its workers, at least 1. With fewer, its
    /// workers wait for messages; with more, the last tasks are spread less evenly.
    int ahead = 2;
    /// After how much silence a node counts as lost, in seconds. A node says that it lives at least
    /// five times in this time, whatever its tasks do.
    Timeout lost_after = 10;
    /// How often an item is tried again when its worker has died, and a chunk when its node is
    /// lost. Of a lost node's chunks nobody knows which have been run: they are run again.
    int retries = 1;
    /// How long a task may run, in seconds, see PoolOptions::task_timeout.
    Timeout task_timeout = std::nullopt;
    /// Chunks after which a fresh worker replaces the old one; 0: never.
    int maxtasksperchild = 0;
    /// How much memory of its own a worker may have after a task, in bytes; 0: any. Above that,
    /// another worker replaces it.
    std::size_t max_memory_per_child = 0;
    /// How much memory of its own a worker may have within a task, in bytes; 0: any. Above that it
    /// is killed, and the task is lost.
    std::size_t memory_limit = 0;
    /// How long a task that must end may take to do so by itself, in seconds.
    Timeout grace = 0;
    /// Exceptions of a task that count as the loss of its worker, see multiprocessing::retry_on.
    RetryOn retry_on = {};
    /// How long a lost task waits before it is tried again on its node, in seconds.
    Timeout retry_delay = 0;
    /// By how much each of a task's delays is longer than the one before, at least 1.
    double retry_backoff = 1;
    /// Chunks that each worker remembers for `trace` and for the charts of `report`: 32 bytes each,
    /// which these two bring to rank 0.
    int traced = 1024;
    /// How long a worker may be idle before it leaves, in seconds. By default workers stay.
    Timeout idle_timeout = std::nullopt;
    /// When the workers start.
    PoolStart start = PoolStart::at_once;
    /// The cores of each worker, by their numbers on its node.
    std::vector<std::vector<int>> cpus = {};
    /// What is added to the niceness of the workers.
    int nice = 0;
    /// Signals that the workers ignore.
    std::vector<int> ignore_signals = {};
    /// File on the worker's node to which its standard output is appended. In the name, "{rank}"
    /// and "{host}" stand for its node, "{pid}" and "{worker}" for itself. Empty: where the node
    /// prints, which most launchers show where rank 0 prints.
    std::string stdout_file = {};
    /// The same for standard error. It may be the same file.
    std::string stderr_file = {};
    /// Items that imap reads ahead of the results taken; 0: some for each worker.
    int buffersize = 0;
    /// Whether map and starmap show their progress on standard error.
    bool progress = false;
};

/// A node as its pool sees it.
struct Node {
    int rank;          ///< in the program's communicator; 0 in a program of one rank
    std::string host;  ///< the name of its machine
    int processes;     ///< its worker processes
    bool lost;         ///< whether it is gone
};

}  // namespace mpi

namespace detail {

/// Returns the options of the pool on each node. @param processes of a node, at least 1
inline PoolOptions local_options(const mpi::PoolOptions& options, int processes) {
    return {.processes = processes,
            .maxtasksperchild = options.maxtasksperchild,
            .max_memory_per_child = options.max_memory_per_child,
            .memory_limit = options.memory_limit,
            .task_timeout = options.task_timeout,
            .grace = options.grace,
            .retries = options.retries,
            .retry_on = options.retry_on,
            .retry_delay = options.retry_delay,
            .retry_backoff = options.retry_backoff,
            .max_pending = 0,
            .buffersize = options.buffersize,
            .progress = false,
            .traced = options.traced,
            .idle_timeout = options.idle_timeout,
            .start = options.start,
            .cpus = options.cpus,
            .nice = options.nice,
            .ignore_signals = options.ignore_signals,
            .stdout_file = options.stdout_file,
            .stderr_file = options.stderr_file};
}

/// @throws ValueError for an option that is out of its range, as far as rank 0 can tell
inline void check_node_options(const mpi::PoolOptions& options) {
    if (options.processes < 0) {
        throw ValueError("processes must be at least 1, or 0 for a node's cores");
    }
    if (options.ahead < 1) throw ValueError("ahead must be at least 1");
    if (options.lost_after.is_forever() || options.lost_after.nanoseconds().count() < 100'000'000) {
        throw ValueError("lost_after must be a number of seconds, at least 0.1");
    }
    PoolOptions local = local_options(options, 1);
    local.cpus.clear();  // a node's cores: the node checks them
    check_options(local);
}

}  // namespace detail
}  // namespace multiprocessing
