// multiprocessing/pool/options.hpp
//
// PoolOptions: how a pool is set up. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "multiprocessing/pool/options/retry_on.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {

/// When a pool starts its workers.
enum class PoolStart {
    at_once,   ///< all of them, before the constructor returns
    on_demand  ///< each when there is work that no other worker is free for
};

/// How a Pool is set up; designated initialisers name the fields.
struct PoolOptions {
    /// Worker processes, at least 1.
    int processes = process_cpu_count();
    /// Chunks after which a fresh worker replaces the old one; 0: never.
    int maxtasksperchild = 0;
    /// How much memory of its own a worker may have after a task, in bytes; 0: any. Above that,
    /// another worker replaces it. It is what the worker has taken since its start, its initializer
    /// included: neither the shared heap, nor files, nor what a fork has inherited.
    std::size_t max_memory_per_child = 0;
    /// How much memory of its own a worker may have within a task, in bytes; 0: any. Above that it
    /// is killed, and the task is lost (WorkerLost, LossReason::memory). The pool looks now and
    /// then, so it may be some 10 MB more for a moment.
    std::size_t memory_limit = 0;
    /// How long a task may run, in seconds. After that its worker is killed, and the task's error
    /// is a TimeoutError.
    Timeout task_timeout = std::nullopt;
    /// How long a task that must end may take to do so by itself, in seconds: one past its time, of
    /// a call that is cancelled with kill_running, or of a pool that is terminated. It is asked by
    /// this_task::stop_requested, stop_token, and SIGTERM, which interrupts system calls. What it
    /// returns or throws then counts. After that its worker is killed. 0: it is killed at once.
    Timeout grace = 0;
    /// How often an item is tried again when its worker has died. Items before it in its chunk are
    /// not tried again.
    int retries = 0;
    /// Exceptions of a task that count as such a loss, see multiprocessing::retry_on. The last one
    /// becomes the task's error.
    RetryOn retry_on = {};
    /// How long a lost task waits before it is tried again, in seconds; up to a quarter longer, at
    /// random. Other tasks run meanwhile; a pool of threads has a thread wait for it.
    Timeout retry_delay = 0;
    /// By how much each of a task's delays is longer than the one before, at least 1.
    double retry_backoff = 1;
    /// How many calls may wait for a worker to begin them; 0: any number. The thread that makes one
    /// more with apply_async, map_async, starmap_async or submit waits too, or gets Full, see
    /// AsyncOptions::submit_timeout. A call that is waited for (map, apply) and imap, which has a
    /// bound of its own, do not count.
    int max_pending = 0;
    /// Items that imap reads ahead of the results taken; 0: some for each worker.
    int buffersize = 0;
    /// Whether map and starmap show their progress on standard error.
    bool progress = false;
    /// Chunks that each worker remembers for `trace` and for the charts of `report`.
    int traced = 1024;
    /// How long a worker may be idle, in seconds. After that it leaves, and its place gets a new
    /// one when there is work for it. By default workers stay.
    Timeout idle_timeout = std::nullopt;
    /// When the workers start.
    PoolStart start = PoolStart::at_once;
    /// The cores of each worker: worker i runs on those of set i % size. See pin_each. By default
    /// on all that the pool's process may use.
    std::vector<std::vector<int>> cpus = {};
    /// What is added to the niceness of the workers, as nice(1) does. To take from it needs
    /// CAP_SYS_NICE; without that the pool is broken: BrokenProcessPool.
    int nice = 0;
    /// Signals that the workers ignore, and what they start too unless it has handlers of its own.
    /// With SIGTERM, a signal to the whole service leaves the workers to finish what the pool is
    /// closed with. SIGINT they ignore anyway.
    std::vector<int> ignore_signals = {};
    /// File to which the standard output of the workers is appended, each line as it comes. In the
    /// name, "{pid}" and "{worker}" stand for a worker's id and for the number of its place, from
    /// 0; without these all append to one file. Empty: where the pool's process prints. For what a
    /// task has printed, see captured.
    std::string stdout_file = {};
    /// The same for standard error. It may be the same file.
    std::string stderr_file = {};
};

/// Returns a set of one core for each core that this process may use: for PoolOptions::cpus.
std::vector<std::vector<int>> pin_each();

namespace detail {

/// The less usual options, as the parts of a pool need them.
struct TaskRules {
    TaskRules() = default;
    explicit TaskRules(const PoolOptions& options)
        : retries(static_cast<std::uint32_t>(options.retries)),
          retry_on(options.retry_on),
          retry_delay(options.retry_delay),
          retry_backoff(options.retry_backoff),
          grace(options.grace),
          memory_limit(options.memory_limit),
          leave_above(least_set(options.max_memory_per_child, options.memory_limit)),
          max_pending(static_cast<std::size_t>(options.max_pending)) {}

    /// Returns the lesser of two limits, of which 0 is none.
    [[nodiscard]] static std::uint64_t least_set(std::uint64_t a, std::uint64_t b) noexcept {
        return a == 0 || (b != 0 && b < a) ? b : a;
    }

    /// Returns how long to wait before the next try of a task that was tried so often, in
    /// nanoseconds: up to a quarter more than asked for, so that tasks that have failed together do
    /// not all come back together.
    /// @param random any number
    [[nodiscard]] std::uint64_t delay_after(std::uint32_t attempts,
                                            std::uint64_t random) const noexcept;

    std::uint32_t retries = 0;
    RetryOn retry_on = {};
    Timeout retry_delay = 0;
    double retry_backoff = 1;
    Timeout grace = 0;
    std::uint64_t memory_limit = 0;
    std::uint64_t leave_above = 0;  // of the limits of memory the lower one, in bytes
    std::size_t max_pending = 0;
};

/// @throws ValueError for an option that is out of its range
[[gnu::cold]] void check_options(const PoolOptions& options);

/// Does the same for a pool within this process. @throws ValueError also for an option that only
/// worker processes have, where to ignore it would change what the program does
[[gnu::cold]] void check_local_options(const PoolOptions& options);

}  // namespace detail
}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/options.ipp"
#endif
