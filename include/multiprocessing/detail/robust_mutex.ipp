// multiprocessing/detail/robust_mutex.ipp
//
// Making the mutex: see robust_mutex.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/robust_mutex.hpp"

#include <pthread.h>

#include "multiprocessing/detail/linkage.hpp"
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

}  // namespace multiprocessing::detail
