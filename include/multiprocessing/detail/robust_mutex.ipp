// multiprocessing/detail/robust_mutex.ipp
//
// Making the mutex: see robust_mutex.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/robust_mutex.hpp"

#include <pthread.h>
#include <time.h>

#include <cerrno>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/sanitizers.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// Throws the error of a function that returns it.
MULTIPROCESSING_INLINE void check_mutex_call(int error, const char* call) {
    if (error != 0) throw_system_error(call, error);
}

MULTIPROCESSING_INLINE void RobustMutex::initialize() {
    pthread_mutexattr_t attributes;
    check_mutex_call(::pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    const int error = ::pthread_mutex_init(&mutex_, &attributes);
    ::pthread_mutexattr_destroy(&attributes);
    check_mutex_call(error, "pthread_mutex_init");
}

[[gnu::noinline]] MULTIPROCESSING_INLINE int RobustMutex::wait() noexcept {
    // Not for ever. An unlock wakes one waiter, and only that one notes, once it has the lock, that
    // there are more. If it is killed before, and a thread that did not wait was faster, then the
    // next unlock wakes nobody: all others would sleep on beside a free mutex.
    constexpr long patience = 100'000'000;  // ns
    constexpr long second = 1'000'000'000;
    if constexpr (thread_sanitizer) {  // clang 16's does not know pthread_mutex_clocklock
        constexpr timespec moment{0, 20'000};
        int error = EBUSY;
        while ((error = ::pthread_mutex_trylock(&mutex_)) == EBUSY) ::nanosleep(&moment, nullptr);
        return error;
    }
    for (;;) {
        timespec end;
        ::clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_nsec += patience;
        if (end.tv_nsec >= second) {
            end.tv_nsec -= second;
            ++end.tv_sec;
        }
        const int error = ::pthread_mutex_clocklock(&mutex_, CLOCK_MONOTONIC, &end);
        if (error != ETIMEDOUT) return error;
    }
}

}  // namespace multiprocessing::detail
