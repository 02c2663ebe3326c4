// multiprocessing/pool/insight/statistics.ipp
//
// How a pool's statistics are read and printed: see statistics.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/insight/statistics.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/pool/insight/memory.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE std::string text_of(const WorkerStats& worker) {
    return "WorkerStats(pid=" + std::to_string(worker.pid) +
           ", starts=" + std::to_string(worker.starts) + ", tasks=" + std::to_string(worker.tasks) +
           ", busy=" + detail::float_repr(worker.busy) +
           ", idle=" + detail::float_repr(worker.idle) +
           ", startup=" + detail::float_repr(worker.startup) +
           ", failed=" + std::to_string(worker.failed) +
           ", memory=" + std::to_string(worker.memory) +
           (worker.host.empty() ? ""
                                : ", rank=" + std::to_string(worker.rank) +
                                      ", host=" + detail::quoted(worker.host)) +
           ")";
}

MULTIPROCESSING_INLINE std::string text_of(const TaskTime& task) {
    return "TaskTime(seconds=" + detail::float_repr(task.seconds) +
           ", call=" + std::to_string(task.call) + ", first=" + std::to_string(task.first) +
           ", items=" + std::to_string(task.items) + ", pid=" + std::to_string(task.pid) +
           ", function=" + detail::quoted(task.function) +
           ", is_stream=" + (task.is_stream ? "True" : "False") +
           ", worker=" + std::to_string(task.worker) + ")";
}

MULTIPROCESSING_INLINE std::string text_of(const PoolStats& stats) {
    std::string text = "PoolStats(workers=";
    detail::append_repr(text, stats.workers);
    text += ", slowest=";
    detail::append_repr(text, stats.slowest);
    text += ", seconds=" + detail::float_repr(stats.seconds) +
            ", lost=" + std::to_string(stats.lost) + ", retries=" + std::to_string(stats.retries) +
            ", losses=";
    detail::append_repr(text, stats.losses);
    return text + ")";
}

namespace detail {

MULTIPROCESSING_INLINE TaskTime to_task_time(const ChunkRecord& record, std::uint32_t worker) {
    return {static_cast<double>(record.duration) * 1e-9,
            record.call,
            record.first,
            record.items,
            static_cast<pid_t>(record.pid),
            {},
            false,
            worker};
}

MULTIPROCESSING_INLINE WorkerStats read_worker_stats(const WorkerLog& log) {
    const auto seconds = [](const std::atomic<std::uint64_t>& nanoseconds) {
        return static_cast<double>(nanoseconds.load(std::memory_order_relaxed)) * 1e-9;
    };
    return {static_cast<pid_t>(log.pid.load()),
            static_cast<int>(log.starts.load()),
            log.items.load(),
            seconds(log.busy),
            seconds(log.idle),
            seconds(log.startup),
            log.failed.load(),
            0,
            -1,
            {}};
}

/// Keeps the slowest tasks, and names them.
MULTIPROCESSING_INLINE void keep_slowest(std::vector<TaskTime>& tasks, const History& history) {
    std::sort(tasks.begin(), tasks.end(),
              [](const TaskTime& a, const TaskTime& b) { return a.seconds > b.seconds; });
    tasks.resize((std::min)(tasks.size(), SlowestRecords::count));
    for (TaskTime& task : tasks) {
        CallName name = history.name_of_run(history.run_of(static_cast<std::uint32_t>(task.call)));
        task.function = std::move(name.function);
        task.is_stream = name.is_stream;
    }
}

MULTIPROCESSING_INLINE PoolStats read_stats(const WorkerLogs& logs, const History& history) {
    PoolStats stats;
    stats.retries = history.retries();
    for (std::uint32_t slot = 0; slot < logs.size(); ++slot) {
        const WorkerLog& log = logs[slot];
        stats.workers.push_back(read_worker_stats(log));
        stats.retries += log.retried.load(std::memory_order_relaxed);
        const pid_t present = history.present_pid(slot);
        if (present != 0) stats.workers.back().memory = own_memory_of(present);
        if (const WorkerPlace* const place = history.place_of(slot)) {
            stats.workers.back().memory = place->memory;
            stats.workers.back().rank = place->rank;
            stats.workers.back().host = place->host;
        }
        for (const ChunkRecord& record : log.slowest.read()) {
            if (record.duration != 0) stats.slowest.push_back(to_task_time(record, slot));
        }
    }
    keep_slowest(stats.slowest, history);
    stats.seconds = static_cast<double>(monotonic_now() - history.begin()) * 1e-9;
    stats.lost = history.lost();
    stats.losses.assign(history.losses().begin(), history.losses().end());
    return stats;
}

}  // namespace detail
}  // namespace multiprocessing
