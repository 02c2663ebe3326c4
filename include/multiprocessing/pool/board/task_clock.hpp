// multiprocessing/pool/board/task_clock.hpp
//
// When a worker's tasks begin and end. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/pool/board/spinning.hpp"

namespace multiprocessing::detail {

/// A worker's watch. It looks at the clock once for each chunk, after the owner has been told of
/// the chunk's end. A sleep leaves the clock's own memory cold, which would cost the waiting caller
/// a microsecond. So the watch notes a wake-up, and the end that follows it, in ticks, and turns
/// them into times later.
class TaskClock {
  public:
    /// Moments, in nanoseconds on the monotonic clock.
    struct Span {
        std::uint64_t free;   // since when the worker had nothing to do; begin, if it had work
        std::uint64_t begin;  // of the chunk
        std::uint64_t end;
    };

    /// Returns when it looked at the clock last.
    [[nodiscard]] std::uint64_t latest() const noexcept { return now_; }

    /// Notes that the worker has waited until now.
    void stop_waiting() noexcept { woken_ = ticks(); }

    /// Returns when the chunk was run that ended at `end`, in ticks.
    [[gnu::hot]] Span finish_chunk(std::uint64_t end) noexcept;

  private:
    const std::uint64_t first_tick_ = ticks();
    const std::uint64_t first_ = monotonic_now();
    std::uint64_t now_ = first_;
    std::uint64_t woken_ = 0;  // in ticks; 0 when it has not waited since
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/board/task_clock.ipp"
#endif
