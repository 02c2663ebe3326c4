// multiprocessing/detail/pidfd.ipp
//
// Waiting for processes, and what /proc says of them: see pidfd.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/pidfd.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE Descriptor open_pidfd(pid_t pid) {
    Descriptor pidfd =
        try_to_open([pid] { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); });
    if (pidfd) return out_of_the_way(std::move(pidfd));
    if (errno != ESRCH) throw_system_error("pidfd_open");
    return {};
}

MULTIPROCESSING_INLINE bool is_pidfd(int fd) noexcept {
    // Signal 0 is not sent, only checked. ESRCH means a process that has been collected.
    return ::syscall(SYS_pidfd_send_signal, fd, 0, nullptr, 0) == 0 || errno != EBADF;
}

MULTIPROCESSING_INLINE void signal_pidfd(int pidfd, int signal) {
    if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0 && errno != ESRCH) {
        throw_system_error("pidfd_send_signal");
    }
}

MULTIPROCESSING_INLINE bool poll_readable(int fd, const Deadline& deadline) {
    for (;;) {
        pollfd entry{fd, POLLIN, 0};
        // poll counts milliseconds in an int. ppoll takes nanoseconds and costs the same. A wait of
        // an hour that is resumed is as good as a longer one.
        const timespec wait = deadline.left_as_timespec(std::chrono::hours(1));
        const int ready = ::ppoll(&entry, 1, &wait, nullptr);
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) throw_system_error("ppoll");
        if (deadline.has_passed()) return false;
    }
}

MULTIPROCESSING_INLINE std::optional<int> exitcode_of_collected(int pidfd) {
    struct Info {
        std::uint64_t mask;  // what is asked for, and what the kernel has filled in
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

MULTIPROCESSING_INLINE std::optional<int> exitcode_of_zombie(pid_t pid, int pidfd) {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
    char text[1024];
    const std::size_t size = read_small_file(path, text, sizeof text - 1);
    text[size] = '\0';
    const char* field = std::strrchr(text, ')');
    if (field == nullptr || std::strncmp(field, ") Z", 3) != 0) return std::nullopt;
    for (int number = 2; number < 52; ++number) {
        field = std::strchr(field + 1, ' ');
        if (field == nullptr) return std::nullopt;
    }
    const int status = std::atoi(field);
    // The pidfd is asked afterwards: then what was read belongs to this process, and not to a
    // later one with the same pid. 0 may mean that the kernel hides the status.
    if (status == 0 || ::syscall(SYS_pidfd_send_signal, pidfd, 0, nullptr, 0) != 0) {
        return std::nullopt;
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

MULTIPROCESSING_INLINE std::uint64_t boot_time_now() {
    timespec now;
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(now.tv_nsec);
}

MULTIPROCESSING_INLINE std::optional<ProcessStatus> process_status(pid_t pid) {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
    char text[1024];
    const std::size_t size = read_small_file(path, text, sizeof text - 1);
    if (size == 0) return std::nullopt;
    text[size] = '\0';
    // The second field is the program's name in parentheses. It may hold any character.
    const char* field = std::strrchr(text, ')');
    if (field == nullptr || field[1] == '\0') return std::nullopt;
    ProcessStatus status;
    status.state = field[2];
    for (int number = 2; number < 22; ++number) {  // the start time is field 22, see proc(5)
        field = std::strchr(field + 1, ' ');
        if (field == nullptr) return std::nullopt;
        if (number == 3) status.parent = std::atoi(field);
        if (number == 4) status.group = std::atoi(field);
        if (number == 19) status.threads = std::strtoull(field, nullptr, 10);
    }
    const auto tick = 1'000'000'000u / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    status.started_at = std::strtoull(field, nullptr, 10) * tick;
    return status;
}

MULTIPROCESSING_INLINE bool pid_is_running(pid_t pid) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        // It is a child of this process, for which waitid tells whether it has ended.
        return info.si_pid == 0;
    }
    if (const Descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); pidfd) {
        pollfd entry{pidfd.get(), POLLIN, 0};
        return ::poll(&entry, 1, 0) == 0;
    }
    // It may be a zombie by now, or only its first thread may be one. Nothing tells which.
    return ::kill(pid, 0) == 0 || errno == EPERM;
}

MULTIPROCESSING_INLINE bool process_is_alive_since(pid_t pid, std::uint64_t then) {
    const auto status = process_status(pid);
    if (!status) return pid_is_running(pid);
    return status->is_running() && status->started_at <= then;
}

}  // namespace multiprocessing::detail
