// multiprocessing/pool/owner/end_of_program.hpp
//
// What becomes of pools that are still there when the program ends, and of threads that wait in
// their calls then. The calls end with an error. Where nobody catches it, the thread waits for the
// end of the program, and the program keeps the exit code that it was called with. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <memory>

namespace multiprocessing::detail {

class Supervisor;

/// For the destructor of a pool. If `object` is a static object of the program, the program is most
/// likely ending, before the exit hooks run: keeps the threads that this surprises from aborting
/// it.
[[gnu::cold]] void let_waiting_threads_be_if_static(const void* object);

/// The exit hooks of a pool, for as long as this object lives.
class PoolExitHooks {
  public:
    PoolExitHooks() = default;
    PoolExitHooks(const PoolExitHooks&) = delete;
    PoolExitHooks& operator=(const PoolExitHooks&) = delete;
    ~PoolExitHooks();

    /// @tparam finishes whether the pool's work is finished, as Python does for executors before
    ///         anything else; other pools are terminated
    template <bool finishes>
    [[gnu::cold]] void add(const std::shared_ptr<Supervisor>& pool) {
        if constexpr (finishes) {
            add_finishing(pool);
        } else {
            add_terminating(pool);
        }
    }

  private:
    [[gnu::cold]] void add_finishing(const std::shared_ptr<Supervisor>& pool);
    [[gnu::cold]] void add_terminating(const std::shared_ptr<Supervisor>& pool);

    std::array<std::size_t, 2> numbers_{};
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/end_of_program.ipp"
#endif
