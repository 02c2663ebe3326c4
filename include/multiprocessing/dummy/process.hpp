// multiprocessing/dummy/process.hpp
//
// Process, current_process and their like, on threads. Mirrors CPython
// Lib/multiprocessing/dummy/__init__.py, DummyProcess. Floor 7. SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "multiprocessing/dummy/life.hpp"

namespace multiprocessing::dummy {

/// A function call in a thread of its own, with the interface of multiprocessing::Process.
///
/// At the end of the program it is joined; as a daemon it is left behind, and ends when the program
/// has.
///
/// Differs: the arguments are copies, but what globals and pointers lead to is one for all. An
/// object of a subclass with a run() of its own must live, and stay where it is, until that has
/// ended: a thread has no copy of it. `terminate`, `kill` and `interrupt` of a running one are a
/// RuntimeError: a thread cannot be killed.
/// @par Source CPython Lib/multiprocessing/dummy/__init__.py, DummyProcess
class Process : public detail::TargetRunner<true> {
  public:
    /// Makes a process without a target: for subclasses that override run(). Does not start it.
    explicit Process(ProcessOptions options = {})
        : life_(std::make_shared<detail::DummyLife>(detail::DummyLife::current(),
                                                    std::move(options.name), options.daemon)) {}

    /// Makes a process that will call `f(args...)`. Does not start it.
    /// @param args converted to f's parameter types now
    template <class F, class... Args>
        requires(!std::is_base_of_v<Process, std::decay_t<F>> &&
                 !std::is_same_v<ProcessOptions, std::decay_t<F>>)
    explicit Process(F&& f, Args&&... args)
        : Process(ProcessOptions{}, std::forward<F>(f), std::forward<Args>(args)...) {}

    /// Makes a process with options.
    template <class F, class... Args>
    Process(ProcessOptions options, F&& f, Args&&... args) : Process(std::move(options)) {
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
    void start() {
        check_open();
        if (life_->is_started()) throw AssertionError("cannot start a process twice");
        if (!life_->is_child_of_this_thread()) {
            throw AssertionError("can only start a process object created by current process");
        }
        if (life_->parent()->daemon()) {
            throw AssertionError("daemonic processes are not allowed to have children");
        }
        const Process& self = *this;
        if (typeid(self) != typeid(Process)) {
            life_->start([this] { this->run(); });
            return;
        }
        // The target goes into the thread, so that this object may go while it runs.
        const auto target =
            std::make_shared<std::unique_ptr<detail::Target>>(std::move(this->target_));
        try {
            life_->start([target] {
                if (*target) (*target)->run();
            });
        } catch (...) {
            this->target_ = std::move(*target);
            throw;
        }
    }

    /// Waits until the thread has ended. **Blocking**: for at most `timeout`.
    /// @returns whether it has ended
    /// @throws AssertionError before start, or in a process that did not make it
    bool join(Timeout timeout = std::nullopt) {
        check_open();
        if (!life_->is_started()) throw AssertionError("can only join a started process");
        if (!life_->is_child_of_this_thread()) {
            throw AssertionError("can only join a child process");
        }
        return life_->wait(timeout);
    }

    /// Returns whether the thread was started and has not ended.
    [[nodiscard]] bool is_alive() const {
        check_open();
        return life_->is_alive();
    }

    /// Does nothing when it has ended. @throws RuntimeError while it runs: a thread cannot be
    /// killed @throws AssertionError before start
    void terminate() { refuse_to_end(); }
    /// As terminate.
    void kill() { refuse_to_end(); }
    /// As terminate.
    void interrupt() { refuse_to_end(); }

    /// Gives up what belongs to a process that has ended or was never started.
    /// @throws ValueError while it runs
    void close() {
        if (closed_) return;
        if (life_->is_alive()) {
            throw ValueError("Cannot close a process while it is still running. You should "
                             "first call join().");
        }
        this->target_.reset();
        closed_ = true;
    }

    /// Returns its name.
    [[nodiscard]] std::string name() const { return life_->name(); }
    /// Changes its name.
    void set_name(std::string name) { life_->set_name(std::move(name)); }

    /// Says whether it is a daemon, which ends with its parent.
    [[nodiscard]] bool daemon() const noexcept { return life_->daemon(); }
    /// @throws AssertionError after start
    void set_daemon(bool daemon) {
        if (life_->is_started()) throw AssertionError("process has already started");
        life_->set_daemon(daemon);
    }

    /// Returns the thread's id (gettid), which is one of its own; nothing before start.
    /// @throws ValueError after close
    [[nodiscard]] std::optional<pid_t> pid() const {
        check_open();
        return life_->id();
    }
    /// Returns what pid returns.
    [[nodiscard]] std::optional<pid_t> ident() const { return pid(); }

    /// Returns how it ended: 0, 1 after an exception, or the status that it gave to exit; nothing
    /// before.
    [[nodiscard]] std::optional<int> exitcode() const {
        check_open();
        return life_->exitcode();
    }

    /// Returns a descriptor that polls readable once the thread has ended. It belongs to this
    /// object.
    /// @throws ValueError before start, after close
    [[nodiscard]] int sentinel() const {
        check_open();
        if (!life_->is_started()) throw ValueError("process not started");
        return life_->sentinel();
    }

    /// Returns its authentication key.
    [[nodiscard]] std::string authkey() const { return life_->authkey(); }
    /// Changes its authentication key.
    void set_authkey(std::string authkey) { life_->set_authkey(std::move(authkey)); }

    friend std::string text_of(const Process& process) {
        std::string text = "<DummyProcess name='" + process.name() + "'";
        if (process.closed_) return text + " closed>";
        return text + process.life_->state_text() + (process.daemon() ? " daemon>" : ">");
    }

  private:
    void check_open() const {
        if (closed_) throw ValueError("process object is closed");
    }
    void refuse_to_end() const {
        check_open();
        if (!life_->is_started()) throw AssertionError("can only signal a started process");
        life_->refuse_to_end();
    }

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
    [[nodiscard]] std::string name() const { return life().name(); }
    void set_name(std::string name) const { life().set_name(std::move(name)); }
    [[nodiscard]] pid_t pid() const { return life().id().value_or(0); }
    [[nodiscard]] pid_t ident() const { return pid(); }
    [[nodiscard]] bool daemon() const { return life().daemon(); }
    [[nodiscard]] std::string authkey() const { return life().authkey(); }
    void set_authkey(std::string key) const { life().set_authkey(std::move(key)); }
    [[nodiscard]] bool is_alive() const noexcept { return true; }
    /// @}

    friend std::string text_of(const CurrentProcess& process) {
        return "<DummyProcess name='" + process.name() +
               (process.daemon() ? "' started daemon>" : "' started>");
    }

  private:
    static detail::DummyLife& life() { return *detail::DummyLife::current(); }
};

/// The process that started this one, as parent_process() gives it.
class ParentProcess {
  public:
    /// For parent_process.
    explicit ParentProcess(std::shared_ptr<detail::DummyLife> life) : life_(std::move(life)) {}

