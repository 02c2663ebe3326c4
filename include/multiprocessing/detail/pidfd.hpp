// multiprocessing/detail/pidfd.hpp
//
// Processes as descriptors: waiting for one, signalling one, telling one from its successor with
// the same pid. pidfds need Linux 5.4. Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// Returns a descriptor for the process `pid`; it closes on exec. None when there is no such
/// process. @throws std::system_error EMFILE, ENFILE, ENOSYS before Linux 5.3
inline Descriptor open_pidfd(pid_t pid) {
    const long fd = ::syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0 && errno != ESRCH) throw_system_error("pidfd_open");
    return Descriptor(static_cast<int>(fd));
}

/// Sends `signal` to the process behind `pidfd`; one that has ended is no error.
inline void signal_pidfd(int pidfd, int signal) {
    if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0 && errno != ESRCH) {
        throw_system_error("pidfd_send_signal");
    }
}

/// Waits until `fd` is readable: a pidfd is when its process has ended.
/// @returns whether it is, false when the deadline passed first
inline bool poll_readable(int fd, const Deadline& deadline) {
    for (;;) {
        pollfd entry{fd, POLLIN, 0};
        // poll counts milliseconds in an int; ppoll would take nanoseconds but costs the same, and
        // an hour's wait resumed is as good as a longer one.
        const timespec wait = deadline.left_as_timespec(std::chrono::hours(1));
        const int ready = ::ppoll(&entry, 1, &wait, nullptr);
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) throw_system_error("ppoll");
        if (deadline.has_passed()) return false;
    }
}

/// How a child ended, as Python's exitcode says it: its status, or -N when signal N killed it.
inline int exitcode_from(const siginfo_t& info) {
    return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

/// Returns how a process ended that somebody else has collected. Nothing when it was not collected
/// within a moment, or when the kernel does not say: it does since Linux 6.15.
/// @par Source Linux include/uapi/linux/pidfd.h, PIDFD_GET_INFO and struct pidfd_info
inline std::optional<int> exitcode_of_collected(int pidfd) {
    struct Info {
        std::uint64_t mask;  // what is asked for, and what there is
        std::uint64_t cgroup;
        std::uint32_t ids[11];
        std::int32_t exit_code;  // as wait(2) gives it
    };
    static_assert(sizeof(Info) == 64);
    constexpr std::uint64_t exit_bit = 1 << 3;
    const Deadline deadline(std::chrono::milliseconds(100));
    do {
        Info info{};
        info.mask = exit_bit;
        if (::ioctl(pidfd, _IOWR(0xFF, 11, Info), &info) != 0) return std::nullopt;
        if ((info.mask & exit_bit) != 0) {
            return WIFSIGNALED(info.exit_code) ? -WTERMSIG(info.exit_code)
                                               : WEXITSTATUS(info.exit_code);
        }
        ::usleep(1000);
    } while (!deadline.has_passed());
    return std::nullopt;
}

/// The moment on the clock that /proc/PID/stat's start times are given in, in nanoseconds.
inline std::uint64_t boot_time_now() {
    timespec now;
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(now.tv_nsec);
}

/// What /proc/PID/stat says of a process.
struct ProcessStatus {
    char state = 0;                // of its first thread: 'Z' zombie, 'X' dead
    std::uint64_t threads = 0;     // the first one counts until all have left
    std::uint64_t started_at = 0;  // nanoseconds since boot, rounded down to a clock tick

    [[nodiscard]] bool is_running() const noexcept {
        return threads > 1 || (state != 'Z' && state != 'X');
    }
};

/// Returns the status of `pid`, or nothing when there is no such process.
inline std::optional<ProcessStatus> process_status(pid_t pid) {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
    char text[1024];
    const std::size_t size = read_small_file(path, text, sizeof text - 1);
    if (size == 0) return std::nullopt;
    text[size] = '\0';
    // The second field is the program's name in parentheses, which may itself hold any character.
    const char* field = std::strrchr(text, ')');
    if (field == nullptr || field[1] == '\0') return std::nullopt;
    ProcessStatus status;
    status.state = field[2];
    for (int number = 2; number < 22; ++number) {  // the start time is field 22, see proc(5)
        field = std::strchr(field + 1, ' ');
        if (field == nullptr) return std::nullopt;
        if (number == 19) status.threads = std::strtoull(field, nullptr, 10);
    }
    const auto tick = 1'000'000'000u / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    status.started_at = std::strtoull(field, nullptr, 10) * tick;
    return status;
}

/// Returns whether a process with that id runs, as far as can be told without /proc, or without a
/// free descriptor to read there with. Where the system does not say, it does.
inline bool pid_is_running(pid_t pid) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        return info.si_pid == 0;  // a child of this process: it would be told that it has ended
    }
    // Another's may be a zombie by now, or one of which only the first thread is: nobody says.
    return ::kill(pid, 0) == 0 || errno == EPERM;
}

/// Returns whether the process that had the id `pid` at the moment `then` still runs.
///
/// A pid is reused only after its process has ended, so whoever has it now and started before
/// `then` is the same one. A zombie does not run. Where the system does not say, it is alive.
inline bool process_is_alive_since(pid_t pid, std::uint64_t then) {
    const auto status = process_status(pid);
    if (!status) return pid_is_running(pid);
    return status->is_running() && status->started_at <= then;
}

}  // namespace multiprocessing::detail
