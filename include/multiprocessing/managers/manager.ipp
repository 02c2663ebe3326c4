// multiprocessing/managers/manager.ipp
//
// How a manager begins and ends: see manager.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/managers/manager.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE ManagerLife::ManagerLife() : state_(make_shared_object<ManagerState>()) {}

MULTIPROCESSING_INLINE ManagerLife& ManagerLife::operator=(ManagerLife&& other) noexcept {
    ManagerLife taken(std::move(other));
    std::swap(state_, taken.state_);
    std::swap(owner_, taken.owner_);
    return *this;
}

MULTIPROCESSING_INLINE void ManagerLife::shutdown() noexcept {
    if (state_ && owner_ == known_self()) {
        state_->is_down.store(1, std::memory_order_release);
    }
}

MULTIPROCESSING_INLINE void ManagerLife::check_usable() const {
    if (!state_) throw ValueError("the manager was moved from");
    state_->check_usable();
}

MULTIPROCESSING_INLINE std::string ManagerLife::text() const {
    const bool is_up = state_ && state_->is_down.load() == 0;
    return std::string("<multiprocessing.managers.SyncManager state=") +
           (is_up ? "STARTED>" : "SHUTDOWN>");
}

}  // namespace multiprocessing::detail
