// multiprocessing/pool/insight/statistics.hpp
//
// What a pool can tell about its time: what each worker has done, and which tasks were slowest. It
// is read from the logs that the workers keep (worker_log.hpp). Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace multiprocessing {

/// What one of a pool's workers has done, including the workers before it in its place.
struct WorkerStats {
    pid_t pid = 0;            ///< of the present worker, or its thread; 0 before it is ready
    int starts = 0;           ///< workers that have had the place
    std::uint64_t tasks = 0;  ///< items done
    double busy = 0;          ///< seconds in tasks
    double idle = 0;          ///< seconds of waiting for tasks
    double startup = 0;       ///< seconds from the present worker's start until it was ready

    friend std::string text_of(const WorkerStats& worker);
};

/// How long the items of one chunk took: a single item where the chunk size is 1.
struct TaskTime {
    double seconds = 0;       ///< how long they took
    std::uint64_t call = 0;   ///< number of the call among the pool's, from 1
    std::uint64_t first = 0;  ///< number of the first item in the call, from 0
    std::uint64_t items = 0;  ///< how many they were
    pid_t pid = 0;            ///< of the worker, or its thread

    friend std::string text_of(const TaskTime& task);
};

/// What Pool::stats returns.
struct PoolStats {
    std::vector<WorkerStats> workers;  ///< one for each worker
    std::vector<TaskTime> slowest;     ///< at most 5, the slowest first

    friend std::string text_of(const PoolStats& stats);
};

namespace detail {

class WorkerLogs;

/// Returns what the logs say.
PoolStats read_stats(const WorkerLogs& logs);

}  // namespace detail
}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/insight/statistics.ipp"
#endif
