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

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/process/lifeline.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/reduction/exceptions.hpp"

namespace multiprocessing {
namespace detail {

/// What `exit` throws: not a std::exception, so that code which handles errors lets it pass.
struct ExitRequest {
    int status;
};

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

/// Things to end before the children: pools, named memory. Kept by exit priority, the highest
/// first.
class ExitHooks {
  public:
    using Hook = std::function<void()>;

    /// @returns a number for remove
    static std::size_t add(int priority, Hook hook) {
        const std::size_t number = last_number_.fetch_add(1) + 1;
        const std::lock_guard guard(list().mutex);
        list().hooks.push_back({priority, number, std::move(hook)});
        return number;
    }

    static void remove(std::size_t number) {
        const std::lock_guard guard(list().mutex);
        std::erase_if(list().hooks, [&](const Entry& entry) { return entry.number == number; });
    }

    /// Runs the hooks of this process, each once.
    static void run() {
        for (;;) {
            Entry next{};
            {
                const std::lock_guard guard(list().mutex);
                auto& hooks = list().hooks;
                const auto highest = std::max_element(
                    hooks.begin(), hooks.end(), [](const Entry& a, const Entry& b) {
                        return std::pair(a.priority, a.number) < std::pair(b.priority, b.number);
                    });
                if (highest == hooks.end()) return;
                next = std::move(*highest);
                hooks.erase(highest);
            }
            next.hook();
        }
    }

  private:
    struct Entry {
        int priority;
        std::size_t number;
        Hook hook;
    };
    struct List {
        std::mutex mutex;
        std::vector<Entry> hooks;
        pid_t pid = ::getpid();
        List* inherited = nullptr;  // the parent's, so that no leak checker thinks it lost
    };
    // Never destroyed: used while static objects are. No lock guards its making, see install_heap.
    static inline constinit std::atomic<List*> instance_{nullptr};
    // One count for all lists: a child may remove what only its parent has.
    static inline constinit std::atomic<std::size_t> last_number_{0};

    static List& list() {
        List* known = instance_.load(std::memory_order_acquire);
        // A child starts over, also that of a fork of the program's own: the hooks are its
        // parent's, and a thread that was not copied may hold the lock.
        if (known != nullptr && known->pid == ::getpid()) return *known;
        auto fresh = std::make_unique<List>();
        fresh->inherited = known;
        if (!instance_.compare_exchange_strong(known, fresh.get())) return *known;
        return *fresh.release();
    }
};

/// How long a daemon has between the request to end and the order to.
constexpr std::chrono::seconds daemon_grace{2};

/// Ends this process's part of the family in order: its pools, its daemons, then waits for the
/// other children. @par Source CPython Lib/multiprocessing/util.py, _exit_function
inline void end_children() {
    ExitHooks::run();
    if (process_state.load() == nullptr || state().children().empty()) return;
    const auto children = state().children();
    for (const auto& child : children) {
        if (child->daemon()) child->signal(SIGTERM);
    }
    const Deadline grace(daemon_grace);
    for (const auto& child : children) {
        // Differs: CPython waits for ever for a daemon that ignores SIGTERM.
        if (child->daemon() && !child->wait(grace)) child->signal(SIGKILL);
    }
    for (const auto& child : children) {
        child->wait(Timeout());
        state().remove(*child);
    }
}

/// At the exit of a process that is not a child of this library. A child leaves by leave_child.
inline void end_children_at_exit() noexcept {
    try {
        end_children();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "multiprocessing: while ending the children: %s\n", error.what());
    }
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
    if (detail::state().identity().parent_pid != 0) throw detail::ExitRequest{status};
    std::exit(status & 0xFF);
}

}  // namespace multiprocessing
