// multiprocessing/synchronize/event.ipp
//
// How an event is made, set and waited for: see event.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/synchronize/event.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/synchronize/gate.hpp"

namespace multiprocessing {
namespace detail {

MULTIPROCESSING_INLINE void EventState::set() noexcept {
    std::uint32_t w = word.load(std::memory_order_relaxed);
    std::uint32_t next = 0;
    do {
        next = (w & is_set) != 0 ? w : ((w | is_set) & ~waiting) + once;
        // release: a thread that sees the event set sees what was done before.
    } while (
        !word.compare_exchange_weak(w, next, std::memory_order_release, std::memory_order_relaxed));
    if ((w & waiting) != 0) futex_wake(word);
}

MULTIPROCESSING_INLINE bool EventState::wait(const Deadline& deadline) {
    // acquire: pairs with set.
    const std::uint32_t before = word.load(std::memory_order_acquire);
    const auto was_set = [&](std::uint32_t w) {
        return (w & is_set) != 0 || (w ^ before) / once != 0;
    };
    if (was_set(before)) return true;
    if (deadline.has_passed()) return false;
    if (spin_until([&] { return was_set(word.load(std::memory_order_acquire)); })) return true;
    for (;;) {
        std::uint32_t w = word.load(std::memory_order_acquire);
        if (was_set(w)) return true;
        if (deadline.has_passed()) return false;
        if ((w & waiting) == 0 &&
            !word.compare_exchange_strong(w, w | waiting, std::memory_order_relaxed)) {
            continue;
        }
        // At intervals, in case the process that set it was killed before it woke this thread.
        const timespec time = deadline.left_as_timespec(check_interval);
        futex_wait(word, w | waiting, &time);
    }
}

}  // namespace detail

MULTIPROCESSING_INLINE Event::Event() : handle_(detail::make_shared_object<detail::EventState>()) {}

}  // namespace multiprocessing
