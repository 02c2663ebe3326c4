// multiprocessing/process/bootstrap.ipp
//
// How a child begins and ends: see bootstrap.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/bootstrap.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <mutex>
#include <new>
#include <utility>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/open_streams.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/process/cooling.hpp"
#include "multiprocessing/process/exit_hooks.hpp"
#include "multiprocessing/process/fork_hooks.hpp"
#include "multiprocessing/process/lifeline.hpp"
#include "multiprocessing/process/output_files.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

MULTIPROCESSING_INLINE void flush_standard_streams() {
    std::fflush(stdout);
    std::fflush(stderr);
    // Their own buffers hold something only after std::ios::sync_with_stdio(false).
    std::cout.flush();
    std::cerr.flush();
    std::clog.flush();
}

/// How long a daemon has between SIGTERM and SIGKILL.
constexpr std::chrono::seconds daemon_grace{2};

MULTIPROCESSING_INLINE void end_children_proper() {
    const auto children = state().children();
    for (const auto& child : children) {
        if (!child->daemon()) continue;
        log_if_enabled(log_level::info, [&] {
            return joined({"calling terminate() for daemon ", child->name()});
        });
        child->signal(SIGTERM);
    }
    const Deadline grace(daemon_grace);
    for (const auto& child : children) {
        // Differs: CPython waits for ever for a daemon that ignores SIGTERM.
        if (child->daemon() && !child->wait(grace)) child->signal(SIGKILL);
    }
    for (const auto& child : children) {
        log_if_enabled(log_level::info, [&] {
            return joined({"calling join() for process ", child->name()});
        });
        child->wait(Timeout());
        state().remove(*child);
    }
}

/// Ends this process's part of the family in order: first what has an exit priority of 0 or more,
/// which includes its pools; then its daemons; then it waits for the other children, and does the
/// rest.
/// @par Source CPython Lib/multiprocessing/util.py, _exit_function
MULTIPROCESSING_INLINE void end_children() {
    log_if_enabled(log_level::info, [] { return "process shutting down"; });
    ExitHooks::run(0);
    if (process_state.load() != nullptr && !state().children().empty()) end_children_proper();
    ExitHooks::run();
}

/// Runs at the exit of a process that is not a child of this library. A child leaves by
/// leave_child.
MULTIPROCESSING_INLINE void end_children_at_exit() noexcept {
    ending_thread.store(this_thread_of_process());
    try {
        end_children();
    } catch (const std::exception& error) {
        report_error("while ending the children", error.what());
    }
    if (const auto end = end_server.load()) end();
}

MULTIPROCESSING_INLINE void register_exit_handler() {
    static constinit std::atomic<bool> registered{false};
    if (!registered.exchange(true)) std::atexit(end_children_at_exit);
}

/// _exit. A call by its name would be bound by the loader in each forked child anew, for the parent
/// never calls it; this address is found when the program starts.
using ExitFunction = void(int);
inline constinit ExitFunction* volatile exit_at_once = &::_exit;

/// Leaves the child without the parent's atexit handlers and destructors.
[[noreturn]] MULTIPROCESSING_INLINE void leave_child(int status) noexcept {
    if (another_thread_ends_process()) wait_for_end_of_process();  // with a status of its own
    try {
        end_children();
        log_if_enabled(log_level::info, [&] {
            return joined({"process exiting with exitcode ", status & 0xFF});
        });
        flush_standard_streams();
        flush_open_streams();
        cool_heap_now();
        heap().family()[self()].exit_status.store(status & 0xFF);
    } catch (...) {
        status = 1;  // there is nobody left to tell
    }
    exit_at_once(status);
    ::_exit(status);  // not reached, which the compiler cannot see
}

MULTIPROCESSING_INLINE void report_exception(const std::string& process_name) noexcept {
    try {
        flush_standard_streams();
        const std::string text = joined({"Process ", process_name, ":\n  ",
                                         describe_exception(std::current_exception()), "\n"});
        // Nothing can be done about a standard error that is closed or full.
        (void)!::write(STDERR_FILENO, text.data(), text.size());
    } catch (...) {  // out of memory; the exit status has to tell it
    }
}

/// The standard input of children, see open_null_device. It is opened before the first fork, so
/// that forked children do not have to; -1 before.
inline constinit std::atomic<int> null_device{-1};

