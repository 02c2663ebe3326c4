// multiprocessing/synchronize/standard_lockable.hpp
//
// The names that std::scoped_lock, std::unique_lock and std::lock ask for. Floor 2.
// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <ratio>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// Gives a lock the names of the standard's TimedLockable. Derived has Python's: `acquire(block,
/// timeout)` and `release()`.
template <class Derived>
class StandardLockable {
  public:
    /// @{
    /// Does what acquire or release does, under the name that the standard gives it.
    void lock() const { derived().acquire(); }
    void unlock() const { derived().release(); }
    [[nodiscard]] bool try_lock() const { return derived().acquire(false); }
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> time) const {
        return derived().acquire(true, time);
    }
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> time) const {
        // As floating point: the difference of two times that are far apart does not fit their
        // type. A long double has room for every count of nanoseconds in 64 bits.
        using Nanoseconds = std::chrono::duration<long double, std::nano>;
        return derived().acquire(true, Nanoseconds(time.time_since_epoch()) -
                                           Nanoseconds(Clock::now().time_since_epoch()));
    }
    /// @}

  private:
    [[nodiscard]] const Derived& derived() const noexcept {
        return static_cast<const Derived&>(*this);
    }
};

}  // namespace multiprocessing::detail
