// multiprocessing/pool/insight/statistics.ipp
//
// How a pool's statistics are read and printed: see statistics.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/insight/statistics.hpp"

#include <algorithm>
#include <atomic>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE std::string text_of(const WorkerStats& worker) {
    return "WorkerStats(pid=" + std::to_string(worker.pid) +
           ", starts=" + std::to_string(worker.starts) + ", tasks=" + std::to_string(worker.tasks) +
           ", busy=" + detail::float_repr(worker.busy) +
           ", idle=" + detail::float_repr(worker.idle) +
           ", startup=" + detail::float_repr(worker.startup) + ")";
}

MULTIPROCESSING_INLINE std::string text_of(const TaskTime& task) {
    return "TaskTime(seconds=" + detail::float_repr(task.seconds) +
           ", call=" + std::to_string(task.call) + ", first=" + std::to_string(task.first) +
           ", items=" + std::to_string(task.items) + ", pid=" + std::to_string(task.pid) + ")";
}

MULTIPROCESSING_INLINE std::string text_of(const PoolStats& stats) {
    std::string text = "PoolStats(workers=";
    detail::append_repr(text, stats.workers);
    text += ", slowest=";
    detail::append_repr(text, stats.slowest);
    return text + ")";
}

namespace detail {

MULTIPROCESSING_INLINE TaskTime to_task_time(const ChunkRecord& record) noexcept {
    return {static_cast<double>(record.duration) * 1e-9, record.call, record.first, record.items,
            static_cast<pid_t>(record.pid)};
}

MULTIPROCESSING_INLINE WorkerStats read_worker_stats(const WorkerLog& log) noexcept {
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

MULTIPROCESSING_INLINE PoolStats read_stats(const WorkerLogs& logs) {
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
    stats.slowest.resize((std::min)(stats.slowest.size(), WorkerLog::slowest_count));
    return stats;
}

}  // namespace detail
}  // namespace multiprocessing
