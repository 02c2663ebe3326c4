// multiprocessing/errors.hpp
//
// Every exception type of the library. Mirrors the exceptions of CPython's multiprocessing, queue,
// threading and concurrent.futures. Those that Python has no name for (WorkerLost, AbandonedError,
// ShutDown) report what makes a program hang with other libraries. Floor 0.
// A failed system call throws std::system_error instead (detail/system.hpp).
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing {

/// The base class of errors that one process causes in another.
/// @par Source CPython Lib/multiprocessing/context.py, ProcessError
class ProcessError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A received message does not fit into the buffer given for it. The exception holds the message.
/// @par Source CPython Lib/multiprocessing/context.py, BufferTooShort
class BufferTooShort : public ProcessError {
  public:
    /// @param message the whole message that was received, in bytes
    explicit BufferTooShort(std::string message);

    /// Returns the whole message, so that nothing is lost.
    [[nodiscard]] const std::string& message() const noexcept { return message_; }

  private:
    std::string message_;
};

/// The two ends of a connection do not have the same authkey.
class AuthenticationError : public ProcessError {
  public:
    using ProcessError::ProcessError;
};

/// Why a task of a pool was lost.
enum class LossReason {
    crash,    ///< its worker was killed by a signal of its own fault: SIGSEGV, SIGABRT, …
    signal,   ///< its worker was killed by another signal: somebody has sent it
    exit,     ///< its worker has left, by exit or _exit
    memory,   ///< it used too much memory: PoolOptions::memory_limit, or the kernel's out of memory
    timeout,  ///< it ran for too long
};

/// Which task of a pool was lost.
struct LostTask {
    std::uint64_t item = 0;                ///< its place in the call, from 0
    std::uint32_t attempts = 0;            ///< how often it was tried; 0: the error is of no task
    LossReason reason = LossReason::exit;  ///< why
};

/// A result, a task or a wait took longer than the time it was given.
class TimeoutError : public ProcessError {
  public:
    using ProcessError::ProcessError;
    /// @param what what happened
    /// @param task the task that took too long
    TimeoutError(const std::string& what, const LostTask& task)
        : ProcessError(what), item_(task.item), attempts_(task.attempts) {}

    /// Returns the place of the task in its call, from 0.
    [[nodiscard]] std::uint64_t item() const noexcept { return item_; }
    /// Returns how often the task was tried; 0 when it was a wait that took too long, not a task.
    [[nodiscard]] std::uint32_t attempts() const noexcept { return attempts_; }
    /// Returns LossReason::timeout.
    [[nodiscard]] LossReason reason() const noexcept { return LossReason::timeout; }

  private:
    std::uint64_t item_ = 0;
    std::uint32_t attempts_ = 0;
};

/// Another process threw an exception whose type this process does not know.
/// After `multiprocessing::register_exception<E>()`, an E arrives as an E.
class RemoteError : public ProcessError {
  public:
    /// @param type_name    the exception's type as C++ writes it, e.g. "app::ParseError"
    /// @param message      its what(), or a description if it has none
    /// @param process_name the name of the process that threw it
    /// @param pid          the id of that process
    /// @param task         the task that threw it, if what() is to name it
    RemoteError(std::string type_name, std::string message, std::string process_name, pid_t pid,
                const std::string& task = {});

    /// @{
    /// Returns what the constructor was given.
    [[nodiscard]] const std::string& type_name() const noexcept { return type_name_; }
    [[nodiscard]] const std::string& message() const noexcept { return message_; }
    [[nodiscard]] const std::string& process_name() const noexcept { return process_name_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// @}

  private:
    std::string type_name_;
    std::string message_;
    std::string process_name_;
    pid_t pid_;
};

/// The worker died while it ran the task. Only this task is lost.
class WorkerLost : public ProcessError {
  public:
    /// @param what     what happened; it names the signal if there was one
    /// @param exitcode the worker's exit status, or -N if signal N killed it
    /// @param pid      the worker's process id
    /// @param task     the task that it ran, and why it ended
    WorkerLost(const std::string& what, int exitcode, pid_t pid, const LostTask& task = {})
        : ProcessError(what), exitcode_(exitcode), pid_(pid), task_(task) {}

    /// @{
    /// Returns what the constructor was given.
    [[nodiscard]] int exitcode() const noexcept { return exitcode_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// @}

    /// Returns the place of the task in its call, from 0.
    [[nodiscard]] std::uint64_t item() const noexcept { return task_.item; }
    /// Returns how often the task was tried.
    [[nodiscard]] std::uint32_t attempts() const noexcept { return task_.attempts; }
    /// Returns why the task was lost.
    [[nodiscard]] LossReason reason() const noexcept { return task_.reason; }

  private:
    int exitcode_;
    pid_t pid_;
    LostTask task_;
};

/// The process that held the lock died. What the lock guards may be half written.
class AbandonedError : public ProcessError {
  public:
    using ProcessError::ProcessError;
};

/// The pool cannot run tasks any more: its initializer threw, or its workers die faster than they
/// finish tasks. Pending and later calls throw this exception, so that none of them hangs.
/// @par Source CPython Lib/concurrent/futures/process.py, BrokenProcessPool
class BrokenProcessPool : public ProcessError {
  public:
    using ProcessError::ProcessError;
};

/// The peer of a connection is closed, and nothing is left to receive.
class EOFError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// No item arrived within the time given. @par Source CPython Lib/queue.py, Empty
class Empty : public std::runtime_error {
  public:
    Empty() : std::runtime_error("the queue is empty") {}
    using std::runtime_error::runtime_error;
};

/// No place became free within the time given. @par Source CPython Lib/queue.py, Full
class Full : public std::runtime_error {
  public:
    Full() : std::runtime_error("the queue is full") {}
    using std::runtime_error::runtime_error;
};

/// The queue was shut down. @par Source CPython Lib/queue.py, ShutDown
class ShutDown : public std::runtime_error {
  public:
    ShutDown() : std::runtime_error("the queue is shut down") {}
    using std::runtime_error::runtime_error;
};

/// The barrier was aborted or reset, or one of its parties died or timed out.
/// @par Source CPython Lib/threading.py, BrokenBarrierError
class BrokenBarrierError : public std::runtime_error {
  public:
    BrokenBarrierError() : std::runtime_error("the barrier is broken") {}
    using std::runtime_error::runtime_error;
};

/// The program is not built for this use of the library. An example is a spawned child in a program
/// whose main does not call freeze_support().
class RuntimeError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The task of this result was cancelled, or its pool was terminated.
class CancelledError : public std::runtime_error {
  public:
    CancelledError() : std::runtime_error("the task was cancelled") {}
    using std::runtime_error::runtime_error;
};

/// The key is not in the dict.
class KeyError : public std::out_of_range {
  public:
    using std::out_of_range::out_of_range;
};

/// The index is outside the sequence.
class IndexError : public std::out_of_range {
  public:
    using std::out_of_range::out_of_range;
};

/// The call is not allowed with this argument, or in this state of the object.
class ValueError : public std::invalid_argument {
  public:
    using std::invalid_argument::invalid_argument;
};

/// A received object has another type than the one asked for. It can still be read.
class TypeError : public std::invalid_argument {
  public:
    using std::invalid_argument::invalid_argument;
};

/// The object is used in the wrong order: join before start, a second start, the release of a lock
/// that is not owned. These are assert statements in Python; here they throw in every build type.
class AssertionError : public std::logic_error {
  public:
    using std::logic_error::logic_error;
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/errors.ipp"
#endif
