// multiprocessing/dummy/process.hpp
//
// Process, current_process and their like, on threads. Mirrors CPython
// Lib/multiprocessing/dummy/__init__.py, DummyProcess. Floor 7. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/process.hpp"
#include "multiprocessing/process/target.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

class DummyLife;

}  // namespace multiprocessing::detail

namespace multiprocessing::dummy {

/// A function call in a thread of its own, with the interface of multiprocessing::Process.
///
/// At the end of the program it is joined. A daemon is left behind, and ends when the program has.
///
/// Differs: the arguments are copies, but all threads share what globals and pointers lead to. An
/// object of a subclass with a run() of its own must live, and stay where it is, until run() has
/// ended: a thread has no copy of it. `terminate`, `kill` and `interrupt` of a running one throw a
/// RuntimeError: a thread cannot be killed.
/// @par Source CPython Lib/multiprocessing/dummy/__init__.py, DummyProcess
class Process : public detail::TargetRunner<true> {
  public:
    /// Makes a process without a target: for subclasses that override run(). Does not start it.
    explicit Process(ProcessOptions options = {})
        : Process(std::string_view("Process"), std::move(options)) {}

    /// Makes a process that will call `f(args...)`. Does not start it.
    /// @param args converted to f's parameter types now
    template <class F, class... Args>
        requires(!std::is_base_of_v<Process, std::decay_t<F>> &&
                 !std::is_same_v<ProcessOptions, std::decay_t<F>>)
    explicit Process(F&& f, Args&&... args)
        : Process(ProcessOptions{}, std::forward<F>(f), std::forward<Args>(args)...) {}

