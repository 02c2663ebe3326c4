// multiprocessing/connection/broken_pipe.hpp
//
// Writing to a pipe whose reader is gone without dying of SIGPIPE. A socket has MSG_NOSIGNAL for
// that, and a pipe has RWF_NOSIGNAL since Linux 6.18. Before that the library handles the signal:
// blocking it would cost two system calls a write. Floor 4. Start at write_to_pipe.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>

namespace multiprocessing::detail {

/// Whether the kernel is known not to have RWF_NOSIGNAL.
inline constinit std::atomic<bool> pipes_send_signals{false};

/// Writes what it can to a pipe, under a kernel without RWF_NOSIGNAL.
/// @returns as writev(2), EPIPE without the signal
ssize_t write_to_signalling_pipe(int fd, const iovec* parts, int count);

/// Writes what it can to a pipe. @returns as writev(2), EPIPE without the signal
inline ssize_t write_to_pipe(int fd, const iovec* parts, int count) {
    constexpr int no_signal = 0x100;  // RWF_NOSIGNAL, in no header of ours yet
    if (!pipes_send_signals.load(std::memory_order_relaxed)) [[likely]] {
        const ssize_t written = ::pwritev2(fd, parts, count, -1, no_signal);
        if (written >= 0 || errno != EOPNOTSUPP) return written;
        pipes_send_signals.store(true, std::memory_order_relaxed);
    }
    return write_to_signalling_pipe(fd, parts, count);
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/broken_pipe.ipp"
#endif
