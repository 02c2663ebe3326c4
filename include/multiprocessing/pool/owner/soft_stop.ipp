// multiprocessing/pool/owner/soft_stop.ipp
//
// How tasks are asked to stop: see soft_stop.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/soft_stop.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <functional>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/heap/local_mutex.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE int SoftStop::tick() const noexcept {
    return static_cast<int>(std::clamp<long>(grace_.nanoseconds().count() / 1'000'000 / 8, 1, 100));
}

MULTIPROCESSING_INLINE void SoftStop::end_if(Crew& crew, std::uint32_t slot, Doom doom,
                                             Crew::Lock& lock,
                                             const std::function<bool()>& condition) const {
    if (is_set()) {
        crew.ask_if(slot, doom, lock, condition);
    } else {
        crew.kill_if(slot, doom, lock, condition);
    }
}

MULTIPROCESSING_INLINE void SoftStop::end_deaf_tasks(Crew& crew, Crew::Lock& lock) const {
    const auto grace = static_cast<std::uint64_t>(grace_.nanoseconds().count());
    for (std::uint32_t slot = 0; slot < crew.size(); ++slot) {
        if (!crew.is_asked(slot) || monotonic_now() - crew[slot].asked_since < grace) continue;
        const auto is_still_at_it = [&] { return crew.is_asked(slot); };
        crew.kill_if(slot, crew[slot].asked, lock, std::ref(is_still_at_it));
    }
}

MULTIPROCESSING_INLINE void SoftStop::ask_all(Crew& crew, PoolBoard& board,
                                              Crew::Lock& lock) const {
    if (!is_set()) return;
    for (std::uint32_t slot = 0; slot < crew.size(); ++slot) {
        board.worker_slots()[slot].stops.fetch_add(1);
        futex_wake(board.worker_slots()[slot].stops);
        if (!crew[slot].child || crew.batch_under_way(slot) == nullptr) continue;
        try {
            crew[slot].child->signal(SIGTERM);
        } catch (const std::exception&) {  // no descriptor: it can see the wish all the same
        }
    }
    const auto is_busy = [&](std::uint32_t slot) {
        if (!crew[slot].child || crew.batch_under_way(slot) == nullptr) return false;
        return crew[slot].child->is_alive();
    };
    const Deadline deadline(grace_);
    for (std::uint32_t slot = 0; slot < crew.size() && !deadline.has_passed();) {
        if (!is_busy(slot)) {
            ++slot;
            continue;
        }
        lock.unlock();
        ::usleep(1000);
        lock.lock();
    }
}

}  // namespace multiprocessing::detail
