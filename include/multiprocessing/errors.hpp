// multiprocessing/errors.hpp
//
// Every exception that the library throws on its own account. Mirrors the exceptions of CPython's
// multiprocessing, queue, threading and concurrent.futures; those that Python has no name for
// (WorkerLost, AbandonedError, ShutDown) say what other libraries leave to a hang. Floor 0.
// A failed system call is a std::system_error instead (detail/system.hpp).
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace multiprocessing {

/// Base of the errors that processes cause to each other.
/// @par Source CPython Lib/multiprocessing/context.py, ProcessError
class ProcessError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A received message does not fit the buffer given for it; the message itself is kept here.
/// @par Source CPython Lib/multiprocessing/context.py, BufferTooShort
class BufferTooShort : public ProcessError {
  public:
    /// @param message the whole message that was received, in bytes
    explicit BufferTooShort(std::string message)
        : ProcessError("the received message of " + std::to_string(message.size()) +
                       " bytes does not fit the buffer; message() holds it"),
          message_(std::move(message)) {}

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

/// A result, a task or a wait did not end within the time it was given.
class TimeoutError : public ProcessError {
  public:
    using ProcessError::ProcessError;
};

/// An exception of a type that this process does not know was thrown in another process.
/// `multiprocessing::register_exception<E>()` lets E arrive as itself.
class RemoteError : public ProcessError {
  public:
    /// @param type_name    the exception's type as C++ writes it, e.g. "app::ParseError"
    /// @param message      its what(), or a description when it has none
    /// @param process_name the name of the process in which it was thrown
    /// @param pid          that process's id
    RemoteError(std::string type_name, std::string message, std::string process_name, pid_t pid)
        : ProcessError(type_name + " in process " + process_name + " (pid " + std::to_string(pid) +
                       "): " + message),
          type_name_(std::move(type_name)),
          message_(std::move(message)),
          process_name_(std::move(process_name)),
          pid_(pid) {}

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

/// The worker died while it ran the task; only this task is lost.
class WorkerLost : public ProcessError {
  public:
    /// @param what     what happened, naming the signal where there was one
    /// @param exitcode the worker's exit status, or -N when signal N killed it
    /// @param pid      the worker's process id
    WorkerLost(const std::string& what, int exitcode, pid_t pid)
        : ProcessError(what), exitcode_(exitcode), pid_(pid) {}

    /// @{
    /// Returns what the constructor was given.
    [[nodiscard]] int exitcode() const noexcept { return exitcode_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// @}

  private:
    int exitcode_;
    pid_t pid_;
};

/// The process that held the lock died, so what the lock guards may be half written.
class AbandonedError : public ProcessError {
  public:
    using ProcessError::ProcessError;
};

/// The pool cannot run tasks any more: its initializer threw, or its workers die faster than they
/// finish tasks. Pending and later calls throw it, so none hangs.
/// @par Source CPython Lib/concurrent/futures/process.py, BrokenProcessPool
class BrokenProcessPool : public ProcessError {
  public:
    using ProcessError::ProcessError;
};

/// The peer of a connection is closed and nothing is left to receive.
class EOFError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// No item came within the time given. @par Source CPython Lib/queue.py, Empty
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

/// The barrier was aborted, reset, or a party of it died or timed out.
/// @par Source CPython Lib/threading.py, BrokenBarrierError
class BrokenBarrierError : public std::runtime_error {
  public:
    BrokenBarrierError() : std::runtime_error("the barrier is broken") {}
    using std::runtime_error::runtime_error;
};

/// The library is used in a way that the program's structure forbids, e.g. a spawned child in a
/// program whose main does not call freeze_support().
class RuntimeError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The result belongs to a task that was cancelled, or whose pool was terminated.
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

/// An argument, or the state of the object, does not allow the call.
class ValueError : public std::invalid_argument {
  public:
    using std::invalid_argument::invalid_argument;
};

/// A received object is of another type than the one asked for; it stays readable.
class TypeError : public std::invalid_argument {
  public:
    using std::invalid_argument::invalid_argument;
};

/// The object is used in the wrong order: join before start, a second start, the release of a lock
/// that is not owned. Python's assert statements; here they throw in every build type.
class AssertionError : public std::logic_error {
  public:
    using std::logic_error::logic_error;
};

}  // namespace multiprocessing
