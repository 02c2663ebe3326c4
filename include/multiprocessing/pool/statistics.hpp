// multiprocessing/pool/statistics.hpp
//
// What a pool can tell of its time: for each worker what it has done, and the slowest tasks. It is
// read from the logs that the workers keep (worker_log.hpp). Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/pool/worker_log.hpp"

namespace multiprocessing {

/// What one of a pool's workers has done, those before it in its place included.
struct WorkerStats {
    pid_t pid = 0;            ///< of the present worker, or its thread; 0 before it is ready
    int starts = 0;           ///< workers that have had the place
    std::uint64_t tasks = 0;  ///< items done
    double busy = 0;          ///< seconds in tasks
    double idle = 0;          ///< seconds of waiting for some
    double startup = 0;       ///< seconds from the present worker's start to its readiness

    friend std::string text_of(const WorkerStats& worker) {
        return "WorkerStats(pid=" + std::to_string(worker.pid) +
               ", starts=" + std::to_string(worker.starts) +
               ", tasks=" + std::to_string(worker.tasks) +
               ", busy=" + detail::float_repr(worker.busy) +
               ", idle=" + detail::float_repr(worker.idle) +
               ", startup=" + detail::float_repr(worker.startup) + ")";
    }
};

/// How long some items took that a worker had taken together: a single one for chunk size 1.
struct TaskTime {
    double seconds = 0;       ///< how long they took
    std::uint64_t call = 0;   ///< number of the call among the pool's, from 1
    std::uint64_t first = 0;  ///< number of the first item in the call, from 0
    std::uint64_t items = 0;  ///< how many they were
    pid_t pid = 0;            ///< of the worker, or its thread

    friend std::string text_of(const TaskTime& task) {
        return "TaskTime(seconds=" + detail::float_repr(task.seconds) +
               ", call=" + std::to_string(task.call) + ", first=" + std::to_string(task.first) +
               ", items=" + std::to_string(task.items) + ", pid=" + std::to_string(task.pid) + ")";
    }
};

/// What Pool::stats returns.
struct PoolStats {
    std::vector<WorkerStats> workers;  ///< one for each worker
    std::vector<TaskTime> slowest;     ///< at most 5, the slowest first

    friend std::string text_of(const PoolStats& stats) {
        std::string text = "PoolStats(workers=";
        detail::append_repr(text, stats.workers);
        text += ", slowest=";
        detail::append_repr(text, stats.slowest);
        return text + ")";
    }
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

inline PoolStats read_stats(const WorkerLogs& logs) {
    PoolStats stats;
    for (std::uint32_t slot = 0; slot < logs.size(); ++slot) {
        const WorkerLog& log = logs[slot];
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
