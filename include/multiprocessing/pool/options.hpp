// multiprocessing/pool/options.hpp
//
// PoolOptions: how a pool is set up. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {

/// How a Pool is set up; designated initialisers name the fields.
struct PoolOptions {
    /// Worker processes, at least 1.
    int processes = process_cpu_count();
    /// Chunks after which a fresh worker replaces the old one; 0: never.
    int maxtasksperchild = 0;
    /// How long a task may run, in seconds. After that its worker is killed, and the task's error
    /// is a TimeoutError.
    Timeout task_timeout = std::nullopt;
    /// How often an item is tried again when its worker has died. Items before it in its chunk are
    /// not tried again.
    int retries = 0;
    /// Items that imap reads ahead of the results taken; 0: some for each worker.
    int buffersize = 0;
    /// Whether map and starmap show their progress on standard error.
    bool progress = false;
    /// Chunks that each worker remembers for `trace`.
    int traced = 1024;
};

namespace detail {

/// @throws ValueError for an option that is out of its range
[[gnu::cold]] void check_options(const PoolOptions& options);

}  // namespace detail
}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/options.ipp"
#endif
