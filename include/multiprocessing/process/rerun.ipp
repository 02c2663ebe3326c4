// multiprocessing/process/rerun.ipp
//
// How this program is started anew, with posix_spawn: see rerun.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/rerun.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/process/program.hpp"

extern "C" char** environ;  // POSIX has it, but no header must declare it

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void require_freeze_support() {
    if (freeze_support_was_called.load()) return;
    throw RuntimeError(
        "a process that is spawned, or forked by the fork server, runs this program anew and needs "
        "to be told apart: add\n"
        "    multiprocessing::freeze_support();\n"
        "as the first line of main(), before any process is started. If it is there, a shared "
        "library has a state of its own: link the program with -rdynamic, and do not hide symbols");
}

/// The file actions of a posix_spawn, and the descriptors that are open for them.
class SpawnPlan {
  public:
    SpawnPlan() { check_code(::posix_spawn_file_actions_init(&actions_), "posix_spawn"); }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;
    ~SpawnPlan() { ::posix_spawn_file_actions_destroy(&actions_); }

    /// Passes `fds` to the child as 3, 4, … and nothing else but the standard streams.
    /// @throws std::system_error EMFILE
    void pass_descriptors(const std::vector<int>& fds) {
        const int first = segment_descriptor;
        const int last = first + static_cast<int>(fds.size());
        // The child could not have these numbers either.
        rlimit limit{};
        checked(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
        if (std::cmp_greater(last, limit.rlim_cur)) throw_system_error("posix_spawn", EMFILE);
        int target = first;
        for (const int fd : fds) {
            int source = fd;
            if ((fd >= first && fd < last) || std::cmp_greater_equal(fd, limit.rlim_cur)) {
                // It is another one's target, which would be overwritten; or it is above a limit
                // that was lowered, which posix_spawn does not take. It goes by way of a number in
                // between.
                source = ::fcntl(fd, F_DUPFD_CLOEXEC, last);
                if (source < 0) throw_system_error("fcntl", errno == EINVAL ? EMFILE : errno);
                sources_.emplace_back(source);
            }
            check_code(::posix_spawn_file_actions_adddup2(&actions_, source, target++),
                       "posix_spawn");
        }
        check_code(::posix_spawn_file_actions_addclosefrom_np(&actions_, last), "posix_spawn");
    }

    /// Runs a program. @param label its last argument
    /// @returns the child's pid; nothing when there is no such file
    std::optional<pid_t> run(ProgramCommand command, const std::string& label,
                             char* const* environment) const {
        command.arguments.push_back(label);
        std::vector<char*> arguments;
        for (std::string& argument : command.arguments) arguments.push_back(argument.data());
        arguments.push_back(nullptr);
        pid_t pid = 0;
        const int error = ::posix_spawn(&pid, command.file.c_str(), &actions_, nullptr,
                                        arguments.data(), environment);
        if (error == ENOENT || error == ENOTDIR) return std::nullopt;
        check_code(error, "posix_spawn");
        return pid;
    }

  private:
    static void check_code(int error, const char* call) {
        if (error != 0) throw_system_error(call, error);
    }

    posix_spawn_file_actions_t actions_;
    std::vector<Descriptor> sources_;
};

/// All that a program gets which joins the family: the descriptors, and the environment.
class FamilyPlan {
  public:
    FamilyPlan(Inheritance inheritance, const std::vector<int>& lifelines)
        : marker_(marker(inheritance, lifelines)) {
        // There is none after clearenv(3).
        for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
            environment_.push_back(*variable);
        }
        environment_.push_back(marker_.data());
        environment_.push_back(nullptr);
        Heap& family_heap = heap();
        std::vector<int> fds{family_heap.segment().fd(), family_heap.mailbox().first.get(),
                             family_heap.mailbox().second.get(), family_heap.requests().first.get(),
                             family_heap.requests().second.get()};
        fds.insert(fds.end(), lifelines.begin(), lifelines.end());
        plan_.pass_descriptors(fds);
    }

    /// As SpawnPlan::run.
    [[nodiscard]] std::optional<pid_t> run(ProgramCommand command, const std::string& label) const {
        return plan_.run(std::move(command), label, environment_.data());
    }

  private:
    static std::string marker(Inheritance inheritance, const std::vector<int>& lifelines) {
        inheritance.lifelines = static_cast<unsigned>(lifelines.size());
        return to_string(inheritance);
    }

    std::string marker_;
    std::vector<char*> environment_;
    SpawnPlan plan_;
};

MULTIPROCESSING_INLINE pid_t rerun_program(Inheritance inheritance, const std::string& label,
                                           const std::vector<int>& lifelines) {
    const FamilyPlan plan(inheritance, lifelines);
    if (const auto pid = plan.run(program_command(), label)) return *pid;
    if (const auto pid = plan.run(program_command_by_name(), label)) return *pid;
    throw_system_error("posix_spawn", ENOENT);  // it was removed in this very moment
}

MULTIPROCESSING_INLINE pid_t run_program(const ProgramCommand& program, Inheritance inheritance,
                                         const std::string& last,
                                         const std::vector<int>& lifelines) {
    const FamilyPlan plan(inheritance, lifelines);
    if (const auto pid = plan.run(program, last)) return *pid;
    throw std::system_error(ENOENT, std::generic_category(), program.file);
}

}  // namespace multiprocessing::detail
