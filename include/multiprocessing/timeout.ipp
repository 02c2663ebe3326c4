// multiprocessing/timeout.ipp
//
// The arithmetic of timeouts and deadlines: see timeout.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/timeout.hpp"

#include <time.h>

#include <algorithm>
#include <chrono>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE void Timeout::throw_not_a_number() {
    throw ValueError("a timeout must be a number of seconds, not NaN");
}

namespace detail {

MULTIPROCESSING_INLINE std::chrono::nanoseconds Deadline::left() const {
    if (is_forever()) return (std::chrono::nanoseconds::max)();
    if (at_ == passed) return std::chrono::nanoseconds(0);
    const auto now = Clock::now();
    return now >= at_ ? std::chrono::nanoseconds(0) : at_ - now;
}

MULTIPROCESSING_INLINE timespec Deadline::left_as_timespec(std::chrono::nanoseconds limit) const {
    const auto wait = (std::min)(left(), limit).count();
    return {static_cast<time_t>(wait / 1'000'000'000), static_cast<long>(wait % 1'000'000'000)};
}

MULTIPROCESSING_INLINE Deadline::Clock::time_point Deadline::add(Clock::time_point now,
                                                                 Timeout timeout) {
    const auto room = (Clock::time_point::max)() - now;
    return timeout.nanoseconds() >= room ? (Clock::time_point::max)() : now + timeout.nanoseconds();
}

}  // namespace detail
}  // namespace multiprocessing
