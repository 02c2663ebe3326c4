// multiprocessing/pool/owner/lanes.ipp
//
// How a board gets its lanes: see lanes.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/lanes.hpp"

#include <cstdint>
#include <new>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void Lanes::open(PoolBoard& board) {
    board_ = &board;
    usual_.open(board, board.head);
}

MULTIPROCESSING_INLINE void Lanes::clear() noexcept {
    usual_.clear();
    for (auto& [priority, other] : others_) {
        other.list.clear();
        if (other.lane != nullptr) deallocate(other.lane);
    }
    others_.clear();
    if (usual_lane_ != nullptr) deallocate(usual_lane_);
    usual_lane_ = nullptr;
}

MULTIPROCESSING_INLINE std::uint32_t Lanes::count_untaken(std::uint32_t most) const noexcept {
    std::uint32_t count = usual_.count_untaken(most);
    for (const auto& [priority, other] : others_) {
        if (count == most) break;
        count += other.list.count_untaken(most - count);
    }
    return count;
}

MULTIPROCESSING_INLINE std::shared_ptr<PendingBatch> Lanes::find(Offset offset) const noexcept {
    auto found = usual_.find(offset);
    for (auto other = others_.begin(); !found && other != others_.end(); ++other) {
        found = other->second.list.find(offset);
    }
    return found;
}

MULTIPROCESSING_INLINE EntryList& Lanes::other_list(int priority) {
    if (const auto found = others_.find(priority); found != others_.end()) {
        return found->second.list;
    }
    if (usual_lane_ == nullptr) {
        usual_lane_ = make_lane(0);
        usual_lane_->list = heap().offset_of(&board_->head);
        usual_lane_->empty.store(UINT64_MAX);  // nobody counts what is added to the usual list
        add(*usual_lane_);
    }
    Other& other = others_[priority];
    try {
        other.lane = make_lane(priority);
        other.list.open(*board_, other.lane->head, &other.lane->added);
    } catch (...) {
        if (other.lane != nullptr) deallocate(other.lane);
        others_.erase(priority);
        throw;
    }
    add(*other.lane);
    return other.list;
}

/// Lets the workers see a lane. One that walks the lanes meanwhile may miss it; it looks again once
/// it is told of the new entry, or has run a chunk.
MULTIPROCESSING_INLINE void Lanes::add(Lane& lane) noexcept {
    std::atomic<Offset>* before = &board_->lanes;
    Offset after = before->load();
    while (after != 0 && heap().at<Lane>(after)->priority > lane.priority) {
        before = &heap().at<Lane>(after)->next;
        after = before->load();
    }
    lane.next.store(after);
    before->store(heap().offset_of(&lane));  // release: pairs with the loads of protect_next
}

MULTIPROCESSING_INLINE Lane* Lanes::make_lane(int priority) {
    static_assert(sizeof(Lane) % 64 == 0);
    auto* const lane = static_cast<Lane*>(allocate_zeroed(sizeof(Lane)));
    lane->priority = priority;
    lane->list = heap().offset_of(&lane->head);
    return lane;
}

}  // namespace multiprocessing::detail
