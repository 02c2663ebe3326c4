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

/// A worker's watch: one look at the clock for each chunk, after it. A sleep has left the clock's
/// own memory cold, which would cost the waiting caller a microsecond, so a wake-up is noted in
/// ticks and told in time when the chunk is done.
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

    /// Returns when the chunk was run that is done now.
    Span finish_chunk() noexcept {
        const std::uint64_t free = std::exchange(now_, monotonic_now());
        if (woken_ == 0) return {free, free, now_};
        const std::uint64_t count = ticks();
        const auto since = [count](std::uint64_t tick) {
            return static_cast<double>(count - std::min(count, tick));
        };
        const double tick = static_cast<double>(now_ - first_) / std::max(since(first_tick_), 1.0);
        // At most all of the time, should the cores count differently.
        const double busy =
            std::min(since(std::exchange(woken_, 0)) * tick, static_cast<double>(now_ - free));
        return {free, now_ - static_cast<std::uint64_t>(busy), now_};
    }

  private:
    const std::uint64_t first_tick_ = ticks();
    const std::uint64_t first_ = monotonic_now();
    std::uint64_t now_ = first_;
    std::uint64_t woken_ = 0;  // the tick; 0 when it has not waited since
};

}  // namespace multiprocessing::detail
