// multiprocessing/logging/emit.ipp
//
// Writing the lines: see emit.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/logging/emit.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/logging/event.hpp"
#include "multiprocessing/logging/fields.hpp"
#include "multiprocessing/logging/file.hpp"
#include "multiprocessing/logging/outlets.hpp"

namespace multiprocessing::detail {

/// Writes the whole text. It makes one write, unless the kernel takes the text in parts (a full
/// disk, a signal during a long write to a pipe). @returns whether all was written
[[gnu::cold]] MULTIPROCESSING_INLINE bool write_whole(int fd, std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t written =
            retry_on_eintr([&] { return ::write(fd, text.data(), text.size()); });
        if (written > 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
        } else if (written < 0 && errno == EAGAIN) {
            // Another program has made the terminal or pipe non-blocking for all processes.
            pollfd entry{fd, POLLOUT, 0};
            ::poll(&entry, 1, -1);
        } else {
            return false;
        }
    }
    return true;
}

[[gnu::cold]] MULTIPROCESSING_INLINE bool is_pipe(int fd) noexcept {
    struct stat status {};
    return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

/// Writes prefix and message as one line. In a file (where the kernel locks the inode, or the
/// offset that processes share) and on a terminal, no other write comes in between. A pipe promises
/// that for PIPE_BUF bytes only (pipe(7)): there a longer message becomes several lines, each with
/// the prefix. A lock would be the other way, but every short line would have to take it too.
[[gnu::cold]] MULTIPROCESSING_INLINE bool write_line(int fd, const std::string& prefix,
                                                     std::string_view message) {
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
        // Do not cut a character of UTF-8, which has at most 4 bytes.
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

MULTIPROCESSING_INLINE void report_log_trouble(std::string_view what,
                                               std::string_view why) noexcept {
    try {
        std::string text = "multiprocessing: ";
        text.append(what).append(": ").append(why) += '\n';
        write_whole(STDERR_FILENO, text);
    } catch (...) {  // out of memory
    }
}

/// Reports trouble with the log file, once in each process.
[[gnu::cold]] MULTIPROCESSING_INLINE void report_file_trouble(std::string_view why) noexcept {
    static constinit std::atomic<pid_t> said{0};
    if (said.exchange(::getpid()) != ::getpid()) report_log_trouble("the log file", why);
}

MULTIPROCESSING_INLINE std::string own_process_name() {
    const auto name_of = log_process_name.load(std::memory_order_relaxed);
    return name_of != nullptr ? name_of() : "MainProcess";
}

MULTIPROCESSING_INLINE std::string own_log_file_name(std::string pattern) {
    std::string name = log_file_name(std::move(pattern), own_process_name());
    if (const LogOutlets* const known = log_outlets.load(std::memory_order_acquire)) {
        for (const auto& [field, text] : known->process_fields) {
            replace_in_file_name(name, joined({"{", field, "}"}), text);
        }
    }
    return name;
}

/// Returns the descriptor of this process's log file, or -1 if the file cannot be opened.
[[gnu::cold]] MULTIPROCESSING_INLINE int open_own_log_file(const std::string& pattern) noexcept {
    const int known = log_file.load();
    if (known >= 0) return known;
    if (known == no_file_ever) return -1;
    try {
        Descriptor fresh = open_log_file(own_log_file_name(pattern));
        int none = no_file_yet;
        // If another thread was faster, this one's file closes here.
        if (!log_file.compare_exchange_strong(none, fresh.get())) return none;
        return fresh.release();
    } catch (const std::exception& error) {
        int none = no_file_yet;
        log_file.compare_exchange_strong(none, no_file_ever);
        report_file_trouble(error.what());
        return -1;
    }
}

MULTIPROCESSING_INLINE void call_handler(const LogOutlets& outlets,
                                         const LogRecord& record) noexcept {
    // A handler that logs would otherwise be called with its own lines, without end.
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

[[gnu::noinline]] MULTIPROCESSING_INLINE void log_event(int level,
                                                        std::string_view message) noexcept {
    try {
        const LogOutlets unchanged;
        const LogOutlets* const known = log_outlets.load(std::memory_order_acquire);
        const LogOutlets& outlets = known != nullptr ? *known : unchanged;
        const std::string name = own_process_name();
        if (outlets.has_handler()) {
            auto fields = outlets.process_fields;
            const auto of_thread = LogFields::current();
            fields.insert(fields.end(), of_thread.begin(), of_thread.end());
            call_handler(outlets, {level, std::string(message), name, ::getpid(),
                                   std::chrono::system_clock::now(), std::move(fields)});
        }
        std::string prefix = joined({"[", level_name(level), "/", name});
        for (const auto& [field, text] : outlets.process_fields) {
            prefix += joined({", ", field, " ", text});
        }
        prefix += "] ";
        bool stderr_instead = !outlets.has_handler() && outlets.file_pattern.empty();
        if (!outlets.file_pattern.empty()) {
            const int file = open_own_log_file(outlets.file_pattern);
            if (file >= 0 && !write_line(file, prefix, message)) {
                report_file_trouble(std::generic_category().message(errno));
            }
            stderr_instead = file < 0;
        }
        if (outlets.to_stderr || stderr_instead) write_line(STDERR_FILENO, prefix, message);
    } catch (...) {  // out of memory: the line is lost
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void report_error(std::string_view what,
                                                           std::string_view why) noexcept {
    if (!logging_is_set_up()) return report_log_trouble(what, why);
    if (!logging_enabled(log_level::error)) return;
    try {
        log_event(log_level::error, joined({what, ": ", why}));
    } catch (...) {  // out of memory
    }
}

}  // namespace multiprocessing::detail
