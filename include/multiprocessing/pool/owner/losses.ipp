// multiprocessing/pool/owner/losses.ipp
//
// How a worker's death is put into words: see losses.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/losses.hpp"

#include <signal.h>
#include <string.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE long long number_after(std::string_view text,
                                              std::string_view key) noexcept {
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ' ') {
            return std::atoll(line.data() + key.size());
        }
        text.remove_prefix((std::min)(text.size(), line.size() + 1));
    }
    return -1;
}

MULTIPROCESSING_INLINE bool MemoryKills::have_grown() {
    const long long now = count();
    const bool grown = last_ >= 0 && now > last_;
    last_ = now;
    looked_ = true;
    return grown;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE long long MemoryKills::count() {
    char text[16384];
    const auto look_up = [&](const std::string& path) {
        const std::size_t size = read_small_file(path.c_str(), text, sizeof text - 1);
        text[size] = '\0';
        return number_after(std::string_view(text, size), "oom_kill");
    };
    const long long own = look_up(joined({"/sys/fs/cgroup", cgroup_path(""), "/memory.events"}));
    return own >= 0 ? own : look_up("/proc/vmstat");
}

MULTIPROCESSING_INLINE LossReason reason_of(int exitcode) noexcept {
    switch (-exitcode) {
        case SIGSEGV:
        case SIGABRT:
        case SIGBUS:
        case SIGFPE:
        case SIGILL:
        case SIGSYS:
        case SIGTRAP:
            return LossReason::crash;
        default:
            return exitcode < 0 ? LossReason::signal : LossReason::exit;
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE std::string describe_loss(int exitcode, pid_t pid,
                                                                   const std::string& task,
                                                                   bool memory_was_short) {
    const char* const name = exitcode < 0 ? ::sigabbrev_np(-exitcode) : nullptr;
    const std::string end = exitcode < 0 ? joined({" was killed by signal ", -exitcode, " (SIG",
                                                   name != nullptr ? name : "?", ")"})
                                         : joined({" exited with status ", exitcode});
    return joined({"the worker with pid ", pid, end, " while it ran ", task,
                   memory_was_short ? "; the kernel has just killed a process because memory had "
                                      "run out: give the program more, or run fewer or smaller "
                                      "tasks at a time"
                                    : ""});
}

}  // namespace multiprocessing::detail
