// multiprocessing/pool/time_limit.hpp
//
// Ends tasks that run for too long. The workers do not look at the clock for it: their owner looks
// at them now and then, and whoever is at the same task for the whole time is too slow. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#include "multiprocessing/pool/crew.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A pool's task_timeout.
class TimeLimit {
  public:
    explicit TimeLimit(Timeout limit) : limit_(limit) {}

    [[nodiscard]] bool is_set() const noexcept { return !limit_.is_forever(); }

    /// Returns how often to look, in milliseconds.
    [[nodiscard]] int tick() const noexcept {
        return static_cast<int>(
            std::clamp<long>(limit_.nanoseconds().count() / 1'000'000 / 8, 1, 100));
    }

    /// Kills the workers whose task has taken too long.
    [[gnu::cold]] void end_slow_tasks(Crew& crew) const {
        for (std::uint32_t slot = 0; slot < crew.size(); ++slot) look_at(crew, slot);
    }

  private:
    void look_at(Crew& crew, std::uint32_t slot) const {
        CrewMember& member = crew[slot];
        const TaskMark mark = crew.mark_of(slot);
        const std::uint64_t now = monotonic_now();
        if (!member.child || crew.batch_under_way(slot) == nullptr) {
            member.mark_since = 0;
        } else if (member.mark_since == 0 || member.mark != mark) {
            // Begun before now, so it never gets less time than it may have.
            member.mark = mark;
            member.mark_since = now;
        } else if (now - member.mark_since >=
                   static_cast<std::uint64_t>(limit_.nanoseconds().count())) {
            crew.kill_if(slot, Doom::too_slow, [&] {
                return crew.mark_of(slot) == mark && crew.batch_under_way(slot) != nullptr;
            });
        }
    }

    Timeout limit_;
};

}  // namespace multiprocessing::detail
