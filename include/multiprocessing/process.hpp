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

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/child.hpp"
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
    /// File to which standard output is appended, each line as it comes. In the name, "{pid}" and
    /// "{worker}" stand for the process's id and its name. Empty: where the parent prints.
    std::string stdout_file = {};
    /// The same for standard error. It may be the same file.
    std::string stderr_file = {};
};

namespace detail {

/// The part of a Process that does not depend on its start method: everything but its target.
class ProcessControl {
  public:
    /// @param kind what the process is numbered under, if it has no name
    explicit ProcessControl(ProcessOptions options, std::string_view kind = "Process");

    /// Checks that the process may start. @returns who it is to be
    ProcessIdentity prepare_start();
    /// Called in the child, before its target runs.
    void enter_child() noexcept { in_child_ = true; }
    /// Notes that the process was started.
    void note_start(std::shared_ptr<Child> child);

    bool join(Timeout timeout);
    [[nodiscard]] bool is_alive() const;
    void signal(int number);
    void close();

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    void set_name(std::string name);
    [[nodiscard]] bool daemon() const noexcept { return daemon_; }
    void set_daemon(bool daemon);
    [[nodiscard]] std::optional<pid_t> pid() const;
    [[nodiscard]] std::optional<int> exitcode() const;
    [[nodiscard]] int sentinel() const;
    [[nodiscard]] const std::string& authkey() const noexcept { return authkey_; }
    void set_authkey(std::string authkey) { authkey_ = std::move(authkey); }
    [[nodiscard]] std::string text() const;

  private:
    void check_open() const;
    [[nodiscard]] ProcessIdentity identity(const ProcessState& parent) const;

    std::string name_;
    bool daemon_;
    std::string lineage_;
    std::string authkey_;
    OutputFiles output_;
    ProcessId creator_ = self();
    pid_t creator_pid_ = ::getpid();
    std::shared_ptr<Child> child_;
    bool in_child_ = false;
    bool closed_ = false;
};

/// Is made of anything, for a parameter that exists only to say that it does not.
class Anything {
  public:
    template <class T>
    Anything(const T&);  // NOLINT(google-explicit-constructor)
    Anything(std::initializer_list<Anything>);
};
/// What Python's Process is given by name. It is matched by `{.target = f}`, and by nothing that
/// makes ProcessOptions: a target must be there, and no value makes the group before it.
struct KeywordArguments {
    class Group {
      public:
        constexpr Group() noexcept {}
    };
    struct Absent : Anything {
        using Anything::Anything;
        Absent();
    };
    Group group = {};
    Anything target;
    Absent name = {}, args = {}, kwargs = {}, daemon = {};
};

template <class T>
inline constexpr bool is_reference_wrapper = false;
template <class T>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<T>> = true;
template <class... Args>
concept any_reference_wrapper = (is_reference_wrapper<std::decay_t<Args>> || ...);
template <class F>
concept function_reference = std::is_function_v<std::remove_reference_t<F>>;

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
    explicit BasicProcess(ProcessOptions options = {}) : control_(std::move(options)) {}

