// multiprocessing/pool/board/task_clock.ipp
//
// How ticks become times: see task_clock.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/board/task_clock.hpp"

#include <algorithm>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

[[gnu::noinline]] MULTIPROCESSING_INLINE TaskClock::Span TaskClock::look(
    std::uint64_t end) noexcept {
    const std::uint64_t now = monotonic_now();
    const std::uint64_t count = ticks();
    const std::uint64_t free = std::exchange(now_, (std::max)(now, now_));
    const auto since = [count](std::uint64_t tick) {
        return static_cast<double>(count - (std::min)(count, tick));
    };
    const double tick = static_cast<double>(now - looked_) / (std::max)(since(looked_tick_), 1.0);
    if (now - looked_ >= interval) {
        tick_ = tick;
        looked_ = now;
        looked_tick_ = count;
        // Once: while the machine is suspended the clock stands still, and the ticks may not.
        if (most_ticks_ == 0) most_ticks_ = static_cast<std::uint64_t>(interval / tick);
    }
    if (woken_ == 0) return {free, free, now_};
    const auto time_of = [&](std::uint64_t moment) {
        // At most all of the time, in case the cores count differently.
        const double ago = (std::min)(since(moment) * tick, static_cast<double>(now_ - free));
        return now_ - static_cast<std::uint64_t>(ago);
    };
    const std::uint64_t begin = time_of(std::exchange(woken_, 0));
    now_ = (std::max)(begin, time_of(end));
    return {free, begin, now_};
}

}  // namespace multiprocessing::detail
