// multiprocessing/timeout.hpp
//
// Timeout is the parameter of every call that can wait. Deadline is the point in time that a call
// makes of it. Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

#include "multiprocessing/errors.hpp"

namespace multiprocessing {

/// How long a call may wait: a number of seconds, a std::chrono duration, or std::nullopt for ever.
///
/// A negative timeout means 0, as in Python: the call looks once and does not wait.
/// @throws ValueError when the number of seconds is NaN
///
///     lock.acquire(true, 0.5);   lock.acquire(true, 500ms);   lock.acquire(true, std::nullopt);
class Timeout {
  public:
    /// Makes a timeout that never runs out.
    constexpr Timeout(std::nullopt_t = std::nullopt) noexcept {}

    /// Takes a number of seconds.
    template <class Number>
        requires std::is_arithmetic_v<Number>
    constexpr Timeout(Number seconds) : nanoseconds_(from_seconds(static_cast<double>(seconds))) {}

    /// Takes a duration.
    template <class Rep, class Period>
    constexpr Timeout(std::chrono::duration<Rep, Period> duration)
        : Timeout(std::chrono::duration<double>(duration).count()) {}

    /// Takes an optional timeout. An empty one never runs out.
    template <class T>
        requires std::is_constructible_v<Timeout, T>
    constexpr Timeout(const std::optional<T>& timeout)
        : Timeout(timeout ? Timeout(*timeout) : Timeout()) {}

    /// Returns whether the wait has no end.
    [[nodiscard]] constexpr bool is_forever() const noexcept { return nanoseconds_ == no_end; }

    /// Returns the length of the wait, or the largest duration if the wait has no end.
    [[nodiscard]] constexpr std::chrono::nanoseconds nanoseconds() const noexcept {
        return std::chrono::nanoseconds(nanoseconds_);
    }

  private:
    static constexpr std::int64_t no_end = (std::numeric_limits<std::int64_t>::max)();

    static constexpr std::int64_t from_seconds(double seconds) {
        if (seconds != seconds) throw_not_a_number();
        if (seconds <= 0) return 0;
        // A count of more than 292 years does not fit into 64 bits. Nobody sees such a wait end.
        return seconds >= 9.2e9 ? no_end : static_cast<std::int64_t>(seconds * 1e9);
    }

    // A function of its own: every call with a number of seconds would have its code otherwise.
    [[noreturn, gnu::cold]] static void throw_not_a_number();

    std::int64_t nanoseconds_ = no_end;
};

namespace detail {

/// The point on the monotonic clock at which a Timeout ends. It stays the same when a wait is
/// interrupted and resumed, and when somebody sets the wall clock.
///
/// The deadline of a timeout of 0 has passed from the beginning. It never reads the clock, so a
/// call that only looks once does not pay for that.
class Deadline {
  public:
    using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC in libstdc++ and libc++

    Deadline(Timeout timeout)
        : at_(timeout.is_forever()                ? (Clock::time_point::max)()
              : timeout.nanoseconds().count() > 0 ? add(Clock::now(), timeout)
                                                  : passed) {}

    [[nodiscard]] bool is_forever() const noexcept { return at_ == (Clock::time_point::max)(); }

    [[nodiscard]] bool has_passed() const {
        return at_ == passed || (!is_forever() && Clock::now() >= at_);
    }

    /// Returns the one of the two that passes first.
    friend Deadline earlier(const Deadline& a, const Deadline& b) noexcept {
        return b.at_ < a.at_ ? b : a;
    }

    /// Returns the time left, at least zero.
    [[nodiscard]] std::chrono::nanoseconds left() const;

    /// Returns the time left in the form that system calls take, but at most `limit`.
    [[nodiscard]] timespec left_as_timespec(std::chrono::nanoseconds limit) const;

  private:
    static constexpr Clock::time_point passed = (Clock::time_point::min)();

    static Clock::time_point add(Clock::time_point now, Timeout timeout);

    Clock::time_point at_;
};

}  // namespace detail
}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/timeout.ipp"
#endif