    /// Makes a process that will call `f(args...)`. Does not start it.
    ///
    /// An object with a `run()` and without an `operator()` is what a subclass of Process is in
    /// Python: the process has a copy of it, with its fields, and calls run() on that. By default
    /// it is named after the class.
    ///
    ///     struct Consumer { mp::Queue<int> tasks;  void run(); };
    ///     mp::Process p(Consumer{tasks});   // Consumer-1
    ///
    /// @param args converted to f's parameter types now
    template <class F, class... Args>
        requires(!std::is_base_of_v<BasicProcess, std::decay_t<F>> &&
                 !std::is_same_v<ProcessOptions, std::decay_t<F>> &&
                 !detail::any_reference_wrapper<F, Args...>)
    explicit BasicProcess(F&& f, Args&&... args)
        : control_(ProcessOptions{}, detail::process_kind<std::decay_t<F>>()) {
        this->target_ = detail::make_target<StartMethod::inherits_memory>(
            std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Makes a process with options.
    template <class F, class... Args>
        requires(!detail::any_reference_wrapper<F, Args...>)
    BasicProcess(ProcessOptions options, F&& f, Args&&... args)
        : control_(std::move(options), detail::process_kind<std::decay_t<F>>()) {
        this->target_ = detail::make_target<StartMethod::inherits_memory>(
            std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// A process shares no variables, so std::ref would be a copy, and its changes lost.
    template <class F, class... Args>
        requires(!detail::function_reference<F> && detail::any_reference_wrapper<F, Args...>)
    explicit BasicProcess(F&&,
                          Args&&...) = delete;  // no std::ref: share a mp::Value, or pass a copy
    /// The same for a function's name. A branch that `if constexpr` leaves out may have it.
    template <class... Args, detail::function_reference F>
        requires detail::any_reference_wrapper<Args...>
    explicit BasicProcess(F&, Args&&...) : control_({}) {
        static_assert(!detail::any_reference_wrapper<Args...>,
                      "multiprocessing: no std::ref: share a mp::Value, or pass a copy");
    }
    /// Likewise, with options.
    template <class... Args>
        requires detail::any_reference_wrapper<Args...>
    BasicProcess(ProcessOptions,
                 Args&&...) = delete;  // no std::ref: share a mp::Value, or pass a copy
    /// A function that is overloaded or a template has no type by itself.
    template <int = 0>
    explicit BasicProcess(...) = delete;  // give it one function: f<int> of a template, or a cast
    /// Likewise, with options.
    template <int = 0>
    BasicProcess(ProcessOptions, ...) = delete;  // give it one function: f<int>, or a cast
    /// The function comes first here, then its arguments: `mp::Process p(f, 1);`
    explicit BasicProcess(detail::KeywordArguments) = delete;  // no .target: Process p(f, args...)

    /// Takes the process over.
    BasicProcess(BasicProcess&&) noexcept = default;
    /// Takes the process over.
    BasicProcess& operator=(BasicProcess&&) noexcept = default;

    /// Leaves a running process running. It is joined, or as a daemon terminated, when this process
    /// ends.
    ~BasicProcess() override = default;

    /// Starts the process.
    /// @throws AssertionError when it was started already, belongs to another process, or the
    ///         caller is a daemon
    /// @throws RuntimeError under spawn and forkserver, when main has not called freeze_support()
    /// @throws std::system_error EAGAIN, ENOMEM, EMFILE; then there is no child, and start may be
    ///         called again
    void start() {
        detail::ProcessIdentity identity = control_.prepare_start();
        control_.note_start(StartMethod::start(
            std::move(identity),
            [this] {
                control_.enter_child();
                this->run();
            },
            this->target_.get()));
        // As in Python: what the target holds (the other end of a pipe, say) is the child's now.
        this->target_.reset();
    }

    /// Waits until the process has ended.
    ///
    /// **Blocking**: for at most `timeout`; a signal that arrives meanwhile does not end it.
    /// @returns whether it has ended
    /// @throws AssertionError before start, or in a process that did not start it
    bool join(Timeout timeout = std::nullopt) { return control_.join(timeout); }

    /// Returns whether the process was started and has not ended.
    [[nodiscard]] bool is_alive() const { return control_.is_alive(); }

    /// Asks the process to end, with SIGTERM. @throws AssertionError before start
    void terminate() { control_.signal(SIGTERM); }
    /// Ends the process, with SIGKILL. @throws AssertionError before start
    void kill() { control_.signal(SIGKILL); }
    /// Interrupts the process as Ctrl-C does, with SIGINT. @throws AssertionError before start
    void interrupt() { control_.signal(SIGINT); }

    /// Gives up what belongs to a process that has ended or was never started.
    /// @throws ValueError while it runs
    void close() {
        control_.close();
        this->target_.reset();
    }

    /// Returns its name.
    [[nodiscard]] std::string name() const { return control_.name(); }
    /// Changes its name.
    void set_name(std::string name) { control_.set_name(std::move(name)); }

    /// Says whether it is a daemon, which ends with its parent.
    [[nodiscard]] bool daemon() const noexcept { return control_.daemon(); }
    /// Says whether it is to be a daemon. @throws AssertionError after start
    void set_daemon(bool daemon) { control_.set_daemon(daemon); }

    /// Returns the process id; nothing before start. @throws ValueError after close
    [[nodiscard]] std::optional<pid_t> pid() const { return control_.pid(); }
    /// Returns what pid returns.
    [[nodiscard]] std::optional<pid_t> ident() const { return pid(); }

    /// Returns how the process ended: its status, or -N when signal N killed it; nothing before.
    [[nodiscard]] std::optional<int> exitcode() const { return control_.exitcode(); }

    /// Returns a descriptor that polls readable once the process has ended. It belongs to this
    /// object.
    /// @throws ValueError before start, after close
    [[nodiscard]] int sentinel() const { return control_.sentinel(); }

    /// Returns the key by which the process proves that it belongs to the family, in bytes.
    [[nodiscard]] std::string authkey() const { return control_.authkey(); }
    /// Changes its authentication key.
    void set_authkey(std::string authkey) { control_.set_authkey(std::move(authkey)); }

    friend std::string text_of(const BasicProcess& process) { return process.control_.text(); }

  private:
    detail::ProcessControl control_;
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
    /// Returns nothing, because this process runs. (It has no sentinel; CPython's is a ValueError.)
    [[nodiscard]] std::optional<int> exitcode() const noexcept { return std::nullopt; }

    friend std::string text_of(const CurrentProcess& process) { return process.text(); }

  private:
    [[nodiscard]] std::string text() const;
};

/// The process that started this one, as parent_process() gives it.
class ParentProcess {
  public:
    /// For parent_process.
    ParentProcess(std::string name, pid_t pid, detail::ProcessId id,
                  std::shared_ptr<detail::ParentSentinel> sentinel)
        : name_(std::move(name)), pid_(pid), id_(id), sentinel_(std::move(sentinel)) {}

    /// @{
    /// As in BasicProcess.
    [[nodiscard]] std::string name() const { return name_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] pid_t ident() const noexcept { return pid_; }
    [[nodiscard]] bool is_alive() const;
    /// @}

    /// Waits until the parent has ended. @returns whether it has
    [[nodiscard]] bool join(Timeout timeout = std::nullopt) const;

    /// Returns a descriptor that polls readable once the parent has ended, for connection::wait,
    /// poll or epoll. Every call returns the same one. It belongs to this process, and stays open.
    /// @throws std::system_error EMFILE, ENFILE
    [[nodiscard]] int sentinel() const { return sentinel_->get(); }

    friend std::string text_of(const ParentProcess& process) { return process.text(); }

  private:
    [[nodiscard]] std::string text() const;

    std::string name_;
    pid_t pid_;
    detail::ProcessId id_;
    std::shared_ptr<detail::ParentSentinel> sentinel_;
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
    bool join(Timeout timeout = std::nullopt) const;

    friend std::string text_of(const ActiveChild& child) { return child.text(); }

  private:
    [[nodiscard]] std::string text() const;

    std::shared_ptr<detail::Child> child_;
};

/// Returns this process.
inline const CurrentProcess& current_process() {
    static constexpr CurrentProcess process;
    return process;
}

/// Returns the process that started this one; nothing in the first process of the family.
std::optional<ParentProcess> parent_process();

/// Returns this process's running children, and collects those that have ended.
std::vector<ActiveChild> active_children();

/// Returns the number of cores of the machine. @par Source CPython os.cpu_count
int cpu_count();

/// Returns the number of cores that this process may use: those of its affinity mask, cut by the
/// quota of its control group. @par Source CPython os.process_cpu_count; the quota is an addition
int process_cpu_count();

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process.ipp"
#endif

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/detail/format.hpp"
#endif
