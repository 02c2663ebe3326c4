// multiprocessing/detail/robust_mutex.hpp
//
// A mutex in shared memory that becomes free, and is marked, when its holder is killed: POSIX's
// robust mutex. The kernel itself notices the death of any process, and wakes the next waiter at
// once. It is for short sections without user code. Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <pthread.h>

#include <cerrno>
#include <cstddef>
#include <exception>
#include <type_traits>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// The mutex. The process that makes the memory around it must initialise it once, before any other
/// process sees it. It is not recursive.
///
/// A process that is killed with the lock held may leave what the lock guards half changed. The
/// next process to lock it is told so, and has to repair that. If it is killed in turn before it
/// unlocks, the duty passes to the next one.
class RobustMutex {
  public:
    /// @throws std::system_error ENOTSUP, ENOMEM
    void initialize();

    /// Locks it. @returns whether the last holder died with the lock held
    [[nodiscard]] bool lock() noexcept {
        int error = ::pthread_mutex_trylock(&mutex_);
        if (error == EBUSY) [[unlikely]]
            error = wait();
        return take_over(error);
    }

    /// Locks it unless a living process holds it. @param abandoned is set to what lock() returns
    [[nodiscard]] bool try_lock(bool& abandoned) noexcept {
        const int error = ::pthread_mutex_trylock(&mutex_);
        if (error == EBUSY) return false;
        abandoned = take_over(error);
        return true;
    }

    void unlock() noexcept { ::pthread_mutex_unlock(&mutex_); }

    /// Declares that what the last holder left is repaired. @pre lock() has returned true
    void make_consistent() noexcept { ::pthread_mutex_consistent(&mutex_); }

  private:
    /// Waits for it. @returns what pthread_mutex_lock does
    int wait() noexcept;
    static bool take_over(int error) noexcept {
        if (error == 0) [[likely]]
            return false;
        // Any other error means a use that the class does not allow, or overwritten memory.
        if (error != EOWNERDEAD) std::terminate();
        return true;
    }

    pthread_mutex_t mutex_;
};
static_assert(std::is_trivially_copyable_v<RobustMutex> && sizeof(RobustMutex) <= 64);

/// Holds a RobustMutex for as long as it lives.
class RobustLock {
  public:
    /// @param repair is called to repair what a killed holder left
    template <class Repair>
    RobustLock(RobustMutex& mutex, Repair repair) noexcept : mutex_(mutex) {
        if (mutex_.lock()) [[unlikely]] {
            repair();
            mutex_.make_consistent();
        }
    }
    /// Only repairs, and only if the last holder was killed. It does not wait for a living holder.
    template <class Repair>
    static void repair_if_abandoned(RobustMutex& mutex, Repair repair) noexcept {
        bool abandoned = false;
        if (!mutex.try_lock(abandoned)) return;
        if (abandoned) {
            repair();
            mutex.make_consistent();
        }
        mutex.unlock();
    }
    RobustLock(const RobustLock&) = delete;
    RobustLock& operator=(const RobustLock&) = delete;
    ~RobustLock() { mutex_.unlock(); }

  private:
    RobustMutex& mutex_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/robust_mutex.ipp"
#endif
