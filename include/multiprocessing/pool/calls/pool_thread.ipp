// multiprocessing/pool/calls/pool_thread.ipp
//
// How a pool's thread is waited for and left behind: see pool_thread.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/calls/pool_thread.hpp"

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE PoolThread::~PoolThread() {
    if (!thread_.joinable()) return;
    if (fork_depth() != depth_) {
        // A forked child's copy: the thread is the parent's.
        new std::thread(std::move(thread_));
    } else if (!is_current() && has_ended()) {
        thread_.join();
    } else {
        thread_.detach();
    }
}

MULTIPROCESSING_INLINE bool PoolThread::wait(const Deadline& deadline) {
    if (!was_started()) return true;
    while (!has_ended()) {
        if (deadline.has_passed()) return false;
        futex_wait_until(*ended_, 0, deadline);
    }
    const std::lock_guard guard(mutex_);
    if (thread_.joinable()) thread_.join();
    return true;
}

}  // namespace multiprocessing::detail
