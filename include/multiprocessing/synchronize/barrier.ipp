// multiprocessing/synchronize/barrier.ipp
//
// How a barrier is made and waited at, and its text: see barrier.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/synchronize/barrier.hpp"

#include <chrono>
#include <cstddef>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/synchronize/trailing.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE int Barrier::wait_in_place(bool (*has_left)(), Timeout timeout) const {
    const bool has_action = handle_->has_action != 0;
    if (has_action && !action_ && handle_->portable_action == 0) {
        handle_->abort();  // the others would wait for ever for a party that cannot do its part
        throw RuntimeError("this process does not have the barrier's action: a lambda with "
                           "captures, or another callable that cannot travel, is in the process "
                           "that made the barrier alone. Let the action be a function, or "
                           "mp::partial(f, values...)");
    }
    const auto run_action = [&] {
        if (action_) {
            (*action_)();
        } else if (has_action) {
            detail::run_portable_action(detail::heap().at<std::byte>(handle_->portable_action));
        }
    };
    const detail::Deadline deadline(timeout.is_forever() ? default_timeout() : timeout);
    return handle_->wait(deadline, run_action, has_left);
}

MULTIPROCESSING_INLINE detail::Handle<detail::BarrierState> Barrier::make(int parties,
                                                                          detail::Payload action,
                                                                          bool has_action,
                                                                          Timeout timeout) {
    if (parties < 1) throw ValueError("a barrier needs at least one party");
    auto state = detail::make_with_trailing<detail::BarrierState>(
        static_cast<std::size_t>(parties) * sizeof(detail::BarrierParty), parties,
        action ? detail::heap().offset_of(action.get()) : detail::Offset{0}, has_action, timeout);
    static_cast<void>(action.release());  // the state's now
    return state;
}

MULTIPROCESSING_INLINE Timeout Barrier::default_timeout() const {
    const std::chrono::nanoseconds time(handle_->timeout);
    return time == (std::chrono::nanoseconds::max)() ? Timeout() : Timeout(time);
}

MULTIPROCESSING_INLINE std::string Barrier::text() const {
    if (broken()) return "<Barrier broken>";
    return "<Barrier waiters=" + std::to_string(n_waiting()) + "/" + std::to_string(parties()) +
           ">";
}

}  // namespace multiprocessing
