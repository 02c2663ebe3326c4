// multiprocessing/process/descendants.ipp
//
// How the descendants of a process are found and killed: see descendants.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/descendants.hpp"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/pidfd.hpp"

namespace multiprocessing::detail {

/// A process and where it comes from.
struct KnownProcess {
    pid_t pid;
    pid_t parent;
    pid_t group;
};

/// Returns the running processes that /proc shows; none where there is no /proc.
[[gnu::cold]] MULTIPROCESSING_INLINE std::vector<KnownProcess> list_processes() {
    std::vector<KnownProcess> processes;
    struct Close {
        void operator()(DIR* folder) const noexcept { ::closedir(folder); }
    };
    const std::unique_ptr<DIR, Close> folder(::opendir("/proc"));
    if (!folder) return processes;
    while (const dirent* const entry = ::readdir(folder.get())) {
        const pid_t pid = std::atoi(entry->d_name);
        if (pid <= 0) continue;
        const auto status = process_status(pid);
        if (status && status->is_running()) {
            processes.push_back({pid, status->parent, status->group});
        }
    }
    return processes;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void kill_descendants(std::span<const pid_t> roots) {
    std::vector<pid_t> stopped;
    const auto is_root = [&](pid_t pid) { return std::ranges::find(roots, pid) != roots.end(); };
    const auto is_stopped = [&](pid_t pid) {
        return std::ranges::find(stopped, pid) != stopped.end();
    };
    for (bool found = true; found;) {
        found = false;
        for (const KnownProcess& known : list_processes()) {
            if (is_root(known.pid) || is_stopped(known.pid) || known.pid == ::getpid()) continue;
            if (!is_root(known.parent) && !is_stopped(known.parent) && !is_root(known.group)) {
                continue;
            }
            stopped.push_back(known.pid);
            ::kill(known.pid, SIGSTOP);
            found = true;
        }
    }
    for (const pid_t pid : stopped) ::kill(pid, SIGKILL);
}

}  // namespace multiprocessing::detail
