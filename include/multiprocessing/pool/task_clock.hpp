// multiprocessing/pool/task_clock.hpp
//
// When a worker's tasks begin and end. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/pool/spinning.hpp"

namespace multiprocessing::detail {

/// A worker's watch: one look at the clock for each chunk, when its end has been told. A sleep has
/// left the clock's own memory cold, which would cost the waiting caller a microsecond, so a
/// wake-up and the end that follows are noted in ticks, and turned into times later.
class TaskClock {
  public:
    /// Moments, in nanoseconds on the monotonic clock.
    struct Span {
        std::uint64_t free;   // since when the worker had nothing to do; begin, if it had
        std::uint64_t begin;  // of the chunk
        std::uint64_t end;
    };

    /// Returns when it looked at the clock last.
    [[nodiscard]] std::uint64_t latest() const noexcept { return now_; }

    /// Notes that the worker has waited until now.
    void stop_waiting() noexcept { woken_ = ticks(); }

    /// Returns when the chunk was run that ended at `end`, in ticks.
    Span finish_chunk(std::uint64_t end) noexcept {
        const std::uint64_t now = monotonic_now();
        const std::uint64_t free = std::exchange(now_, now);
        if (woken_ == 0) return {free, free, now};  // what it took to tell the end is its own
        const std::uint64_t count = ticks();
        const auto since = [count](std::uint64_t tick) {
            return static_cast<double>(count - std::min(count, tick));
        };
        const double tick = static_cast<double>(now - first_) / std::max(since(first_tick_), 1.0);
        const auto time_of = [&](std::uint64_t moment) {
            // At most all of the time, should the cores count differently.
            const double ago = std::min(since(moment) * tick, static_cast<double>(now - free));
            return now - static_cast<std::uint64_t>(ago);
        };
        const std::uint64_t begin = time_of(std::exchange(woken_, 0));
        now_ = std::max(begin, time_of(end));
        return {free, begin, now_};
    }

  private:
    const std::uint64_t first_tick_ = ticks();
    const std::uint64_t first_ = monotonic_now();
    std::uint64_t now_ = first_;
    std::uint64_t woken_ = 0;  // the tick; 0 when it has not waited since
};

}  // namespace multiprocessing::detail
