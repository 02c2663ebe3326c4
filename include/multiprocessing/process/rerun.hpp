// multiprocessing/process/rerun.hpp
//
// Starting this very program anew, as a child or as the fork server: the segment and what else the
// family shares go along as open descriptors. vfork and exec, so the cost does not grow with this
// process's memory. Mirrors CPython Lib/multiprocessing/util.py, spawnv_passfds. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"

extern "C" char** environ;  // POSIX has it, but no header must declare it

namespace multiprocessing::detail {

/// Whether main has called freeze_support(), without which a rerun would be a second main.
inline constinit std::atomic<bool> freeze_support_was_called{false};

inline void require_freeze_support() {
    if (freeze_support_was_called.load()) return;
    throw RuntimeError(
        "a process that is spawned, or forked by the fork server, runs this program anew and needs "
        "to be told apart: add\n"
        "    multiprocessing::freeze_support();\n"
        "as the first line of main(), before any process is started");
}

/// The file actions and attributes of a posix_spawn, and what of them must be freed.
class SpawnPlan {
  public:
    SpawnPlan() { check_code(::posix_spawn_file_actions_init(&actions_), "posix_spawn"); }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;
    ~SpawnPlan() { ::posix_spawn_file_actions_destroy(&actions_); }

    /// Passes `fds` to the child as 3, 4, … and nothing else but the standard streams.
    void pass_descriptors(const std::vector<int>& fds) {
        // In two steps, by way of numbers above all of them: one of the targets may be the number
        // of another source.
        const int first = segment_descriptor;
        const int count = static_cast<int>(fds.size());
        const int above = std::max(*std::max_element(fds.begin(), fds.end()), first + count) + 1;
        for (int i = 0; i < count; ++i) duplicate(fds[static_cast<std::size_t>(i)], above + i);
        for (int i = 0; i < count; ++i) duplicate(above + i, first + i);
        check_code(::posix_spawn_file_actions_addclosefrom_np(&actions_, first + count),
                   "posix_spawn");
    }

    /// Runs this very program. @returns the child's pid
    pid_t run(char* const* arguments, char* const* environment) const {
        pid_t pid = 0;
        // The link is resolved in the child, which still shares this process's image: it runs the
        // file that this process runs, even if another one has its name by now.
        check_code(
            ::posix_spawn(&pid, "/proc/self/exe", &actions_, nullptr, arguments, environment),
            "posix_spawn");
        return pid;
    }

  private:
    void duplicate(int from, int to) {
        check_code(::posix_spawn_file_actions_adddup2(&actions_, from, to), "posix_spawn");
    }
    static void check_code(int error, const char* call) {
        if (error != 0) throw_system_error(call, error);
    }

    posix_spawn_file_actions_t actions_;
};

/// Runs this program as what `inheritance` says.
/// @param label    an argument for people who look at ps; the program does not read it
/// @param lifeline passed too unless it is -1
/// @returns its pid
/// @throws std::system_error EAGAIN, ENOMEM, EMFILE
inline pid_t rerun_program(const Inheritance& inheritance, std::string label, int lifeline) {
    std::string marker = to_string(inheritance);
    std::vector<char*> environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        environment.push_back(*variable);
    }
    environment.push_back(marker.data());
    environment.push_back(nullptr);
    char* const arguments[] = {program_invocation_name, label.data(), nullptr};
    Heap& family_heap = heap();
    std::vector<int> fds{family_heap.segment().fd(), family_heap.mailbox().first.get(),
                         family_heap.mailbox().second.get(), family_heap.requests().first.get(),
                         family_heap.requests().second.get()};
    if (lifeline >= 0) fds.push_back(lifeline);
    SpawnPlan plan;
    plan.pass_descriptors(fds);
    return plan.run(arguments, environment.data());
}

}  // namespace multiprocessing::detail