    /// @{
    /// As in Process.
    [[nodiscard]] std::string name() const { return life_->name(); }
    [[nodiscard]] pid_t pid() const { return life_->id().value_or(0); }
    [[nodiscard]] pid_t ident() const { return pid(); }
    [[nodiscard]] bool is_alive() const { return life_->is_alive(); }
    /// @}
    /// Waits until it has ended, as the main one never does while this is there to see it.
    /// @returns whether it has
    [[nodiscard]] bool join(Timeout timeout = std::nullopt) const { return life_->wait(timeout); }

    friend std::string text_of(const ParentProcess& process) {
        return "<ParentProcess name='" + process.name() + "'" + process.life_->state_text() + ">";
    }

  private:
    std::shared_ptr<detail::DummyLife> life_;
};

/// A running child of this process, as active_children() gives it.
class ActiveChild {
  public:
    /// For active_children.
    explicit ActiveChild(std::shared_ptr<detail::DummyLife> life) : life_(std::move(life)) {}

    /// @{
    /// As in Process.
    [[nodiscard]] std::string name() const { return life_->name(); }
    [[nodiscard]] pid_t pid() const { return life_->id().value_or(0); }
    [[nodiscard]] pid_t ident() const { return pid(); }
    [[nodiscard]] bool daemon() const noexcept { return life_->daemon(); }
    [[nodiscard]] bool is_alive() const { return life_->is_alive(); }
    [[nodiscard]] std::optional<int> exitcode() const { return life_->exitcode(); }
    [[nodiscard]] int sentinel() const { return life_->sentinel(); }
    /// @}
    /// @throws RuntimeError while it runs
    void terminate() const { life_->refuse_to_end(); }
    /// @throws RuntimeError while it runs
    void kill() const { life_->refuse_to_end(); }
    /// Waits until it has ended. @returns whether it has
    bool join(Timeout timeout = std::nullopt) const { return life_->wait(timeout); }

    friend std::string text_of(const ActiveChild& child) {
        return "<DummyProcess name='" + child.name() + "'" + child.life_->state_text() +
               (child.daemon() ? " daemon>" : ">");
    }

  private:
    std::shared_ptr<detail::DummyLife> life_;
};

/// Returns the process that this thread runs: the main one, unless it is a dummy Process.
inline const CurrentProcess& current_process() {
    static constexpr CurrentProcess process;
    return process;
}

/// Returns the process that started this one; nothing in the main one.
inline std::optional<ParentProcess> parent_process() {
    const auto& parent = detail::DummyLife::current()->parent();
    if (!parent) return std::nullopt;
    return ParentProcess(parent);
}

/// Returns this process's running children.
inline std::vector<ActiveChild> active_children() {
    std::vector<ActiveChild> active;
    for (auto& life : detail::DummyLife::current()->running_children()) {
        active.emplace_back(std::move(life));
    }
    return active;
}

}  // namespace multiprocessing::dummy