MULTIPROCESSING_INLINE void bind_calls_of_children() noexcept {
    static constinit std::atomic<bool> bound{false};
    if (bound.exchange(true)) return;
    const int error = errno;
    std::mutex mutex;
    const std::lock_guard guard(mutex);
    char* volatile const byte = new (std::nothrow) char;  // volatile: or it would be left out
    delete byte;
    sigset_t none;
    static_cast<void>(::gettid());
    static_cast<void>(::poll(nullptr, 0, 0));
    static_cast<void>(::sigemptyset(&none));
    static_cast<void>(::signal(-1, SIG_DFL));
    static_cast<void>(::setpgid(0, -1));
    static_cast<void>(::dup2(-1, -1));
    static_cast<void>(::fchdir(-1));
    static_cast<void>(::sched_getcpu());
    static_cast<void>(::sched_setaffinity(0, 0, nullptr));
    static_cast<void>(::syscall(SYS_gettid));
#if defined(__GLIBC__)
    ::_IO_list_lock();
#endif
    for_each_open_stream([](std::FILE*) {});
#if defined(__GLIBC__)
    ::_IO_list_unlock();
#endif
    errno = error;
}

MULTIPROCESSING_INLINE int open_null_device() {
    int known = null_device.load(std::memory_order_relaxed);
    if (known >= 0) return known;
    Descriptor fresh = try_to_open(
        [] { return retry_on_eintr([] { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }); });
    if (!fresh) {
        if (errno == EMFILE || errno == ENFILE) throw_system_error("open");
        fresh = make_pipe().read;
    }
    fresh = out_of_the_way(std::move(fresh));
    keep_heap_warm();  // once in each process that has relatives, as this call
    if (!null_device.compare_exchange_strong(known, fresh.get())) return known;
    return fresh.release();
}

/// As in Python, a child reads no input: several would steal it from each other.
MULTIPROCESSING_INLINE void disconnect_stdin() {
    if (::dup2(open_null_device(), STDIN_FILENO) < 0) {
        null_device.store(-1, std::memory_order_relaxed);  // the program has closed it
        checked(::dup2(open_null_device(), STDIN_FILENO), "dup2");
    }
    // Drops what the parent had read ahead. The fields of glibc's FILE tell without a call whether
    // there is any; there hardly ever is.
    if (stdin->_IO_read_ptr != stdin->_IO_read_end) ::__fpurge(stdin);
}

MULTIPROCESSING_INLINE void drop_inherited_output() noexcept {
    for_each_open_stream([](std::FILE* stream) {
        if (has_pending_output(stream)) ::__fpurge(stream);
    });
}

MULTIPROCESSING_INLINE void run_child(ProcessIdentity identity, Lifelines lifelines,
                                      ChildBody body) noexcept {
    int status = 1;
    const std::string name = identity.name;
    try {
        become(std::move(identity));
        heap().family().wait_while_held(state().identity().id);
        heap().family().note_arrival(state().identity().id);
        if (state().identity().dies_with_parent) {
            die_with_parent(std::move(lifelines));
        } else {
            lifelines.clear();
        }
        disconnect_stdin();
        const OutputFiles& output = state().identity().output;
        if (!output.is_empty()) {
            flush_standard_streams();  // what a spawned program has printed on its way here
            redirect_output(output, name);
        }
        const AfterForkHook* const hooks = after_fork_hooks.load();
        if (hooks != nullptr && fork_depth() != 0) run_after_fork_hooks(hooks);
        log_if_enabled(log_level::info, [] { return "child process calling self.run()"; });
        body();
        status = 0;
    } catch (const ExitRequest& request) {
        status = request.status & 0xFF;
    } catch (...) {
        // What it waited for may be gone because another thread ends the process.
        if (another_thread_ends_process()) wait_for_end_of_process();
        report_exception(name);
    }
    leave_child(status);
}

}  // namespace detail

MULTIPROCESSING_INLINE void exit(int status) {
    if (detail::runs_target_in_thread || detail::state().identity().parent_pid != 0) {
        throw detail::ExitRequest{status};
    }
    std::exit(status & 0xFF);
}

}  // namespace multiprocessing
