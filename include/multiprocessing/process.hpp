// multiprocessing/process.hpp
//
// Process: a function that runs in a process of its own; and what a process can ask about itself,
// its parent and its children. Mirrors CPython Lib/multiprocessing/process.py. Floor 3.
//
// Read on in start_method/ (how a child comes to be), process/bootstrap.hpp (its life),
// process/child.hpp (what its parent sees), process/lifeline.hpp (how it notices its parent's
// death). SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/process/target.hpp"
#include "multiprocessing/start_method/fork.hpp"
#include "multiprocessing/start_method/forkserver.hpp"
#include "multiprocessing/start_method/freeze_support.hpp"
#include "multiprocessing/start_method/serial.hpp"
#include "multiprocessing/start_method/spawn.hpp"
#include "multiprocessing/timeout.hpp"

#ifndef MULTIPROCESSING_START_METHOD
#define MULTIPROCESSING_START_METHOD fork
#endif

namespace multiprocessing {

/// The start method of Process, Pool and the rest: fork, unless the program is compiled with
/// -DMULTIPROCESSING_START_METHOD=spawn or =forkserver (a CMake option of the same name).
using default_start_method = start_method::MULTIPROCESSING_START_METHOD;

/// What can be said of a process before it starts; designated initialisers name the fields.
struct ProcessOptions {
    std::string name = {};            ///< empty: Process-1, Process-2, …
    std::optional<bool> daemon = {};  ///< none: as the process that makes it
};

namespace detail {

/// Says how far a child is, as Python does; none is one that was not started.
inline std::string process_state_text(Child* child) {
    if (child == nullptr) return " initial";
    const std::optional<int> status = child->exitcode();
    if (!status) return " started";
    const char* const name = *status < 0 ? ::sigabbrev_np(-*status) : nullptr;
    return " stopped exitcode=" +
           (name != nullptr ? "-SIG" + std::string(name) : std::to_string(*status));
}

}  // namespace detail

/// A function call in a process of its own.
///
///     mp::Process p(work, 42);  p.start();  p.join();
///
/// @par Processes only the process that started it may wait for it or ask for its exit code
/// @par Source CPython Lib/multiprocessing/process.py, BaseProcess
template <class StartMethod>
class BasicProcess : public detail::TargetRunner<StartMethod::inherits_memory> {
  public:
    /// Makes a process without a target: for subclasses that override run(). Does not start it.
    explicit BasicProcess(ProcessOptions options = {})
        : name_(std::move(options.name)),
          daemon_(options.daemon.value_or(detail::default_daemon())),
          lineage_(detail::state().next_lineage()),
          authkey_(detail::state().authkey()) {
        if (name_.empty()) name_ = "Process-" + lineage_;
    }

    /// Makes a process that will call `f(args...)`. Does not start it.
    /// @param args converted to f's parameter types now
    template <class F, class... Args>
        requires(!std::is_base_of_v<BasicProcess, std::decay_t<F>> &&
                 !std::is_same_v<ProcessOptions, std::decay_t<F>>)
    explicit BasicProcess(F&& f, Args&&... args)
        : BasicProcess(ProcessOptions{}, std::forward<F>(f), std::forward<Args>(args)...) {}

