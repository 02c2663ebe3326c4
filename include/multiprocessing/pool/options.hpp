// multiprocessing/pool/options.hpp
//
// What a pool is to be. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/errors.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {

/// What a Pool is to be; designated initialisers name the fields.
struct PoolOptions {
    /// Worker processes, at least 1.
    int processes = process_cpu_count();
    /// Chunks after which a worker is replaced by a fresh one; 0: never.
    int maxtasksperchild = 0;
    /// How long a task may run, in seconds; then its worker is killed, and it is a TimeoutError.
    Timeout task_timeout = std::nullopt;
    /// How often an item is tried again whose worker died. Items before it in its chunk are not.
    int retries = 0;
    /// Items that imap reads ahead of the results taken; 0: some for each worker.
    int buffersize = 0;
    /// Whether map and starmap show how far they are, on standard error.
    bool progress = false;
    /// Chunks that each worker remembers for `trace`.
    int traced = 1024;
};

namespace detail {

/// @throws ValueError for what makes no sense
[[gnu::cold]] inline void check_options(const PoolOptions& options) {
    if (options.processes < 1) throw ValueError("Number of processes must be at least 1");
    if (options.maxtasksperchild < 0) {
        throw ValueError("maxtasksperchild must be at least 1, or 0 for no limit");
    }
    if (options.retries < 0) throw ValueError("retries must be at least 0");
    if (options.buffersize < 0) throw ValueError("buffersize must be at least 1, or 0");
    if (options.traced < 0) throw ValueError("traced must be at least 0");
}

}  // namespace detail
}  // namespace multiprocessing
