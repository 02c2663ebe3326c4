// multiprocessing/pool/owner/door.ipp
//
// How the maker of a call waits until it may come in: see door.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/door.hpp"

#include <chrono>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/pool/calls/submit_options.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE bool Door::has_place() noexcept {
    const auto waits_no_longer = [](const auto& call) {
        return call->is_started() || call->is_over();
    };
    while (!waiting_.empty() && waits_no_longer(waiting_.front())) waiting_.pop_front();
    // In the middle: calls that were cancelled, or had a higher priority.
    if (waiting_.size() >= most_) waiting_.remove_if(waits_no_longer);
    return waiting_.size() < most_;
}

MULTIPROCESSING_INLINE void Door::wait(TaskPolicy& policy, std::unique_lock<LocalMutex>& lock,
                                       const Deadline& deadline) {
    // A worker that dies after it has taken a chunk tells nobody, so nobody sleeps for longer.
    constexpr std::chrono::milliseconds longest{50};
    policy.at_the_door.fetch_add(1);
    const std::uint32_t seen = policy.begun.load();
    // Before the look at the calls: pairs with the fence in tell_of_begun.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const bool may_come_in = has_place();
    if (!may_come_in && !deadline.has_passed()) {
        lock.unlock();
        const timespec time = deadline.left_as_timespec(longest);
        futex_wait(policy.begun, seen, &time);
        lock.lock();
    }
    policy.at_the_door.fetch_sub(1);
    if (!may_come_in && deadline.has_passed() && !has_place()) throw_no_place(most_);
}

}  // namespace multiprocessing::detail
