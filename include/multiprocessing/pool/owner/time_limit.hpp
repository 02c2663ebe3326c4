// multiprocessing/pool/owner/time_limit.hpp
//
// Ends tasks that run for too long. The workers do not look at the clock for it. Their owner looks
// at them now and then, and a worker that is at the same task for the whole time is too slow.
// Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "multiprocessing/pool/owner/crew.hpp"
#include "multiprocessing/pool/owner/soft_stop.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A pool's task_timeout, and its calls' own.
class TimeLimit {
  public:
    explicit TimeLimit(Timeout limit) : limit_(limit), shortest_(limit) {}

    /// Returns whether there is a limit, the pool's or that of any call so far.
    [[nodiscard]] bool is_set() const noexcept { return !shortest_.is_forever(); }

    /// Notes a call's own limit. @returns it in seconds, as Batch::time_limit
    [[nodiscard]] float note_limit(Timeout limit) noexcept;

    /// Returns how often to look, in milliseconds.
    [[nodiscard]] int tick() const noexcept;

    /// Ends the tasks of the workers whose task has taken too long. @param lock the crew's
    [[gnu::cold]] void end_slow_tasks(Crew& crew, const SoftStop& how, Crew::Lock& lock) const;

  private:
    void look_at(Crew& crew, std::uint32_t slot, const SoftStop& how, Crew::Lock& lock) const;
    [[nodiscard]] Timeout limit_of(const Batch* batch) const noexcept;

    Timeout limit_;
    Timeout shortest_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/time_limit.ipp"
#endif
