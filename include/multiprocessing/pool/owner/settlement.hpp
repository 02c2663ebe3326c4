// multiprocessing/pool/owner/settlement.hpp
//
// What becomes of the chunk that a dead worker had taken. Each of its items counts as done or as
// lost, or is tried again. Floor 5. Start at Settlement::settle. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <exception>
#include <string>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/owner/crew.hpp"
#include "multiprocessing/pool/owner/losses.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

struct Batch;
struct Chunk;
class Delays;
class History;
class Lanes;
struct PoolBoard;
struct WorkerSlot;

/// How a worker has ended.
struct WorkerEnd {
    int exitcode;
    pid_t pid;
    std::uint32_t slot;
    std::uint32_t ticket;
    Doom doom;
};

/// Settles the chunks of dead workers. The caller holds a lock, the same one each time.
class Settlement {
  public:
    Settlement(std::uint32_t retries, Timeout task_timeout, std::uint64_t memory_limit)
        : retries_(retries), task_timeout_(task_timeout), memory_limit_(memory_limit) {}

    void open(PoolBoard& board, Lanes& entries, Delays& delays, History& history) {
        board_ = &board;
        entries_ = &entries;
        delays_ = &delays;
        history_ = &history;
    }

    /// Reads how often the kernel has killed because memory had run out, so that the next kill can
    /// be told from these.
    void look_at_memory();
    [[nodiscard]] bool has_looked_at_memory() const noexcept { return memory_kills_.are_known(); }

    /// Settles what the worker of `slot` was doing.
    /// @returns whether it had taken a chunk and not finished it
    [[gnu::cold]] bool settle(const WorkerSlot& slot, const WorkerEnd& end);

  private:
    [[gnu::cold]] void settle_chunk(Batch& batch, std::uint32_t index, std::uint32_t at,
                                    const WorkerEnd& end);
    [[gnu::cold]] void blame(Batch& batch, std::uint32_t index, const WorkerEnd& end);
    template <class Error>
    [[gnu::cold]] void note_loss(const WorkerEnd& end, bool is_tried_again, Error error) noexcept;
    [[gnu::cold]] std::exception_ptr error_for(const Batch& batch, const LostTask& task,
                                               const WorkerEnd& end);
    static void set_start(Chunk& chunk, std::uint32_t item) noexcept;

    const std::uint32_t retries_;
    const Timeout task_timeout_;
    const std::uint64_t memory_limit_;  // bytes
    PoolBoard* board_ = nullptr;
    Lanes* entries_ = nullptr;
    Delays* delays_ = nullptr;
    History* history_ = nullptr;
    MemoryKills memory_kills_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/settlement.ipp"
#endif
