// multiprocessing/pool/board/board.ipp
//
// How sleeping workers are woken: see board.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/board/board.hpp"

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void wake_workers(PoolBoard& board, int count, bool caller_sleeps) noexcept {
    if (board.keeps_apart == 0) {
        futex_wake(board.work, count);
        return;
    }
    // They are chosen by the core on which they fell asleep: the kernel wakes them there, or else
    // on a core that is idle. A single worker can have this core, which then need not be told. Of
    // several, those from other cores go first: if they were last, the ones from here would already
    // be on those cores.
    const std::uint32_t here = mark_of_this_core();
    const std::uint32_t first = caller_sleeps && count == 1 ? here : ~here;
    count -= futex_wake_marked(board.work, count, first);
    if (count > 0) futex_wake_marked(board.work, count, ~first);
}

MULTIPROCESSING_INLINE void announce_phase(PoolBoard& board) noexcept {
    board.work.fetch_add(1);
    futex_wake(board.work);
}

}  // namespace multiprocessing::detail
