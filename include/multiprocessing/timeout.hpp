// multiprocessing/timeout.hpp
//
// Timeout, the parameter of every call that can wait, and Deadline, the point in time it turns
// into. Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

#include "multiprocessing/errors.hpp"

namespace multiprocessing {

/// How long a call may wait: seconds as a number, a std::chrono duration, or std::nullopt for ever.
///
/// A negative timeout is 0, as in Python: look once, do not wait.
/// @throws ValueError when the number of seconds is NaN
///
///     lock.acquire(true, 0.5);   lock.acquire(true, 500ms);   lock.acquire(true, std::nullopt);
class Timeout {
  public:
    /// Never runs out.
    constexpr Timeout(std::nullopt_t = std::nullopt) noexcept {}

    /// Takes a number of seconds.
    template <class Number>
        requires std::is_arithmetic_v<Number>
    constexpr Timeout(Number seconds) : nanoseconds_(from_seconds(static_cast<double>(seconds))) {}

    /// Takes a duration.
    template <class Rep, class Period>
    constexpr Timeout(std::chrono::duration<Rep, Period> duration)
        : Timeout(std::chrono::duration<double>(duration).count()) {}

    /// Takes what may be none, which never runs out.
    template <class T>
        requires std::is_constructible_v<Timeout, T>
    constexpr Timeout(const std::optional<T>& timeout)
        : Timeout(timeout ? Timeout(*timeout) : Timeout()) {}

    /// Returns whether the wait has no end.
    [[nodiscard]] constexpr bool is_forever() const noexcept { return nanoseconds_ == forever; }

    /// Returns the length of the wait; the largest duration when it has no end.
    [[nodiscard]] constexpr std::chrono::nanoseconds nanoseconds() const noexcept {
        return std::chrono::nanoseconds(nanoseconds_);
    }

  private:
    static constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();

    static constexpr std::int64_t from_seconds(double seconds) {
        if (seconds != seconds) throw ValueError("a timeout must be a number of seconds, not NaN");
        if (seconds <= 0) return 0;
        // Beyond 292 years the count does not fit 64 bits; nobody sees such a wait end.
        return seconds >= 9.2e9 ? forever : static_cast<std::int64_t>(seconds * 1e9);
    }

    std::int64_t nanoseconds_ = forever;
};

namespace detail {

/// A Timeout fixed to the monotonic clock, so that a wait that is interrupted and resumed, or a
/// step of the wall clock, neither prolongs nor ends it.
class Deadline {
  public:
    using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC in libstdc++ and libc++

    Deadline(Timeout timeout)
        : at_(timeout.is_forever() ? Clock::time_point::max() : add(Clock::now(), timeout)) {}

    [[nodiscard]] bool is_forever() const noexcept { return at_ == Clock::time_point::max(); }

    [[nodiscard]] bool has_passed() const { return !is_forever() && Clock::now() >= at_; }

    /// Returns the time left, at least zero.
    [[nodiscard]] std::chrono::nanoseconds left() const {
        if (is_forever()) return std::chrono::nanoseconds::max();
        const auto now = Clock::now();
        return now >= at_ ? std::chrono::nanoseconds(0) : at_ - now;
    }

    /// Returns the time left as system calls want it, but at most `limit`.
    [[nodiscard]] timespec left_as_timespec(std::chrono::nanoseconds limit) const {
        const auto wait = std::min(left(), limit).count();
        return {static_cast<time_t>(wait / 1'000'000'000), static_cast<long>(wait % 1'000'000'000)};
    }

  private:
    static Clock::time_point add(Clock::time_point now, Timeout timeout) {
        const auto room = Clock::time_point::max() - now;
        return timeout.nanoseconds() >= room ? Clock::time_point::max()
                                             : now + timeout.nanoseconds();
    }

    Clock::time_point at_;
};

}  // namespace detail
}  // namespace multiprocessing
