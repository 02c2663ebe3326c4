// multiprocessing/synchronize/semaphore.ipp
//
// The making, waiting, errors and text of semaphores: see semaphore.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/synchronize/semaphore.hpp"

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/synchronize/gate.hpp"

namespace multiprocessing {
namespace detail {

/// What GateWait needs to know of a semaphore.
struct SemaphoreState::Gate {
    static constexpr std::uint64_t waiting = SemaphoreState::waiting;
    static constexpr std::uint64_t starving = SemaphoreState::starving;

    std::atomic<std::uint64_t>& word;

    static bool is_open(std::uint64_t w) noexcept { return (w & value_mask) != 0; }
    static std::uint64_t passed(std::uint64_t w) noexcept { return w - 1; }
    static bool inspect(std::uint64_t, bool) noexcept { return false; }
};

MULTIPROCESSING_INLINE bool SemaphoreState::wait(Deadline deadline) {
    return enter_gate(Gate{word}, deadline);
}

MULTIPROCESSING_INLINE void SemaphoreState::wake_one(std::uint64_t w) noexcept {
    if (futex_wake(futex_half(word), 1) != 0) return;
    // Nobody slept, so the mark is cleared. If a thread has gone to sleep since, there was no unit
    // at that moment, and the thread that takes this one then sets the mark again.
    ++w;
    word.compare_exchange_strong(w, w & ~waiting, std::memory_order_relaxed);
}

MULTIPROCESSING_INLINE void throw_released_too_often() {
    throw ValueError("semaphore or lock released too many times");
}

}  // namespace detail

MULTIPROCESSING_INLINE Semaphore::Semaphore(int value, int maximum)
    : handle_(make(value, maximum)) {}

MULTIPROCESSING_INLINE detail::Handle<detail::SemaphoreState> Semaphore::make(int value,
                                                                              int maximum) {
    if (value < 0) throw ValueError("a semaphore cannot begin with a negative value");
    return detail::make_shared_object<detail::SemaphoreState>(value, maximum);
}

MULTIPROCESSING_INLINE std::string Semaphore::text() const {
    return "<Semaphore(value=" + std::to_string(get_value()) + ")>";
}

MULTIPROCESSING_INLINE std::string BoundedSemaphore::text() const {
    return "<BoundedSemaphore(value=" + std::to_string(get_value()) +
           ", maxvalue=" + std::to_string(state().maximum) + ")>";
}

}  // namespace multiprocessing
