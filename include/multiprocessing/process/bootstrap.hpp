// multiprocessing/process/bootstrap.hpp
//
// The life of a child, from our first instruction in it to our last: it becomes itself, runs its
// target, reports how that went, and leaves. Mirrors CPython Lib/multiprocessing/process.py,
// BaseProcess._bootstrap, and util.py, _exit_function. Floor 3. Start at run_child.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <type_traits>

#include "multiprocessing/logging/emit.hpp"

namespace multiprocessing {
namespace detail {

class Lifelines;
struct ProcessIdentity;

/// What `exit` throws. It is not a std::exception, so that code which handles errors lets it pass.
struct ExitRequest {
    int status;
};

/// Whether this thread runs the target of a dummy or serial "process", which is no process.
inline constinit thread_local bool runs_target_in_thread = false;

/// What a child runs: a reference to something callable, with its type forgotten.
class ChildBody {
  public:
    template <class Body>
        requires(!std::is_same_v<std::remove_cvref_t<Body>, ChildBody>)
    ChildBody(Body&& body) noexcept
        : body_(const_cast<void*>(static_cast<const void*>(std::addressof(body)))),
          call_([](void* known) { (*static_cast<std::remove_reference_t<Body>*>(known))(); }) {}

    void operator()() const { call_(body_); }

  private:
    void* body_;
    void (*call_)(void*);
};

/// Flushes what C and C++ hold back on standard output and error. Not fflush(nullptr): it would
/// wait for a thread that sits in a read of another stream.
void flush_standard_streams();

/// Logs an event. The text is only made when somebody wants it.
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
[[gnu::cold]] void end_children_proper();

/// What the family's first process does when all its children have ended: nothing, or end the fork
/// server.
inline constinit std::atomic<void (*)() noexcept> end_server{nullptr};

/// Arranges that the children are ended when this process exits. Called with the first child.
void register_exit_handler();

/// Reports on standard error that an exception left the target. It is one write, so that lines of
/// several processes do not mix.
void report_exception(const std::string& process_name) noexcept;

/// Returns /dev/null, open for reading: the standard input of children. The first call opens it.
/// Where there is none (a chroot), a pipe that nobody writes to does as well: it too is at its end.
/// @throws std::system_error EMFILE, ENFILE
int open_null_device();

/// Calls, before the first fork, what otherwise only children call: the loader binds a function
/// where it is first called, and would do so in each child anew, at several page faults each. None
/// of these calls changes anything: those that could are given what they refuse.
void bind_calls_of_children() noexcept;

/// In a forked child: forgets what its parent had buffered, as the parent is about to write that
/// itself. Standard output and error were flushed before the fork, but another thread may have
/// written more since.
void drop_inherited_output() noexcept;

/// Runs `body` as the process that `identity` says, and leaves.
/// @param lifelines closed unless they are needed
[[noreturn]] void run_child(ProcessIdentity identity, Lifelines lifelines, ChildBody body) noexcept;

}  // namespace detail

/// Ends the child that this is called in with the status `status & 0xFF`, as Python's sys.exit:
/// local objects are destroyed on the way out. In a process that is not a child it is std::exit.
/// @par Source CPython Lib/sys, exit
[[noreturn]] void exit(int status = 0);

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/bootstrap.ipp"
#endif
