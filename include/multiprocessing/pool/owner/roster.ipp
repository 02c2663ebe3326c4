// multiprocessing/pool/owner/roster.ipp
//
// How a pool's places are opened and closed, and when they get workers: see roster.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/roster.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/owner/crew.hpp"
#include "multiprocessing/pool/owner/lanes.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void Roster::open(PoolBoard& board, Crew& crew, const Lanes& entries,
                                         std::uint32_t size, const StaffWishes& wishes) {
    board_ = &board;
    crew_ = &crew;
    entries_ = &entries;
    size_.store(size, std::memory_order_relaxed);
    on_demand_ = wishes.on_demand || !wishes.idle_timeout.is_forever();
    has_vacancies_ = wishes.on_demand;
    if (!wishes.idle_timeout.is_forever()) {
        board.staffing.most_idle =
            static_cast<std::uint64_t>(wishes.idle_timeout.nanoseconds().count());
    }
}

MULTIPROCESSING_INLINE void Roster::resize(std::uint32_t size) {
    const std::uint32_t places = board_->worker_count.load();
    if (size > places) add_places(*board_, size - places);
    crew_->fit_to_board();
    size_.store(size, std::memory_order_relaxed);
    board_->set_habits(size);
    for (std::uint32_t slot = 0; slot < crew_->size(); ++slot) {
        if (slot < size) {
            let_stay(slot);
        } else {
            tell_to_leave(slot);
        }
    }
    has_vacancies_ = on_demand_;
    // After the stores to `stay`: a worker that sees the new number sees what it was told.
    announce_phase(*board_);
}

MULTIPROCESSING_INLINE std::uint32_t Roster::hires() noexcept {
    if (!on_demand_) return UINT32_MAX;
    // In this order. A worker that takes a chunk between the two looks is not idle at the second
    // one, so at worst a worker too many is started.
    const std::uint32_t untaken = entries_->count_untaken(crew_->size());
    std::uint32_t idle = 0;
    std::uint32_t vacant = 0;
    for (std::uint32_t slot = 0; slot < crew_->size(); ++slot) {
        const CrewMember& member = (*crew_)[slot];
        const bool is_open = slot < size();
        const bool is_there = member.child != nullptr || member.expected;
        if (is_open && !is_there) ++vacant;
        if (is_open && (member.expected || (is_there && is_free(slot)))) ++idle;
    }
    has_vacancies_ = vacant != 0;
    return untaken > idle ? untaken - idle : 0;
}

/// Returns whether the worker of the slot has no chunk, and stays.
MULTIPROCESSING_INLINE bool Roster::is_free(std::uint32_t slot) const noexcept {
    return board_->worker_slots()[slot].stay.load() == Stay::here &&
           crew_->batch_under_way(slot) == nullptr;
}

MULTIPROCESSING_INLINE void Roster::tell_to_leave(std::uint32_t slot) noexcept {
    // Also when there is no worker: it may be on its way.
    (*crew_)[slot].told_to_leave = true;
    board_->worker_slots()[slot].stay.store(Stay::told_to_leave);
}

/// Takes it back, unless the worker has left by itself. One that has already obeyed ends, and is
/// replaced.
MULTIPROCESSING_INLINE void Roster::let_stay(std::uint32_t slot) noexcept {
    Stay told = Stay::told_to_leave;
    board_->worker_slots()[slot].stay.compare_exchange_strong(told, Stay::here);
}

}  // namespace multiprocessing::detail
