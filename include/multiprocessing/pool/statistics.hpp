// multiprocessing/pool/statistics.hpp
//
// What a pool can tell of its time: for each worker what it has done, and the slowest tasks. It is
// read from the logs that the workers keep (worker_log.hpp). Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "multiprocessing/pool/board.hpp"
#include "multiprocessing/pool/worker_log.hpp"

namespace multiprocessing {

/// What one of a pool's workers has done, those before it in its place included.
struct WorkerStats {
    pid_t pid = 0;            ///< of the present worker; 0 before the first is ready
    int starts = 0;           ///< workers that have had the place
    std::uint64_t tasks = 0;  ///< items done
    double busy = 0;          ///< seconds in tasks
    double idle = 0;          ///< seconds of waiting for some
    double startup = 0;       ///< seconds from the present worker's start to its readiness
};

/// How long some items took that a worker had taken together: a single one for chunk size 1.
struct TaskTime {
    double seconds = 0;
    std::uint64_t call = 0;   ///< number of the call among the pool's, from 1
    std::uint64_t first = 0;  ///< number of the first item in the call, from 0
    std::uint64_t items = 0;
    pid_t pid = 0;  ///< of the worker
};

/// What Pool::stats returns.
struct PoolStats {
    std::vector<WorkerStats> workers;
    std::vector<TaskTime> slowest;  ///< at most 5, the slowest first
};

namespace detail {

inline TaskTime to_task_time(const ChunkRecord& record) noexcept {
    return {static_cast<double>(record.duration) * 1e-9, record.call, record.first, record.items,
            static_cast<pid_t>(record.pid)};
}

inline WorkerStats read_worker_stats(const WorkerLog& log) noexcept {
    const auto seconds = [](const std::atomic<std::uint64_t>& nanoseconds) {
        return static_cast<double>(nanoseconds.load(std::memory_order_relaxed)) * 1e-9;
    };
    return {static_cast<pid_t>(log.pid.load()),
            static_cast<int>(log.starts.load()),
            log.items.load(),
            seconds(log.busy),
            seconds(log.idle),
            seconds(log.startup)};
}

inline PoolStats read_stats(PoolBoard& board) {
    PoolStats stats;
    for (std::uint32_t slot = 0; slot < board.worker_count; ++slot) {
        const WorkerLog& log = log_of(board, slot);
        stats.workers.push_back(read_worker_stats(log));
        for (const ChunkRecord& record : log.slowest) {
            if (record.duration != 0) stats.slowest.push_back(to_task_time(record));
        }
    }
    std::sort(stats.slowest.begin(), stats.slowest.end(),
              [](const TaskTime& a, const TaskTime& b) { return a.seconds > b.seconds; });
    stats.slowest.resize(std::min(stats.slowest.size(), WorkerLog::slowest_count));
    return stats;
}

}  // namespace detail
}  // namespace multiprocessing
