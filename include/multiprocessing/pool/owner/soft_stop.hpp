// multiprocessing/pool/owner/soft_stop.hpp
//
// How a task is ended that must not go on. In a pool with a grace it is asked first, and has that
// time to end by itself; then, or in any other pool at once, its worker is killed. Floor 5. Start
// at SoftStop::end_if. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>

#include "multiprocessing/pool/owner/crew.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A pool's grace.
class SoftStop {
  public:
    explicit SoftStop(Timeout grace) : grace_(grace) {}

    [[nodiscard]] bool is_set() const noexcept { return grace_.nanoseconds().count() != 0; }

    /// Returns how often to look, in milliseconds.
    [[nodiscard]] int tick() const noexcept;

    /// Ends the task that the worker is at, if `condition()`. See Crew::kill_if, Crew::ask_if.
    [[gnu::cold]] void end_if(Crew& crew, std::uint32_t slot, Doom doom, Crew::Lock& lock,
                              const std::function<bool()>& condition) const;

    /// Kills the workers whose task was asked and has not ended in time. @param lock the crew's
    [[gnu::cold]] void end_deaf_tasks(Crew& crew, Crew::Lock& lock) const;

    /// Asks all tasks, and waits until they have ended or the time is over. @pre the pool is
    /// terminated
    /// @param lock the crew's; it is not held while this waits
    [[gnu::cold]] void ask_all(Crew& crew, PoolBoard& board, Crew::Lock& lock) const;

  private:
    Timeout grace_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/soft_stop.ipp"
#endif
