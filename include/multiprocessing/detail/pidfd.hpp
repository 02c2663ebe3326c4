// multiprocessing/detail/pidfd.hpp
//
// Processes as descriptors: waits for a process, signals it, and tells it from a later process with
// the same pid. pidfds need Linux 5.4. Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "multiprocessing/detail/descriptor.hpp"

namespace multiprocessing::detail {

class Deadline;  // timeout.hpp

/// Returns a descriptor for the process `pid`. It closes on exec. It is empty if there is no such
/// process. @throws std::system_error EMFILE, ENFILE, ENOSYS before Linux 5.3
Descriptor open_pidfd(pid_t pid);

/// Returns whether a descriptor is a pidfd. Its number may belong to another file by now.
bool is_pidfd(int fd) noexcept;

/// Sends `signal` to the process behind `pidfd`. It is no error if the process has ended.
void signal_pidfd(int pidfd, int signal);

/// Waits until `fd` is readable. A pidfd becomes readable when its process ends.
/// @returns whether it is readable; false if the deadline passed first
bool poll_readable(int fd, const Deadline& deadline);

/// Returns how a child ended, in the form of Python's exitcode: its status, or -N if signal N
/// killed it.
inline int exitcode_from(const siginfo_t& info) {
    return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

/// Returns how a process ended that another thread or process has collected. Returns nothing if it
/// was not collected within a moment, or if the kernel does not tell: it does since Linux 6.15.
/// @par Source Linux include/uapi/linux/pidfd.h, PIDFD_GET_INFO and struct pidfd_info
std::optional<int> exitcode_of_collected(int pidfd);

/// Returns how a process ended that nobody has collected yet, if this process may know it.
/// @param pidfd the descriptor of the process; while it is a zombie, no other process has its pid
/// @par Source proc(5), /proc/PID/stat, exit_code: for processes that may trace it, since Linux 3.5
std::optional<int> exitcode_of_zombie(pid_t pid, int pidfd);

/// Returns the time in nanoseconds on the clock that the start times in /proc/PID/stat use.
std::uint64_t boot_time_now();

/// What /proc/PID/stat says of a process.
struct ProcessStatus {
    char state = 0;  // the state of its first thread: 'Z' zombie, 'X' dead
    pid_t parent = 0;
    pid_t group = 0;
    std::uint64_t threads = 0;     // the first thread counts until all have left
    std::uint64_t started_at = 0;  // nanoseconds since boot, rounded down to a clock tick

    [[nodiscard]] bool is_running() const noexcept {
        return threads > 1 || (state != 'Z' && state != 'X');
    }
};

/// Returns the status of `pid`, or nothing if there is no such process.
std::optional<ProcessStatus> process_status(pid_t pid);

/// Returns whether a process with that id runs, as far as one can tell without /proc, or without a
/// free descriptor to read it with. Where the system does not tell, the answer is yes.
bool pid_is_running(pid_t pid);

/// Returns whether the process that had the id `pid` at the moment `then` still runs.
///
/// A pid is reused only after its process has ended. So if the process that has it now started
/// before `then`, it is the same one. A zombie does not run. Where the system does not tell, the
/// process counts as alive.
bool process_is_alive_since(pid_t pid, std::uint64_t then);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/pidfd.ipp"
#endif
