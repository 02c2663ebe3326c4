// multiprocessing/connection/broken_pipe.ipp
//
// How the library handles SIGPIPE where the kernel sends it: see broken_pipe.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/broken_pipe.hpp"

#include <signal.h>
#include <sys/uio.h>

#include <atomic>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// Whether this thread is in a write of the library. The handler reads it, on the same thread.
inline constinit thread_local volatile sig_atomic_t writes_to_pipe = 0;

/// The handler for SIGPIPE. A signal that a write of the library has raised ends here, and the
/// write fails with EPIPE. Any other ends the process, as it would have without the handler
/// (`program | head`).
inline void handle_broken_pipe(int number) {
    if (writes_to_pipe != 0) return;
    ::signal(number, SIG_DFL);
    ::raise(number);  // blocked in its own handler: it comes when this one returns
}

/// Installs the handler, unless the program has its own or ignores the signal. Each write does this
/// anew: the program may have set the signal to its default since.
inline void survive_broken_pipes() {
    struct sigaction action {};
    checked(::sigaction(SIGPIPE, nullptr, &action), "sigaction");
    if ((action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL) {
        action.sa_handler = handle_broken_pipe;
        ::sigemptyset(&action.sa_mask);
        action.sa_flags = SA_RESTART | SA_ONSTACK;
        checked(::sigaction(SIGPIPE, &action, nullptr), "sigaction");
    }
}

/// Marks this thread as one that writes to a pipe, for its scope.
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

MULTIPROCESSING_INLINE ssize_t write_to_signalling_pipe(int fd, const iovec* parts, int count) {
    const PipeWriteScope scope;
    return ::writev(fd, parts, count);
}

}  // namespace multiprocessing::detail