    /// Makes a process with options.
    template <class F, class... Args>
    BasicProcess(ProcessOptions options, F&& f, Args&&... args) : BasicProcess(std::move(options)) {
        this->target_ = detail::make_target<StartMethod::inherits_memory>(
            std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Takes the process over.
    BasicProcess(BasicProcess&&) noexcept = default;
    /// Takes the process over.
    BasicProcess& operator=(BasicProcess&&) noexcept = default;

    /// A process that runs goes on: it is joined, or as a daemon terminated, when this one ends.
    ~BasicProcess() override = default;

    /// Starts the process.
    /// @throws AssertionError when it was started already, belongs to another process, or the
    /// caller
    ///         is a daemon
    /// @throws RuntimeError under spawn and forkserver, when main has not called freeze_support()
    /// @throws std::system_error EAGAIN, ENOMEM, EMFILE; then there is no child, and start may be
    ///         called again
    void start() {
        check_open();
        if (child_) throw AssertionError("cannot start a process twice");
        if (creator_ != detail::self()) {
            throw AssertionError("can only start a process object created by current process");
        }
        detail::ProcessState& state = detail::state();
        if (!state.identity().may_have_children) {
            throw AssertionError("daemonic processes are not allowed to have children");
        }
        state.reap();
        detail::heap().fit_address_space();
        child_ = StartMethod::start(
            identity(state),
            [this] {
                in_child_ = true;
                this->run();
            },
            this->target_.get());
        in_child_ = false;  // nothing has changed it, but for a target that ran in this process
        state.add(child_);
        detail::register_exit_handler();
        // As in Python: what the target holds (the other end of a pipe, say) is the child's now.
        this->target_.reset();
    }

    /// Waits until the process has ended.
    ///
    /// **Blocking**: for at most `timeout`; a signal that arrives meanwhile does not end it.
    /// @returns whether it has ended
    /// @throws AssertionError before start, or in a process that did not start it
    bool join(Timeout timeout = std::nullopt) {
        check_open();
        if (!child_) throw AssertionError("can only join a started process");
        if (in_child_ || !child_->is_mine()) throw AssertionError("can only join a child process");
        if (!child_->wait(timeout)) return false;
        detail::state().remove(*child_);
        return true;
    }

    /// Returns whether the process was started and has not ended.
    [[nodiscard]] bool is_alive() const {
        check_open();
        if (in_child_) return true;
        if (!child_) return false;
        if (!child_->is_mine()) throw AssertionError("can only test a child process");
        return child_->is_alive();
    }

    /// Asks the process to end, with SIGTERM. @throws AssertionError before start
    void terminate() { signal(SIGTERM); }
    /// Ends the process, with SIGKILL. @throws AssertionError before start
    void kill() { signal(SIGKILL); }
    /// Interrupts the process as Ctrl-C does, with SIGINT. @throws AssertionError before start
    void interrupt() { signal(SIGINT); }

    /// Gives up what belongs to a process that has ended or was never started.
    /// @throws ValueError while it runs
    void close() {
        if (closed_) return;
        if (child_ && child_->is_mine()) {
            if (child_->is_alive()) {
                throw ValueError("Cannot close a process while it is still running. You should "
                                 "first call join() or terminate().");
            }
            detail::state().remove(*child_);
        }
        child_.reset();
        this->target_.reset();
        closed_ = true;
    }

    /// Returns its name.
    [[nodiscard]] std::string name() const { return name_; }
    /// Changes its name.
    void set_name(std::string name) {
        name_ = std::move(name);
        if (child_) child_->set_name(name_);
    }

    /// Says whether it is a daemon, which ends with its parent.
    [[nodiscard]] bool daemon() const noexcept { return daemon_; }
    /// @throws AssertionError after start
    void set_daemon(bool daemon) {
        if (child_) throw AssertionError("process has already started");
        daemon_ = daemon;
    }

    /// Returns the process id; nothing before start. @throws ValueError after close
    [[nodiscard]] std::optional<pid_t> pid() const {
        check_open();
        if (in_child_) return ::getpid();
        return child_ ? std::optional(child_->pid()) : std::nullopt;
    }
    /// Returns what pid returns.
    [[nodiscard]] std::optional<pid_t> ident() const { return pid(); }

    /// Returns how the process ended: its status, or -N when signal N killed it; nothing before.
    [[nodiscard]] std::optional<int> exitcode() const {
        check_open();
        return child_ && !in_child_ && child_->is_mine() ? child_->exitcode() : std::nullopt;
    }

    /// Returns a descriptor that polls readable once the process has ended. It belongs to this
    /// object.
    /// @throws ValueError before start, after close
    [[nodiscard]] int sentinel() const {
        check_open();
        if (!child_) throw ValueError("process not started");
        return child_->sentinel();
    }

    /// Returns the key that the process proves its belonging to the family with, in bytes.
    [[nodiscard]] std::string authkey() const { return authkey_; }
    /// Changes its authentication key.
    void set_authkey(std::string authkey) { authkey_ = std::move(authkey); }

    friend std::string text_of(const BasicProcess& process) {
        std::string text = "<Process name='" + process.name_ + "'";
        if (process.closed_) return text + " closed>";
        const bool is_mine = !process.child_ || process.child_->is_mine();
        if (const auto pid = process.pid()) text += " pid=" + std::to_string(*pid);
        text += " parent=" + std::to_string(process.creator_pid_);
        text += process.in_child_ ? " started"
                : !is_mine        ? " unknown"
                                  : detail::process_state_text(process.child_.get());
        return text + (process.daemon_ ? " daemon>" : ">");
    }

  private:
    void check_open() const {
        if (closed_) throw ValueError("process object is closed");
    }

    void signal(int number) {
        check_open();
        if (!child_) throw AssertionError("can only signal a started process");
        if (!child_->is_mine()) throw AssertionError("can only signal a child process");
        child_->signal(number);
    }

    [[nodiscard]] detail::ProcessIdentity identity(const detail::ProcessState& parent) const {
        detail::ProcessIdentity identity = detail::child_identity(parent);
        identity.name = name_;
        identity.lineage = lineage_;
        identity.authkey = authkey_;
        identity.daemon = daemon_;
        identity.dies_with_parent |= daemon_;
        identity.may_have_children = !daemon_;
        return identity;
    }

    std::string name_;
    bool daemon_;
    std::string lineage_;
    std::string authkey_;
    detail::ProcessId creator_ = detail::self();
    pid_t creator_pid_ = ::getpid();
    std::shared_ptr<detail::Child> child_;
    bool in_child_ = false;
    bool closed_ = false;
};

/// @{
/// A process with the default start method, or with the one that it is named after.
using Process = BasicProcess<default_start_method>;
using ForkProcess = BasicProcess<start_method::fork>;
using SpawnProcess = BasicProcess<start_method::spawn>;
using ForkServerProcess = BasicProcess<start_method::forkserver>;
/// @}

/// This process, as current_process() gives it.
class CurrentProcess {
  public:
    /// @{
    /// As in BasicProcess.
    [[nodiscard]] std::string name() const { return detail::state().name(); }
    void set_name(std::string name) const { detail::state().set_name(std::move(name)); }
    [[nodiscard]] pid_t pid() const { return ::getpid(); }
    [[nodiscard]] pid_t ident() const { return ::getpid(); }
    [[nodiscard]] bool daemon() const { return detail::state().identity().daemon; }
    [[nodiscard]] std::string authkey() const { return detail::state().authkey(); }
    void set_authkey(std::string key) const { detail::state().set_authkey(std::move(key)); }
    [[nodiscard]] bool is_alive() const noexcept { return true; }
    /// @}

    friend std::string text_of(const CurrentProcess& process) {
        const detail::ProcessIdentity& identity = detail::state().identity();
        const bool is_main = identity.parent_pid == 0;
        return std::string(is_main ? "<_MainProcess" : "<Process") + " name='" + process.name() +
               "' parent=" + (is_main ? "None" : std::to_string(identity.parent_pid)) +
               (identity.daemon ? " started daemon>" : " started>");
    }
};

/// The process that started this one, as parent_process() gives it.
class ParentProcess {
  public:
    /// For parent_process.
    ParentProcess(std::string name, pid_t pid, detail::ProcessId id)
        : name_(std::move(name)), pid_(pid), id_(id) {}

    /// @{
    /// As in BasicProcess.
    [[nodiscard]] std::string name() const { return name_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] pid_t ident() const noexcept { return pid_; }
    [[nodiscard]] bool is_alive() const { return detail::heap().family().is_alive(id_); }
    /// @}

    /// Waits until the parent has ended. @returns whether it has
    [[nodiscard]] bool join(Timeout timeout = std::nullopt) const {
        const detail::Deadline deadline(timeout);
        // Opened first, looked up then: what the descriptor is for cannot be a successor if the
        // parent is alive afterwards.
        const detail::Descriptor pidfd = detail::open_pidfd(pid_);
        if (!pidfd || !is_alive()) return true;
        return detail::poll_readable(pidfd.get(), deadline);
    }

    friend std::string text_of(const ParentProcess& process) {
        return "<ParentProcess name='" + process.name_ + "' pid=" + std::to_string(process.pid_) +
               (process.is_alive() ? " started>" : " stopped>");
    }

  private:
    std::string name_;
    pid_t pid_;
    detail::ProcessId id_;
};

/// A running child of this process, as active_children() gives it.
class ActiveChild {
  public:
    /// For active_children.
    explicit ActiveChild(std::shared_ptr<detail::Child> child) : child_(std::move(child)) {}

    /// @{
    /// As in BasicProcess.
    [[nodiscard]] std::string name() const { return child_->name(); }
    [[nodiscard]] pid_t pid() const noexcept { return child_->pid(); }
    [[nodiscard]] pid_t ident() const noexcept { return child_->pid(); }
    [[nodiscard]] bool daemon() const noexcept { return child_->daemon(); }
    [[nodiscard]] bool is_alive() const { return child_->is_alive(); }
    [[nodiscard]] std::optional<int> exitcode() const { return child_->exitcode(); }
    [[nodiscard]] int sentinel() const { return child_->sentinel(); }
    void terminate() const { child_->signal(SIGTERM); }
    void kill() const { child_->signal(SIGKILL); }
    /// @}

    /// Waits until the child has ended. @returns whether it has
    bool join(Timeout timeout = std::nullopt) const {
        if (!child_->wait(timeout)) return false;
        detail::state().remove(*child_);
        return true;
    }

    friend std::string text_of(const ActiveChild& child) {
        return "<Process name='" + child.name() + "' pid=" + std::to_string(child.pid()) +
               detail::process_state_text(child.child_.get()) + (child.daemon() ? " daemon>" : ">");
    }

  private:
    std::shared_ptr<detail::Child> child_;
};

/// Returns this process.
inline const CurrentProcess& current_process() {
    static constexpr CurrentProcess process;
    return process;
}

/// Returns the process that started this one; nothing in the first process of the family.
inline std::optional<ParentProcess> parent_process() {
    const detail::ProcessIdentity& identity = detail::state().identity();
    if (identity.parent_pid == 0) return std::nullopt;
    return ParentProcess(identity.parent_name, identity.parent_pid, identity.parent_id);
}

/// Returns this process's running children, and collects those that have ended.
inline std::vector<ActiveChild> active_children() {
    std::vector<ActiveChild> active;
    for (const auto& child : detail::state().children()) {
        if (child->is_alive()) {
            active.emplace_back(child);
        } else {
            detail::state().remove(*child);
        }
    }
    return active;
}

/// Returns the number of cores of the machine. @par Source CPython os.cpu_count
inline int cpu_count() { return static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))); }

/// Returns the number of cores that this process may use: those of its affinity mask, cut by the
/// quota of its control group. @par Source CPython os.process_cpu_count; the quota is an addition
inline int process_cpu_count() { return detail::usable_cpu_count(); }

}  // namespace multiprocessing

#ifdef FMT_VERSION
#include "multiprocessing/detail/format.hpp"
#endif
