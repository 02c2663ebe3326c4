// multiprocessing/managers/container.ipp
//
// How a container's lock is waited for, and the errors: see container.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/managers/container.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void ManagerState::throw_shut_down() {
    throw ValueError("the manager of this object was shut down: keep the manager for as "
                     "long as its dicts, lists and namespaces are used");
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void ContainerState::refuse_own_user() const {
    if (lock.holder() == self() && user.load(std::memory_order_relaxed) == this_thread()) {
        throw RuntimeError("a function that changes an element of a manager's dict or list "
                           "uses that same dict or list, whose lock it holds");
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE bool ContainerState::acquire_slowly() {
    refuse_own_user();
    lock.acquire(Deadline(Timeout()), Abandoned::keep);
    if (!lock.is_abandoned()) return false;
    user.store(0, std::memory_order_relaxed);
    return true;
}

}  // namespace multiprocessing::detail
