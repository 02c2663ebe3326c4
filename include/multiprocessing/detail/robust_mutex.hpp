// multiprocessing/detail/robust_mutex.hpp
//
// A mutex in shared memory that a killed holder leaves behind unlocked, and marked: POSIX's robust
// mutex. The kernel itself notices the death, whichever process it was, and wakes the next one at
// once. For short sections that no user's code runs in. Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <pthread.h>

#include <cerrno>
#include <cstddef>
#include <exception>
#include <type_traits>

#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// The mutex. It must be initialised once, by whoever makes the memory that it lies in, before any
/// other process sees it. Not recursive.
///
/// A process that is killed with the lock held may have left what it guards half changed. The next
/// one to lock it is told, and has to put that in order; killed in turn before it unlocks, it
/// passes the duty on.
class RobustMutex {
  public:
    /// @throws std::system_error ENOTSUP, ENOMEM
    void initialize() {
        pthread_mutexattr_t attributes;
        check_code(::pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
        ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        const int error = ::pthread_mutex_init(&mutex_, &attributes);
        ::pthread_mutexattr_destroy(&attributes);
        check_code(error, "pthread_mutex_init");
    }

    /// Locks it. @returns whether the last holder died with the lock held
    [[nodiscard]] bool lock() noexcept { return take_over(::pthread_mutex_lock(&mutex_)); }

    /// Locks it if nobody living holds it. @param abandoned what lock() returns
    [[nodiscard]] bool try_lock(bool& abandoned) noexcept {
        const int error = ::pthread_mutex_trylock(&mutex_);
        if (error == EBUSY) return false;
        abandoned = take_over(error);
        return true;
    }

    void unlock() noexcept { ::pthread_mutex_unlock(&mutex_); }

    /// Says that what the last holder left is in order again. @pre lock() has returned true
    void make_consistent() noexcept { ::pthread_mutex_consistent(&mutex_); }

  private:
    static bool take_over(int error) noexcept {
        if (error == 0) [[likely]]
            return false;
        // Every other error is a use that the class does not allow, or overwritten memory.
        if (error != EOWNERDEAD) std::terminate();
        return true;
    }
    static void check_code(int error, const char* call) {
        if (error != 0) throw_system_error(call, error);
    }

    pthread_mutex_t mutex_;
};
static_assert(std::is_trivially_copyable_v<RobustMutex> && sizeof(RobustMutex) <= 64);

/// Holds a RobustMutex for as long as it lives.
class RobustLock {
  public:
    /// @param repair what puts in order what a killed holder left
    template <class Repair>
    RobustLock(RobustMutex& mutex, Repair repair) noexcept : mutex_(mutex) {
        if (mutex_.lock()) [[unlikely]] {
            repair();
            mutex_.make_consistent();
        }
    }
    /// Does nothing but repair, when the last holder was killed: a living one is not waited for.
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
