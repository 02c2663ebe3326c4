// multiprocessing/detail/thread.hpp
//
// Starts a thread, with an error that says what has failed. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// Starts a thread that runs `body`.
/// @throws std::system_error EAGAIN (RLIMIT_NPROC, no memory for its stack); std::thread's own
/// error would not name the call
template <class Body>
[[nodiscard]] std::thread start_thread(Body&& body) {
    try {
        return std::thread(std::forward<Body>(body));
    } catch (const std::system_error& error) {
        throw_system_error("pthread_create", error.code().value());
    }
}

}  // namespace multiprocessing::detail