    /// Makes a process with options.
    template <class F, class... Args>
    Process(ProcessOptions options, F&& f, Args&&... args)
        : Process(detail::process_kind<std::decay_t<F>>(), std::move(options)) {
        this->target_ = detail::make_target<true>(std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Takes the process over.
    Process(Process&&) noexcept = default;
    /// Takes the process over.
    Process& operator=(Process&&) noexcept = default;
    ~Process() override = default;

    /// Starts the thread.
    /// @throws AssertionError when it was started already, belongs to another process, or the
    ///         caller is a daemon
    /// @throws std::system_error EAGAIN; then start may be called again
    void start();

    /// Waits until the thread has ended. **Blocking**: for at most `timeout`.
    /// @returns whether it has ended
    /// @throws AssertionError before start, or in a process that did not make it
    bool join(Timeout timeout = std::nullopt);

    /// Returns whether the thread was started and has not ended.
    [[nodiscard]] bool is_alive() const;

    /// Does nothing when it has ended.
    /// @throws RuntimeError while it runs: a thread cannot be killed
    /// @throws AssertionError before start
    void terminate() { refuse_to_end(); }
    /// As terminate.
    void kill() { refuse_to_end(); }
    /// As terminate.
    void interrupt() { refuse_to_end(); }

    /// Gives up what belongs to a process that has ended or was never started.
    /// @throws ValueError while it runs
    void close();

    /// Returns its name.
    [[nodiscard]] std::string name() const;
    /// Changes its name.
    void set_name(std::string name);

    /// Says whether it is a daemon, which ends with its parent.
    [[nodiscard]] bool daemon() const noexcept;
    /// Says whether it is to be a daemon. @throws AssertionError after start
    void set_daemon(bool daemon);

    /// Returns the thread's id (gettid), which is one of its own; nothing before start.
    /// @throws ValueError after close
    [[nodiscard]] std::optional<pid_t> pid() const;
    /// Returns what pid returns.
    [[nodiscard]] std::optional<pid_t> ident() const { return pid(); }

    /// Returns how it ended: 0, 1 after an exception, or the status that it gave to exit; nothing
    /// before.
    [[nodiscard]] std::optional<int> exitcode() const;

    /// Returns a descriptor that polls readable once the thread has ended. It belongs to this
    /// object.
    /// @throws ValueError before start, after close
    [[nodiscard]] int sentinel() const;

    /// Returns its authentication key.
    [[nodiscard]] std::string authkey() const;
    /// Changes its authentication key.
    void set_authkey(std::string authkey);

    friend std::string text_of(const Process& process) { return process.text(); }

  private:
    Process(std::string_view kind, ProcessOptions options);

    void check_open() const;
    void refuse_to_end() const;
    [[nodiscard]] std::string text() const;

    std::shared_ptr<detail::DummyLife> life_;
    bool closed_ = false;
};

/// @{
/// Threads too, whatever the name says.
using ForkProcess = Process;
using SpawnProcess = Process;
using ForkServerProcess = Process;
/// @}

/// The process that this thread runs, as current_process() gives it.
class CurrentProcess {
  public:
    /// @{
    /// As in Process.
    [[nodiscard]] std::string name() const;
    void set_name(std::string name) const;
    [[nodiscard]] pid_t pid() const;
    [[nodiscard]] pid_t ident() const { return pid(); }
    [[nodiscard]] bool daemon() const;
    [[nodiscard]] std::string authkey() const;
    void set_authkey(std::string key) const;
    [[nodiscard]] bool is_alive() const noexcept { return true; }
    /// @}
    /// Returns nothing, because it runs.
    [[nodiscard]] std::optional<int> exitcode() const noexcept { return std::nullopt; }

    friend std::string text_of(const CurrentProcess& process) { return process.text(); }

  private:
    [[nodiscard]] std::string text() const;
};

/// The process that started this one, as parent_process() gives it.
class ParentProcess {
  public:
    /// For parent_process.
    explicit ParentProcess(std::shared_ptr<detail::DummyLife> life) : life_(std::move(life)) {}

    /// @{
    /// As in Process.
    [[nodiscard]] std::string name() const;
    [[nodiscard]] pid_t pid() const;
    [[nodiscard]] pid_t ident() const { return pid(); }
    [[nodiscard]] bool is_alive() const;
    [[nodiscard]] int sentinel() const;
    /// @}
    /// Waits until it has ended. The main process never does while this object is there to see it.
    /// @returns whether it has
    [[nodiscard]] bool join(Timeout timeout = std::nullopt) const;

    friend std::string text_of(const ParentProcess& process) { return process.text(); }

  private:
    [[nodiscard]] std::string text() const;

    std::shared_ptr<detail::DummyLife> life_;
};

/// A running child of this process, as active_children() gives it.
class ActiveChild {
  public:
    /// For active_children.
    explicit ActiveChild(std::shared_ptr<detail::DummyLife> life) : life_(std::move(life)) {}

    /// @{
    /// As in Process.
    [[nodiscard]] std::string name() const;
    [[nodiscard]] pid_t pid() const;
    [[nodiscard]] pid_t ident() const { return pid(); }
    [[nodiscard]] bool daemon() const noexcept;
    [[nodiscard]] bool is_alive() const;
    [[nodiscard]] std::optional<int> exitcode() const;
    [[nodiscard]] int sentinel() const;
    /// @}
    /// Does nothing when it has ended. @throws RuntimeError while it runs
    void terminate() const;
    /// As terminate.
    void kill() const { terminate(); }
    /// Waits until it has ended. @returns whether it has
    bool join(Timeout timeout = std::nullopt) const;

    friend std::string text_of(const ActiveChild& child) { return child.text(); }

  private:
    [[nodiscard]] std::string text() const;

    std::shared_ptr<detail::DummyLife> life_;
};

/// Returns the process that this thread runs: the main one, unless it is a dummy Process.
inline const CurrentProcess& current_process() {
    static constexpr CurrentProcess process;
    return process;
}

/// Returns the process that started this one; nothing in the main one.
std::optional<ParentProcess> parent_process();

/// Returns this process's running children.
std::vector<ActiveChild> active_children();

}  // namespace multiprocessing::dummy

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/dummy/process.ipp"
#endif
