// multiprocessing/mpi/node_lost.hpp
//
// NodeLost: the error of a task whose node is gone. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include "multiprocessing/errors.hpp"

namespace multiprocessing {

/// The node that had the task is gone: its rank was killed, or says nothing any more. Nobody knows
/// how far the task was. It may have run to its end.
///
/// exitcode() and pid() are 0, because nobody has collected the rank, and reason() is
/// LossReason::exit.
class NodeLost : public WorkerLost {
  public:
    /// @param what what happened
    /// @param rank of the node, in the program's communicator
    /// @param host the name of its machine
    /// @param task the task that it had
    NodeLost(const std::string& what, int rank, std::string host, const LostTask& task = {})
        : WorkerLost(what, 0, 0, task), rank_(rank), host_(std::move(host)) {}

    /// @{
    /// Returns what the constructor was given.
    [[nodiscard]] int rank() const noexcept { return rank_; }
    [[nodiscard]] const std::string& host() const noexcept { return host_; }
    /// @}

  private:
    int rank_;
    std::string host_;
};

namespace detail {

/// Lets a NodeLost be written to a batch and read again.
void register_node_lost();

}  // namespace detail
}  // namespace multiprocessing

#include "multiprocessing/mpi/node_lost.ipp"
