// The system's own lock that survives its holder, to compare with. SPDX-License-Identifier: MIT
#pragma once

#include <pthread.h>

/// A robust mutex of pthread, which may lie in shared memory. All zero until initialize.
struct RobustMutex {
    pthread_mutex_t mutex;

    void initialize() {
        pthread_mutexattr_t attributes;
        ::pthread_mutexattr_init(&attributes);
        ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        ::pthread_mutex_init(&mutex, &attributes);
        ::pthread_mutexattr_destroy(&attributes);
    }
    void lock() { ::pthread_mutex_lock(&mutex); }
    void unlock() { ::pthread_mutex_unlock(&mutex); }
};
