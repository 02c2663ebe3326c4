// multiprocessing/pool/owner/time_limit.hpp
//
// Ends tasks that run for too long. The workers do not look at the clock for it. Their owner looks
// at them now and then, and a worker that is at the same task for the whole time is too slow.
// Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "multiprocessing/pool/owner/crew.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A pool's task_timeout.
class TimeLimit {
  public:
    explicit TimeLimit(Timeout limit) : limit_(limit) {}

    [[nodiscard]] bool is_set() const noexcept { return !limit_.is_forever(); }

    /// Returns how often to look, in milliseconds.
    [[nodiscard]] int tick() const noexcept;

    /// Kills the workers whose task has taken too long. @param lock the crew's
    [[gnu::cold]] void end_slow_tasks(Crew& crew, Crew::Lock& lock) const;

  private:
    void look_at(Crew& crew, std::uint32_t slot, Crew::Lock& lock) const;

    Timeout limit_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/time_limit.ipp"
#endif
