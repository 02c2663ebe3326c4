// multiprocessing/pool/worker/setup.hpp
//
// What a worker is given before its first task, and what it does before it ends: its cores, its
// niceness, the signals that it ignores, the files that it prints to, and the function of
// Pool::on_exit. A pool that asks for
// none of it has no setup, and its workers look for none. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "multiprocessing/heap.hpp"
#include "multiprocessing/process/output_files.hpp"

namespace multiprocessing::detail {

struct PoolBoard;
class Target;

/// What each worker of a pool is given. It travels as it is.
struct WorkerSetup {
    std::vector<std::vector<int>> cpus;  // worker i gets the set i % size; empty: all cores
    int nice = 0;
    std::vector<int> ignore_signals;
    OutputFiles output;

    [[nodiscard]] bool is_empty() const noexcept {
        return cpus.empty() && nice == 0 && ignore_signals.empty() && output.is_empty();
    }
};

/// Notes what the workers are given. @pre none has started
[[gnu::cold]] void note_setup(PoolBoard& board, const WorkerSetup& setup);

/// In a worker: does what note_setup has noted, if anything.
/// @throws std::system_error EPERM, EACCES for a niceness; EINVAL for cores that it cannot have
[[gnu::cold]] void set_up_worker(PoolBoard& board, std::uint32_t slot);

/// Returns the message of a call for run_on_exit. @throws what the arguments throw when written
[[gnu::cold]] Offset make_exit_message(const Target& target);

/// In a worker: makes the call that the board has for the end of a worker, if any. A pool that was
/// terminated wants none: its workers leave in any order, and are killed soon.
/// @throws what the function throws
[[gnu::cold]] void run_on_exit(PoolBoard& board);

/// Frees the setup and the message. @pre no worker is left
[[gnu::cold]] void drop_setup(PoolBoard& board) noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/worker/setup.ipp"
#endif
