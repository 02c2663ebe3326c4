// multiprocessing/mpi/world.hpp
//
// The ranks of the program: serve, which makes nodes of all but rank 0; rank and size. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "multiprocessing/mpi/master.hpp"
#include "multiprocessing/mpi/node.hpp"

namespace multiprocessing {
namespace detail {

/// Returns the master, if this is rank 0 of several; else null.
/// @throws RuntimeError when serve was not called in this process
std::shared_ptr<Master> served_master();

}  // namespace detail

namespace mpi {

/// Makes this process a rank of the program: rank 0 returns, and goes on with main; each other rank
/// runs tasks until rank 0 ends, and never returns. Call it once, in main, right after
/// freeze_support.
///
///     int main() {
///         mp::freeze_support();
///         mp::mpi::serve();
///         mp::mpi::Pool pool;
///
/// It starts the fork server, from which all workers come, and then MPI, unless the program has
/// started MPI itself. At the end of the program it ends what it has started. Once a rank is lost
/// nobody calls MPI_Finalize, which would wait for that rank for ever.
/// @par Processes the ranks are ended by rank 0, also when it throws; where rank 0 or the launcher
///      is killed, they end by themselves, their workers with them
/// @throws RuntimeError when main has not called freeze_support(), when it is called twice, when
/// the
///         MPI library has no threads, or when a rank runs another build of the program: its text
///         names both hosts
void serve();

/// Returns the number of this rank. In a task: that of the node which runs it.
/// @throws RuntimeError before serve
[[nodiscard]] int rank();

/// Returns how many ranks there are.
/// @throws RuntimeError before serve
[[nodiscard]] int size();

}  // namespace mpi
}  // namespace multiprocessing

#include "multiprocessing/mpi/world.ipp"
