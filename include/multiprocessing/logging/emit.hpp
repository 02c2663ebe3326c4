// multiprocessing/logging/emit.hpp
//
// How a line gets out: one write(2) each, so that the lines of many processes do not mix. Floor 2.
// Start at log_event. SPDX-License-Identifier: MIT
#pragma once

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <exception>
#include <string>
#include <string_view>

#include "multiprocessing/logging/event.hpp"
#include "multiprocessing/logging/file.hpp"
#include "multiprocessing/logging/outlets.hpp"

namespace multiprocessing::detail {

/// Writes all of it, in one write unless the kernel takes it in parts (a full disk, a signal in a
/// long write to a pipe). @returns whether it did
[[gnu::cold]] inline bool write_whole(int fd, std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t written =
            retry_on_eintr([&] { return ::write(fd, text.data(), text.size()); });
        if (written > 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
        } else if (written < 0 && errno == EAGAIN) {
            // Another program made the terminal or pipe non-blocking for all who have it.
            pollfd entry{fd, POLLOUT, 0};
            ::poll(&entry, 1, -1);
        } else {
            return false;
        }
    }
    return true;
}

[[gnu::cold]] inline bool is_pipe(int fd) noexcept {
    struct stat status {};
    return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

/// Writes prefix and message as a line. The kernel does not let others in between in a file (it
/// locks the inode, or the offset that processes share) or on a terminal. A pipe promises that for
/// PIPE_BUF bytes only (pipe(7)): there a longer message becomes several lines, each with the
/// prefix. A lock instead would have to be taken for every short line too.
[[gnu::cold]] inline bool write_line(int fd, const std::string& prefix, std::string_view message) {
    constexpr std::string_view continued = "... ";
    std::string line = prefix;
    line.append(message) += '\n';
    const std::size_t overhead = prefix.size() + continued.size() + 1;
    if (line.size() <= PIPE_BUF || overhead >= PIPE_BUF / 2 || !is_pipe(fd)) {
        return write_whole(fd, line);
    }
    bool whole = true;
    for (bool first = true; !message.empty(); first = false) {
        std::size_t part = std::min<std::size_t>(message.size(), PIPE_BUF - overhead);
        // Not in the middle of a character of UTF-8, which has at most 4 bytes.
        for (int back = 0; back < 3 && part < message.size() && part > 1 &&
                           (static_cast<unsigned char>(message[part]) & 0xC0) == 0x80;
             ++back) {
            --part;
        }
        line = prefix;
        if (!first) line += continued;
        line.append(message.substr(0, part)) += '\n';
        whole &= write_whole(fd, line);
        message.remove_prefix(part);
    }
    return whole;
}

/// Says on standard error that logging itself does not work. One write; nothing can be done about a
/// standard error that is closed or full.
[[gnu::cold]] inline void report_log_trouble(std::string_view what, std::string_view why) noexcept {
    try {
        std::string text = "multiprocessing: ";
        text.append(what).append(": ").append(why) += '\n';
        write_whole(STDERR_FILENO, text);
    } catch (...) {  // out of memory
    }
}

/// The same about the log file, once in a process.
[[gnu::cold]] inline void report_file_trouble(std::string_view why) noexcept {
    static constinit std::atomic<pid_t> said{0};
    if (said.exchange(::getpid()) != ::getpid()) report_log_trouble("the log file", why);
}

/// Returns this process's log file; -1 when it cannot be opened.
[[gnu::cold]] inline int open_own_log_file(const std::string& pattern,
                                           std::string_view process_name) noexcept {
    const int known = log_file.load();
    if (known >= 0) return known;
    if (known == no_file_ever) return -1;
    try {
        Descriptor fresh = open_log_file(log_file_name(pattern, process_name));
        int none = no_file_yet;
        // When another thread was faster, ours closes here.
        if (!log_file.compare_exchange_strong(none, fresh.get())) return none;
        return fresh.release();
    } catch (const std::exception& error) {
        int none = no_file_yet;
        log_file.compare_exchange_strong(none, no_file_ever);
        report_file_trouble(error.what());
        return -1;
    }
}

/// Calls the handler. As with Python's logging.raiseExceptions, an error of its own is said on
/// standard error and stops nothing.
[[gnu::cold]] inline void call_handler(const LogOutlets& outlets,
                                       const LogRecord& record) noexcept {
    // A handler that logs itself would get what it logs, and so on.
    static constinit thread_local bool inside = false;
    if (inside) return;
    inside = true;
    try {
        if (outlets.plain_handler != nullptr) {
            outlets.plain_handler(record);
        } else {
            outlets.handler(record);
        }
    } catch (const std::exception& error) {
        report_log_trouble("a log handler threw", error.what());
    } catch (...) {
        report_log_trouble("a log handler threw", "an object that is not a std::exception");
    }
    inside = false;
}

/// Logs `message`, whatever its level. May be called by any thread at any time, also in a child
/// that was forked while another thread did.
[[gnu::cold, gnu::noinline]] inline void log_event(int level, std::string_view message) noexcept {
    try {
        const LogOutlets unchanged;
        const LogOutlets* const known = log_outlets.load(std::memory_order_acquire);
        const LogOutlets& outlets = known != nullptr ? *known : unchanged;
        const auto name_of = log_process_name.load(std::memory_order_relaxed);
        const std::string name = name_of != nullptr ? name_of() : "MainProcess";
        if (outlets.has_handler()) {
            call_handler(outlets,
                         {level, message, name, ::getpid(), std::chrono::system_clock::now()});
        }
        const std::string prefix = "[" + level_name(level) + "/" + name + "] ";
        bool stderr_instead = !outlets.has_handler() && outlets.file_pattern.empty();
        if (!outlets.file_pattern.empty()) {
            const int file = open_own_log_file(outlets.file_pattern, name);
            if (file >= 0 && !write_line(file, prefix, message)) {
                report_file_trouble(std::generic_category().message(errno));
            }
            stderr_instead = file < 0;
        }
        if (outlets.to_stderr || stderr_instead) write_line(STDERR_FILENO, prefix, message);
    } catch (...) {  // out of memory: the line is lost
    }
}

/// Reports an error that has nobody to be thrown to: to the log, and as people must see it, on
/// standard error when nobody has asked for a log.
[[gnu::cold, gnu::noinline]] inline void report_error(std::string_view what,
                                                      std::string_view why) noexcept {
    if (!logging_is_set_up()) return report_log_trouble(what, why);
    if (!logging_enabled(log_level::error)) return;
    try {
        log_event(log_level::error, std::string(what) + ": " + std::string(why));
    } catch (...) {  // out of memory
    }
}

}  // namespace multiprocessing::detail
