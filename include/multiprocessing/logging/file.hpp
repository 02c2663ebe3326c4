// multiprocessing/logging/file.hpp
//
// The log file of this process: opened under a name of its own, never the parent's. Floor 2.
// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <string>
#include <string_view>

#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

constexpr int no_file_yet = -1;   // opened with the first line
constexpr int no_file_ever = -2;  // it could not be opened

/// The descriptor of this process's log file. Once it is open the number stays the same, so that
/// no thread can write to one that was closed meanwhile.
inline constinit std::atomic<int> log_file{no_file_yet};

/// Returns `pattern` with {pid} and {name} replaced.
[[gnu::cold]] inline std::string log_file_name(std::string pattern, std::string_view name) {
    const auto replace = [&](std::string_view what, std::string value) {
        for (char& c : value) {
            if (c == '/') c = '_';  // a process may be called anything
        }
        std::size_t at = 0;
        while ((at = pattern.find(what, at)) != std::string::npos) {
            pattern.replace(at, what.size(), value);
            at += value.size();
        }
    };
    replace("{pid}", std::to_string(::getpid()));
    replace("{name}", std::string(name));
    return pattern;
}

/// Returns the pattern as it means the same wherever a child changes its folder to.
[[gnu::cold]] inline std::string absolute_pattern(std::string_view pattern) {
    char folder[PATH_MAX];
    if (pattern.starts_with('/') || ::getcwd(folder, sizeof folder) == nullptr) {
        return std::string(pattern);
    }
    return folder + ("/" + std::string(pattern));
}

/// Opens a file to append to. O_APPEND: the kernel puts each write behind all others, whichever
/// process it comes from.
/// @throws std::system_error ENOENT, EACCES, EMFILE, …
[[gnu::cold]] inline Descriptor open_log_file(const std::string& name) {
    Descriptor file(retry_on_eintr(
        [&] { return ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666); }));
    if (!file) {
        throw std::system_error(errno, std::generic_category(), "open of the log file " + name);
    }
    // In a program that has closed a standard stream: what is written there is not for the log.
    if (file.get() <= STDERR_FILENO) {
        file = Descriptor(check(::fcntl(file.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1), "fcntl"));
    }
    return file;
}

/// In the child of any fork: the open file is its parent's.
inline void drop_inherited_log_file() noexcept {
    const int inherited = log_file.exchange(no_file_yet);
    if (inherited >= 0) ::close(inherited);
}

/// Makes `file` the log file, in place of one that is open.
[[gnu::cold]] inline void install_log_file(Descriptor file) {
    static constinit std::atomic<bool> registered{false};
    if (!registered.exchange(true)) ::pthread_atfork(nullptr, nullptr, drop_inherited_log_file);
    int known = log_file.load();
    do {
        if (known >= 0) {
            check(::dup3(file.get(), known, O_CLOEXEC), "dup3");
            return;
        }
    } while (!log_file.compare_exchange_weak(known, file.get()));
    (void)file.release();
}

}  // namespace multiprocessing::detail
