// multiprocessing/pool/losses.hpp
//
// What to say of a worker that died: how it ended, what it was running, and whether the kernel did
// it for want of memory. Floor 5. Start at describe_loss. SPDX-License-Identifier: MIT
#pragma once

#include <string.h>
#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// Returns the number behind `key` in a text of lines "key number", -1 when it is not there.
[[gnu::cold]] inline long long number_after(std::string_view text, std::string_view key) noexcept {
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ' ') {
            return std::atoll(line.data() + key.size());
        }
        text.remove_prefix(std::min(text.size(), line.size() + 1));
    }
    return -1;
}

/// Counts the kernel's kills for want of memory: those in this process's control group where that
/// has a count, else those on the whole machine.
class MemoryKills {
  public:
    /// Looks at the count. @returns whether it has grown since the last look
    [[gnu::cold]] bool have_grown() {
        const long long now = count();
        const bool grown = last_ >= 0 && now > last_;
        last_ = now;
        looked_ = true;
        return grown;
    }
    [[nodiscard]] bool are_known() const noexcept { return looked_; }

  private:
    [[gnu::cold, gnu::noinline]] static long long count() {
        char text[16384];
        const auto look_up = [&](const std::string& path) {
            const std::size_t size = read_small_file(path.c_str(), text, sizeof text - 1);
            text[size] = '\0';
            return number_after(std::string_view(text, size), "oom_kill");
        };
        const long long own = look_up("/sys/fs/cgroup" + cgroup_path("") + "/memory.events");
        return own >= 0 ? own : look_up("/proc/vmstat");
    }

    long long last_ = -1;  // there is no count
    bool looked_ = false;
};

/// Returns what happened to a task.
/// @param exitcode the worker's status, or -N when signal N killed it
/// @param call     the number of the call among the pool's, from 1
/// @param item     the number of the task in the call, from 0
[[gnu::cold, gnu::noinline]] inline std::string describe_loss(int exitcode, pid_t pid,
                                                              std::uint64_t call,
                                                              std::uint64_t item,
                                                              bool memory_was_short) {
    std::string text = "the worker with pid " + std::to_string(pid);
    if (exitcode < 0) {
        const char* const name = ::sigabbrev_np(-exitcode);
        text += " was killed by signal " + std::to_string(-exitcode) + " (SIG" +
                (name != nullptr ? name : "?") + ")";
    } else {
        text += " exited with status " + std::to_string(exitcode);
    }
    text += " while it ran item " + std::to_string(item) + " of call " + std::to_string(call);
    if (memory_was_short) {
        text += "; the kernel has just killed a process because memory had run out: give the "
                "program more, or run fewer or smaller tasks at a time";
    }
    return text;
}

}  // namespace multiprocessing::detail
