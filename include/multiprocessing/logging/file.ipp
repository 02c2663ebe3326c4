// multiprocessing/logging/file.ipp
//
// Names and opening: see file.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/logging/file.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void replace_in_file_name(std::string& pattern, std::string_view mark,
                                                 std::string text) {
    for (char& c : text) {
        if (c == '/') c = '_';  // a process may have any name
    }
    std::size_t at = 0;
    while ((at = pattern.find(mark, at)) != std::string::npos) {
        pattern.replace(at, mark.size(), text);
        at += text.size();
    }
}

MULTIPROCESSING_INLINE std::string log_file_name(std::string pattern, std::string_view name,
                                                 std::string_view field) {
    replace_in_file_name(pattern, "{pid}", std::to_string(::getpid()));
    replace_in_file_name(pattern, field, std::string(name));
    return pattern;
}

MULTIPROCESSING_INLINE std::string absolute_pattern(std::string_view pattern) {
    char folder[PATH_MAX];
    if (pattern.starts_with('/') || ::getcwd(folder, sizeof folder) == nullptr) {
        return std::string(pattern);
    }
    return folder + ("/" + std::string(pattern));
}

MULTIPROCESSING_INLINE Descriptor open_log_file(const std::string& name) {
    Descriptor file = try_to_open([&] {
        return retry_on_eintr(
            [&] { return ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666); });
    });
    if (!file) {
        throw std::system_error(errno, std::generic_category(), "open of the log file " + name);
    }
    return out_of_the_way(std::move(file));
}

/// Runs in the child of any fork, as the open file is its parent's.
MULTIPROCESSING_INLINE void drop_inherited_log_file() noexcept {
    const int inherited = log_file.exchange(no_file_yet);
    if (inherited >= 0) ::close(inherited);
}

MULTIPROCESSING_INLINE void install_log_file(Descriptor file) {
    static constinit std::atomic<bool> registered{false};
    if (!registered.exchange(true)) ::pthread_atfork(nullptr, nullptr, drop_inherited_log_file);
    int known = log_file.load();
    do {
        if (known >= 0) {
            checked(::dup3(file.get(), known, O_CLOEXEC), "dup3");
            return;
        }
    } while (!log_file.compare_exchange_weak(known, file.get()));
    (void)file.release();
}

}  // namespace multiprocessing::detail
