// multiprocessing/pool/board/task_clock.ipp
//
// How ticks become times: see task_clock.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/board/task_clock.hpp"

#include <algorithm>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE TaskClock::Span TaskClock::finish_chunk(std::uint64_t end) noexcept {
    const std::uint64_t now = monotonic_now();
    const std::uint64_t free = std::exchange(now_, now);
    // The time that it took to tell of the end before belongs to this chunk.
    if (woken_ == 0) return {free, free, now};
    const std::uint64_t count = ticks();
    const auto since = [count](std::uint64_t tick) {
        return static_cast<double>(count - (std::min)(count, tick));
    };
    const double tick = static_cast<double>(now - first_) / (std::max)(since(first_tick_), 1.0);
    const auto time_of = [&](std::uint64_t moment) {
        // At most all of the time, in case the cores count differently.
        const double ago = (std::min)(since(moment) * tick, static_cast<double>(now - free));
        return now - static_cast<std::uint64_t>(ago);
    };
    const std::uint64_t begin = time_of(std::exchange(woken_, 0));
    now_ = (std::max)(begin, time_of(end));
    return {free, begin, now_};
}

}  // namespace multiprocessing::detail
