// multiprocessing/pool/owner/time_limit.ipp
//
// How tasks that run for too long are found: see time_limit.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/time_limit.hpp"

#include <algorithm>
#include <functional>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/pool/board/board.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE int TimeLimit::tick() const noexcept {
    return static_cast<int>(
        std::clamp<long>(shortest_.nanoseconds().count() / 1'000'000 / 8, 1, 100));
}

MULTIPROCESSING_INLINE float TimeLimit::note_limit(Timeout limit) noexcept {
    if (limit.nanoseconds() < shortest_.nanoseconds()) shortest_ = limit;
    // Not 0, which would be the pool's.
    return (std::max)(1e-9f, static_cast<float>(limit.nanoseconds().count()) * 1e-9f);
}

MULTIPROCESSING_INLINE Timeout TimeLimit::limit_of(const Batch* batch) const noexcept {
    return batch == nullptr || batch->time_limit == 0 ? limit_ : Timeout(batch->time_limit);
}

MULTIPROCESSING_INLINE void TimeLimit::end_slow_tasks(Crew& crew, const SoftStop& how,
                                                      Crew::Lock& lock) const {
    for (std::uint32_t slot = 0; slot < crew.size(); ++slot) look_at(crew, slot, how, lock);
}

MULTIPROCESSING_INLINE void TimeLimit::look_at(Crew& crew, std::uint32_t slot, const SoftStop& how,
                                               Crew::Lock& lock) const {
    CrewMember& member = crew[slot];
    const TaskMark mark = crew.mark_of(slot);
    const std::uint64_t now = monotonic_now();
    const Batch* const batch = crew.batch_under_way(slot);
    const Timeout limit = limit_of(batch);
    if (!member.child || batch == nullptr || limit.is_forever()) {
        member.mark_since = 0;
    } else if (member.mark_since == 0 || member.mark != mark) {
        // The task began before now, so it never gets less time than it may have.
        member.mark = mark;
        member.mark_since = now;
    } else if (now - member.mark_since >= static_cast<std::uint64_t>(limit.nanoseconds().count())) {
        const auto is_still_at_it = [&] {
            return crew.mark_of(slot) == mark && crew.batch_under_way(slot) != nullptr;
        };
        how.end_if(crew, slot, Doom::too_slow, lock, std::ref(is_still_at_it));
    }
}

}  // namespace multiprocessing::detail
