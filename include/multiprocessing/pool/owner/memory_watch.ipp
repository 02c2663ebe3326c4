// multiprocessing/pool/owner/memory_watch.ipp
//
// How workers that use too much memory are found: see memory_watch.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/memory_watch.hpp"

#include <algorithm>
#include <functional>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/board/own_memory.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE int MemoryWatch::tick() const noexcept {
    constexpr std::uint64_t fastest = 4'000'000;  // bytes that a task fills in a millisecond
    return static_cast<int>(std::clamp<std::uint64_t>(left_ / fastest, 1, 50));
}

MULTIPROCESSING_INLINE void MemoryWatch::end_big_tasks(Crew& crew, PoolBoard& board,
                                                       Crew::Lock& lock) {
    left_ = limit_;
    for (std::uint32_t slot = 0; slot < crew.size(); ++slot) {
        if (!crew[slot].child || crew.batch_under_way(slot) == nullptr) continue;
        const pid_t pid = crew[slot].child->pid();
        const std::uint64_t inherited = board.worker_slots()[slot].inherited.load();
        const std::uint64_t used = own_memory(pid, inherited);
        left_ = (std::min)(left_, limit_ - (std::min)(limit_, used));
        if (used <= limit_) continue;
        const auto is_too_big = [&] {
            return crew.batch_under_way(slot) != nullptr && own_memory(pid, inherited) > limit_;
        };
        crew.kill_if(slot, Doom::too_big, lock, std::ref(is_too_big));
    }
}

}  // namespace multiprocessing::detail
