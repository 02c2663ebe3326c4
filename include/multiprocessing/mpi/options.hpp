// multiprocessing/mpi/options.hpp
//
// How a pool of nodes is set up, and what it tells of its nodes. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace mpi {

/// How a Pool is set up; designated initialisers name the fields.
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

/// @throws ValueError for an option that is out of its range
inline void check_node_options(const mpi::PoolOptions& options) {
    if (options.processes < 0) {
        throw ValueError("processes must be at least 1, or 0 for a node's cores");
    }
    if (options.ahead < 1) throw ValueError("ahead must be at least 1");
    if (options.lost_after.is_forever() || options.lost_after.nanoseconds().count() < 100'000'000) {
        throw ValueError("lost_after must be a number of seconds, at least 0.1");
    }
    if (options.retries < 0) throw ValueError("retries must be at least 0");
    if (options.maxtasksperchild < 0) {
        throw ValueError("maxtasksperchild must be at least 1, or 0 for no limit");
    }
    if (options.buffersize < 0) throw ValueError("buffersize must be at least 1, or 0");
}

}  // namespace detail
}  // namespace multiprocessing
