// multiprocessing/connection/broken_pipe.hpp
//
// Writing to a pipe whose reader is gone without dying of SIGPIPE. A socket has MSG_NOSIGNAL for
// that, a pipe has RWF_NOSIGNAL since Linux 6.18. Before that the signal is handled: to block it
// would cost two system calls a write. Floor 4. Start at write_to_pipe.
// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>

#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// Whether this thread is in a write of the library's. Read by the handler, on the same thread.
inline constinit thread_local volatile sig_atomic_t writes_to_pipe = 0;

/// The handler for SIGPIPE: one that a write of the library's has raised ends there, as EPIPE; for
/// any other the process dies, as it would have without the handler (`program | head`).
inline void handle_broken_pipe(int number) {
    if (writes_to_pipe != 0) return;
    ::signal(number, SIG_DFL);
    ::raise(number);  // blocked in its own handler: it comes when this one returns
}

/// Installs the handler, unless the program has one of its own or ignores the signal. Each time:
/// the program may have set the signal to its default since.
inline void survive_broken_pipes() {
    struct sigaction action {};
    check(::sigaction(SIGPIPE, nullptr, &action), "sigaction");
    if ((action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL) {
        action.sa_handler = handle_broken_pipe;
        ::sigemptyset(&action.sa_mask);
        action.sa_flags = SA_RESTART | SA_ONSTACK;
        check(::sigaction(SIGPIPE, &action, nullptr), "sigaction");
    }
}

/// Marks this thread as one in a write to a pipe, for its scope.
class PipeWriteScope {
  public:
    PipeWriteScope() {
        survive_broken_pipes();
        writes_to_pipe = 1;
        // The compiler alone could reorder: the handler runs on this thread.
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    PipeWriteScope(const PipeWriteScope&) = delete;
    PipeWriteScope& operator=(const PipeWriteScope&) = delete;
    ~PipeWriteScope() {
        std::atomic_signal_fence(std::memory_order_seq_cst);
        writes_to_pipe = 0;
    }
};

/// Whether the kernel is known not to have RWF_NOSIGNAL.
inline constinit std::atomic<bool> pipes_send_signals{false};

/// Writes what it can to a pipe. @returns as writev(2), EPIPE without the signal
inline ssize_t write_to_pipe(int fd, const iovec* parts, int count) {
    constexpr int no_signal = 0x100;  // RWF_NOSIGNAL, in no header of ours yet
    if (!pipes_send_signals.load(std::memory_order_relaxed)) [[likely]] {
        const ssize_t written = ::pwritev2(fd, parts, count, -1, no_signal);
        if (written >= 0 || errno != EOPNOTSUPP) return written;
        pipes_send_signals.store(true, std::memory_order_relaxed);
    }
    const PipeWriteScope scope;
    return ::writev(fd, parts, count);
}

}  // namespace multiprocessing::detail
