// multiprocessing/pool/insight/statistics.hpp
//
// What a pool can tell about its time: what each worker has done, which tasks were slowest, which
// workers were lost. It is read from the logs that the workers keep (worker_log.hpp), and from what
// the pool's owner remembers (history.hpp). Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "multiprocessing/pool/insight/history.hpp"

namespace multiprocessing {

/// What one of a pool's workers has done, including the workers before it in its place.
struct WorkerStats {
    pid_t pid = 0;             ///< of the present worker, or its thread; 0 before it is ready
    int starts = 0;            ///< workers that have had the place
    std::uint64_t tasks = 0;   ///< items done
    double busy = 0;           ///< seconds in tasks
    double idle = 0;           ///< seconds of waiting for tasks
    double startup = 0;        ///< seconds from the present worker's start until it was ready
    std::uint64_t failed = 0;  ///< of the tasks, those that threw
    /// Bytes of the present worker's own memory, not of what it shares. 0 when it has ended, and
    /// for a thread, which has none of its own.
    std::uint64_t memory = 0;
    int rank = -1;     ///< of its node, in a pool of nodes
    std::string host;  ///< the name of its node's machine, in a pool of nodes

    friend std::string text_of(const WorkerStats& worker);
};

/// How long the items of one chunk took: a single item where the chunk size is 1.
struct TaskTime {
    double seconds = 0;        ///< how long they took
    std::uint64_t call = 0;    ///< number of the call among the pool's, from 1
    std::uint64_t first = 0;   ///< number of the first item in the call, from 0
    std::uint64_t items = 0;   ///< how many they were
    pid_t pid = 0;             ///< of the worker, or its thread
    std::string function;      ///< its name, if known: a class, or exported with -rdynamic
    bool is_stream = false;    ///< whether the items are those of an imap
    std::uint32_t worker = 0;  ///< the worker's place in PoolStats::workers

    friend std::string text_of(const TaskTime& task);
};

/// What Pool::stats returns.
struct PoolStats {
    std::vector<WorkerStats> workers;  ///< one for each worker
    std::vector<TaskTime> slowest;     ///< at most 5, the slowest first
    double seconds = 0;                ///< since the pool was made
    std::uint64_t lost = 0;            ///< workers that died in a task
    std::uint64_t retries = 0;         ///< how often an item was tried again, after that or
                                       ///< after an exception (PoolOptions::retry_on)
    std::vector<WorkerLoss> losses;    ///< the latest of the lost workers, at most 64

    friend std::string text_of(const PoolStats& stats);
};

namespace detail {

class WorkerLogs;

/// Returns what the logs and the owner say.
PoolStats read_stats(const WorkerLogs& logs, const History& history);

}  // namespace detail
}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/insight/statistics.ipp"
#endif
