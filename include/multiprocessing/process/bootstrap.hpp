// multiprocessing/process/bootstrap.hpp
//
// The life of a child from its first instruction of ours to its last: becoming itself, running its
// target, reporting how that went, leaving. Mirrors CPython Lib/multiprocessing/process.py,
// BaseProcess._bootstrap, and util.py, _exit_function. Floor 3. Start at run_child.
// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/process/exit_hooks.hpp"
#include "multiprocessing/process/fork_hooks.hpp"
#include "multiprocessing/process/lifeline.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/reduction/exceptions.hpp"

namespace multiprocessing {
namespace detail {

/// What `exit` throws: not a std::exception, so that code which handles errors lets it pass.
struct ExitRequest {
    int status;
};

/// Whether this thread runs the target of a "process" that is none: of a dummy or serial one.
inline constinit thread_local bool runs_target_in_thread = false;

/// Flushes what C and C++ hold back on standard output and error. Not fflush(nullptr): it would
/// wait for a thread that sits in a read of another stream.
inline void flush_standard_streams() {
    std::fflush(stdout);
    std::fflush(stderr);
    // Their own buffers hold something only after std::ios::sync_with_stdio(false).
    std::cout.flush();
    std::cerr.flush();
    std::clog.flush();
}

/// How long a daemon has between the request to end and the order to.
constexpr std::chrono::seconds daemon_grace{2};

/// Logs an event; the text is only made when somebody wants it.
/// @param text returns what to log
template <class Text>
void log_if_enabled(int level, Text text) noexcept {
    if (!logging_enabled(level)) [[likely]]
        return;
    try {
        log_event(level, text());
    } catch (...) {  // out of memory: the line is lost
    }
}

/// Terminates the daemons and waits for all children.
[[gnu::cold]] inline void end_children_proper() {
    const auto children = state().children();
    for (const auto& child : children) {
        if (!child->daemon()) continue;
        log_if_enabled(log_level::info,
                       [&] { return "calling terminate() for daemon " + child->name(); });
        child->signal(SIGTERM);
    }
    const Deadline grace(daemon_grace);
    for (const auto& child : children) {
        // Differs: CPython waits for ever for a daemon that ignores SIGTERM.
        if (child->daemon() && !child->wait(grace)) child->signal(SIGKILL);
    }
    for (const auto& child : children) {
        log_if_enabled(log_level::info,
                       [&] { return "calling join() for process " + child->name(); });
        child->wait(Timeout());
        state().remove(*child);
    }
}

/// Ends this process's part of the family in order: what has an exit priority of 0 or more, its
/// pools among it; its daemons; then it waits for the other children, and does the rest.
/// @par Source CPython Lib/multiprocessing/util.py, _exit_function
inline void end_children() {
    log_if_enabled(log_level::info, [] { return "process shutting down"; });
    ExitHooks::run(0);
    if (process_state.load() != nullptr && !state().children().empty()) end_children_proper();
    ExitHooks::run();
}

/// What the family's first process does when all its children have ended: nothing, or to end the
/// fork server.
inline constinit std::atomic<void (*)() noexcept> end_server{nullptr};

/// At the exit of a process that is not a child of this library. A child leaves by leave_child.
inline void end_children_at_exit() noexcept {
    try {
        end_children();
    } catch (const std::exception& error) {
        report_error("while ending the children", error.what());
    }
    if (const auto end = end_server.load()) end();
}

/// Arranges for end_children_at_exit. Called with the first child.
inline void register_exit_handler() {
    static constinit std::atomic<bool> registered{false};
    if (!registered.exchange(true)) std::atexit(end_children_at_exit);
}

/// Leaves the child without the parent's atexit handlers and destructors.
[[noreturn]] inline void leave_child(int status) noexcept {
    try {
        end_children();
        log_if_enabled(log_level::info, [&] {
            return "process exiting with exitcode " + std::to_string(status & 0xFF);
        });
        flush_standard_streams();
        heap().family()[self()].exit_status.store(status & 0xFF);
    } catch (...) {
        status = 1;  // there is nobody left to tell
    }
    ::_exit(status);
}

/// Says on standard error that an exception left the target. One write, so that lines of several
/// processes do not mix.
inline void report_exception(const std::string& process_name) noexcept {
    try {
        flush_standard_streams();
        const std::string text = "Process " + process_name + ":\n  " +
                                 describe_exception(std::current_exception()) + "\n";
        // Nothing can be done about a standard error that is closed or full.
        (void)!::write(STDERR_FILENO, text.data(), text.size());
    } catch (...) {  // out of memory; the exit status has to tell it
    }
}

/// /dev/null, open for reading: the standard input of children. Opened before the first fork, so
/// that the forked do not have to; -1 before.
inline constinit std::atomic<int> null_device{-1};

/// Opens it, unless it is open. @throws std::system_error EMFILE, ENFILE
inline int open_null_device() {
    int known = null_device.load(std::memory_order_relaxed);
    if (known >= 0) return known;
    Descriptor fresh(retry_on_eintr([] { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }));
    check(fresh.get(), "open");
    // Called here once, so that the loader binds it here, and not in every child anew.
    check(::dup2(fresh.get(), fresh.get()), "dup2");
    if (!null_device.compare_exchange_strong(known, fresh.get())) return known;
    return fresh.release();
}

/// As in Python, a child reads no input: several would steal it from each other.
inline void disconnect_stdin() {
    check(::dup2(open_null_device(), STDIN_FILENO), "dup2");
    // What the parent had read ahead. The fields of glibc's FILE tell without a call whether there
    // is any, as there hardly ever is.
    if (stdin->_IO_read_ptr != stdin->_IO_read_end) ::__fpurge(stdin);
}

/// In a forked child: forgets what its parent had buffered, and is about to write itself. That was
/// flushed before the fork, but another thread may have written more since.
inline void drop_inherited_output() noexcept {
    for (std::FILE* const stream : {stdout, stderr}) {
        if (stream->_IO_write_ptr != stream->_IO_write_base) ::__fpurge(stream);
    }
}

/// Runs `body` as the process that `identity` says, and leaves.
/// @param lifeline the reading end of the parent's lifeline; closed unless it is needed
template <class Body>
[[noreturn]] void run_child(ProcessIdentity identity, Descriptor lifeline, Body&& body) noexcept {
    int status = 1;
    const std::string name = identity.name;
    try {
        become(std::move(identity));
        if (state().identity().dies_with_parent) {
            die_with_parent(std::move(lifeline));
        } else {
            lifeline.reset();
        }
        disconnect_stdin();
        const AfterForkHook* const hooks = after_fork_hooks.load();
        if (hooks != nullptr && fork_depth() != 0) run_after_fork_hooks(hooks);
        log_if_enabled(log_level::info, [] { return "child process calling self.run()"; });
        std::forward<Body>(body)();
        status = 0;
    } catch (const ExitRequest& request) {
        status = request.status & 0xFF;
    } catch (...) {
        report_exception(name);
    }
    leave_child(status);
}

}  // namespace detail

/// Ends the child that this is called in with the status `status & 0xFF`, as Python's sys.exit:
/// local objects are destroyed on the way out. In a process that is not a child, as std::exit.
/// @par Source CPython Lib/sys, exit
[[noreturn]] inline void exit(int status = 0) {
    if (detail::runs_target_in_thread || detail::state().identity().parent_pid != 0) {
        throw detail::ExitRequest{status};
    }
    std::exit(status & 0xFF);
}

}  // namespace multiprocessing
