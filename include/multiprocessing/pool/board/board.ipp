// multiprocessing/pool/board/board.ipp
//
// How sleeping workers are woken, and where their places are: see board.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/board/board.hpp"

#include <cstddef>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void wake_workers(PoolBoard& board, int count, bool caller_sleeps) noexcept {
    if (board.keeps_apart.load(std::memory_order_relaxed) == 0) {
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

// --- places ---

MULTIPROCESSING_INLINE void PoolBoard::set_habits(std::uint32_t workers) noexcept {
    // More spinners than cores would only take the cores from each other.
    const std::uint32_t cores = staffing.cores;
    const bool spins = spinning_helps() && workers <= cores;
    may_spin.store(spins ? 1 : 0, std::memory_order_relaxed);
    const bool apart = spins && workers > (std::max)(1u, cores / 2);
    keeps_apart.store(apart ? 1 : 0, std::memory_order_relaxed);
}

MULTIPROCESSING_INLINE WorkerSlot& annexed_slot(PoolBoard& board, std::uint32_t slot) noexcept {
    Annex* annex = heap().at<Annex>(board.staffing.annex.load());
    while (slot - annex->first >= annex->count) annex = heap().at<Annex>(annex->next.load());
    return reinterpret_cast<WorkerSlot*>(annex + 1)[slot - annex->first];
}

MULTIPROCESSING_INLINE WorkerLogs PoolBoard::logs() noexcept {
    WorkerLogs logs(heap().at(first_log), staffing.first_count, log_size);
    for (Offset at = staffing.annex.load(); at != 0;) {
        Annex& annex = *heap().at<Annex>(at);
        logs.add(reinterpret_cast<WorkerSlot*>(&annex + 1) + annex.count, annex.count);
        at = annex.next.load();
    }
    return logs;
}

MULTIPROCESSING_INLINE void add_places(PoolBoard& board, std::uint32_t count) {
    const std::uint32_t before = board.worker_count.load();
    count = (std::max)(count, before);  // so that there are few annexes to look through
    const std::size_t size = sizeof(Annex) + std::size_t{count} * sizeof(WorkerSlot) +
                             count * WorkerLog::size_for(board.log_size);
    auto* const fresh = static_cast<Annex*>(allocate_zeroed(size));
    fresh->first = before;
    fresh->count = count;
    std::atomic<Offset>* place = &board.staffing.annex;
    while (const Offset next = place->load()) place = &heap().at<Annex>(next)->next;
    // seq_cst, as the loads in annexed_slot and PoolBoard::logs: who sees it sees what is in it.
    place->store(heap().offset_of(fresh));
    board.worker_count.store(before + count);
}

MULTIPROCESSING_INLINE void free_board(PoolBoard& board) noexcept {
    for (Offset at = board.staffing.annex.load(); at != 0;) {
        Annex* const annex = heap().at<Annex>(at);
        at = annex->next.load();
        deallocate(annex);
    }
    deallocate(&board);
}

}  // namespace multiprocessing::detail
