// multiprocessing/pool/board/task_clock.hpp
//
// When a worker's tasks begin and end. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/spinning.hpp"

namespace multiprocessing::detail {

/// A worker's watch. It counts ticks, and looks at the clock every tenth of a millisecond only:
/// that takes as long as to find and finish a small task. It does so after the owner has been told
/// of a chunk's end, because a sleep leaves the clock's own memory cold, which would cost the
/// waiting caller a microsecond.
class TaskClock {
  public:
    /// Moments, in nanoseconds on the monotonic clock.
    struct Span {
        std::uint64_t free;   // since when the worker had nothing to do; begin, if it had work
        std::uint64_t begin;  // of the chunk
        std::uint64_t end;
    };

    /// Returns until when it knows the time.
    [[nodiscard]] std::uint64_t latest() const noexcept { return now_; }

    /// Notes that the worker has waited until now.
    void stop_waiting() noexcept { woken_ = ticks(); }

    /// Returns when the chunk was run that ended at `end`, in ticks.
    [[nodiscard]] Span finish_chunk(std::uint64_t end) noexcept {
        // Unsigned: a core that counts less than the one before makes the watch look, too.
        if (end - looked_tick_ >= most_ticks_) return look(end);
        const std::uint64_t free = now_;
        // The time that it took to tell of the end before belongs to this chunk.
        const std::uint64_t begin = woken_ == 0 ? free : (std::max)(free, time_of(woken_));
        woken_ = 0;
        now_ = (std::max)(begin, time_of(end));
        return {free, begin, now_};
    }

  private:
    /// How long the watch trusts a look at the clock, in nanoseconds.
    static constexpr std::uint64_t interval = 100'000;

    [[nodiscard]] std::uint64_t time_of(std::uint64_t tick) const noexcept {
        const std::uint64_t count = tick - looked_tick_;
        if (count >= most_ticks_) return looked_;  // from before that, or another core's
        return looked_ + static_cast<std::uint64_t>(static_cast<double>(count) * tick_);
    }
    [[gnu::hot]] Span look(std::uint64_t end) noexcept;

    std::uint64_t now_ = monotonic_now();
    std::uint64_t looked_ = now_;          // when it looked at the clock, and what it
    std::uint64_t looked_tick_ = ticks();  // counted then
    std::uint64_t most_ticks_ = 0;         // ticks in an interval; 0 as long as it cannot know
    double tick_ = 0;                      // nanoseconds
    std::uint64_t woken_ = 0;              // in ticks; 0 when it has not waited since
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/board/task_clock.ipp"
#endif
