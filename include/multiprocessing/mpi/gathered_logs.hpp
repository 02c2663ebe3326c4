// multiprocessing/mpi/gathered_logs.hpp
//
// What the workers of all nodes have written down (pool/board/worker_log.hpp), at rank 0. A node
// sends its logs as bytes when it is asked. Rank 0 puts those of all nodes side by side, as if they
// were of one pool of this machine, so that statistics, traces and reports are made as of any pool.
//
// Each machine has a clock of its own. A node says what its clock shows, and rank 0 takes that for
// the middle of the time between its question and the answer. Floor 9. Start at write_logs.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/pool/insight/history.hpp"
#include "multiprocessing/pool/owner/supervisor.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// Whether the latest chunks of each worker come along, or the totals alone.
enum class WhichRecords : std::uint8_t { none, latest };

/// Writes what the workers of a pool of this machine have written down, and which were lost.
void write_logs(OutputArchive& archive, const Supervisor& supervisor, WhichRecords which);

/// What a node has told.
struct ToldLogs {
    int rank;
    std::string host;
    std::uint64_t middle;  // when the node wrote it, by this machine's clock; 0: this machine did
    std::vector<std::byte> bytes;  // what write_logs has written
};

/// The logs of the workers of many nodes as those of one pool. It is a snapshot.
class GatheredLogs {
  public:
    /// @param calls what rank 0 knows of the calls
    /// @throws ProcessError when bytes are damaged
    GatheredLogs(History calls, const std::vector<ToldLogs>& told);

    [[nodiscard]] WorkerLogs logs() noexcept { return logs_.view(); }
    [[nodiscard]] const History& history() const noexcept { return history_; }

  private:
    void take(const ToldLogs& told, WorkerLogs& logs);

    LocalLogs logs_;
    History history_;
    std::uint32_t taken_ = 0;  // workers
};

}  // namespace multiprocessing::detail

#include "multiprocessing/mpi/gathered_logs.ipp"
