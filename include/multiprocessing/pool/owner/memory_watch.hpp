// multiprocessing/pool/owner/memory_watch.hpp
//
// Ends tasks that use too much memory (PoolOptions::memory_limit). The owner looks at its workers'
// memory now and then, more often the closer one is to the limit. Floor 5. Start at
// MemoryWatch::end_big_tasks. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "multiprocessing/pool/owner/crew.hpp"

namespace multiprocessing::detail {

/// A pool's memory_limit.
class MemoryWatch {
  public:
    /// @param limit bytes; 0: none
    explicit MemoryWatch(std::uint64_t limit) noexcept : limit_(limit), left_(limit) {}

    [[nodiscard]] bool is_set() const noexcept { return limit_ != 0; }

    /// Returns when to look next, in milliseconds.
    [[nodiscard]] int tick() const noexcept;

    /// Kills the workers whose task has taken them beyond the limit. @param lock the crew's
    [[gnu::cold]] void end_big_tasks(Crew& crew, PoolBoard& board, Crew::Lock& lock);

  private:
    const std::uint64_t limit_;
    std::uint64_t left_;  // bytes until the worker that is closest to the limit reaches it
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/memory_watch.ipp"
#endif
