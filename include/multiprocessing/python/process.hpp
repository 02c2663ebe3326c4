// multiprocessing/python/process.hpp
//
// A program of Python as a child of a C++ program, with which it shares queues, locks and arrays;
// and a C++ program that a program of Python has started so. Floor 10. Start at Process.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/python/finder.hpp"
#include "multiprocessing/python/passing.hpp"
#include "multiprocessing/start_method/guest.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::python {

/// A script that a python3 runs as a child of this process. Not started by its constructor.
///
///     mp::Queue<mp::pickle::object> queue;   mp::Lock lock;
///     mp::python::Process p("worker.py", queue, lock, 3);   p.start();   p.join();
///
/// In the script, `import multiprocessing_cpp as mp` makes the process one of the family, and
/// `mp.arguments` is a tuple of the arguments. Queues, locks and the like are objects of the
/// classes of that module, with Python's names; values are as pickle::dumps makes them. The module
/// is built by the CMake target `multiprocessing_python`, and found where Python finds its modules:
/// PYTHONPATH may name its folder. The interpreter is that of python::function; it needs no
/// libpython.
/// @par Processes A script that is killed, at any moment, harms no other process. A lock that it
/// held is abandoned: AbandonedError.
class Process {
  public:
    /// Makes a process that will run a script. @param arguments objects of the library, and values
    /// @throws ValueError as pickle::dumps
    template <std::convertible_to<std::string> Script, class... Args>
    explicit Process(const Script& script, const Args&... arguments)
        : Process(ProcessOptions{}, script, arguments...) {}
    /// The same with options.
    template <class... Args>
    Process(ProcessOptions options, std::string script, const Args&... arguments)
        : control_(std::move(options)),
          script_(std::move(script)),
          arguments_{detail::pythons::argument_of(arguments)...} {}
    /// Takes the process over.
    Process(Process&&) noexcept = default;
    /// Takes the process over.
    Process& operator=(Process&&) noexcept = default;
    /// As ~BasicProcess: leaves a running script running.
    ~Process() = default;

    /// Starts it. @throws RuntimeError when there is no Python; and as BasicProcess::start
    void start() {
        const detail::ProgramCommand command = python();
        control_.note_start(detail::start_guest(control_.prepare_start(), command, script_,
                                                arguments_, detail::pythons::object_layout));
        arguments_.clear();  // its own now
    }

    /// @{
    /// As of BasicProcess.
    bool join(Timeout timeout = std::nullopt) { return control_.join(timeout); }
    [[nodiscard]] bool is_alive() const { return control_.is_alive(); }
    void terminate() { control_.signal(SIGTERM); }
    void kill() { control_.signal(SIGKILL); }
    void interrupt() { control_.signal(SIGINT); }
    void close() { control_.close(); }
    [[nodiscard]] std::string name() const { return control_.name(); }
    void set_name(std::string name) { control_.set_name(std::move(name)); }
    [[nodiscard]] bool daemon() const noexcept { return control_.daemon(); }
    void set_daemon(bool daemon) { control_.set_daemon(daemon); }
    [[nodiscard]] std::optional<pid_t> pid() const { return control_.pid(); }
    [[nodiscard]] std::optional<pid_t> ident() const { return pid(); }
    [[nodiscard]] std::optional<int> exitcode() const { return control_.exitcode(); }
    [[nodiscard]] int sentinel() const { return control_.sentinel(); }
    friend std::string text_of(const Process& process) { return process.control_.text(); }
    /// @}

  private:
    static detail::ProgramCommand python() {
        const std::string program = detail::pythons::find_interpreter();
        return {program, {program}};
    }

    detail::ProcessControl control_;
    std::string script_;
    std::vector<detail::GuestArgument> arguments_;
};

/// What a program of Python has given to this one, which it has started as `mp.Program`.
///
///     const mp::python::Arguments arguments;
///     auto queue = arguments.get<mp::Queue<mp::pickle::object>>(0);
///
/// The first one of a process makes it one of the family. It comes before anything else of the
/// library is used, but for freeze_support().
class Arguments {
  public:
    /// @throws RuntimeError when the other program has another version of the library
    Arguments() : arguments_(taken()) {}

    /// Returns how many there are; 0 when this program was started otherwise.
    [[nodiscard]] std::size_t size() const noexcept { return arguments_.size(); }

    /// Returns one of them. @throws TypeError when it is no T @throws IndexError when it is not
    /// there
    template <class T>
    [[nodiscard]] T get(std::size_t index) const {
        if (index >= size()) throw IndexError("this program was given fewer arguments");
        return detail::pythons::value_of<T>(arguments_[index]);
    }

  private:
    static const std::vector<detail::GuestArgument>& taken() {
        static const std::vector<detail::GuestArgument> arguments =
            detail::is_guest() ? detail::become_guest(detail::pythons::object_layout)
                               : std::vector<detail::GuestArgument>();
        return arguments;
    }

    const std::vector<detail::GuestArgument>& arguments_;
};

}  // namespace multiprocessing::python
