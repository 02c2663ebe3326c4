// multiprocessing/pool/owner/losses.hpp
//
// The words for the death of a worker: how it ended, what it was running, and whether the kernel
// killed it because memory had run out. Floor 5. Start at describe_loss.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// Returns the number behind `key` in a text of lines "key number", -1 when the key is not there.
[[gnu::cold]] long long number_after(std::string_view text, std::string_view key) noexcept;

/// Counts how often the kernel has killed a process because memory had run out: in this process's
/// control group where that has a count, else on the whole machine.
class MemoryKills {
  public:
    /// Reads the count. @returns whether it has grown since the last time
    [[gnu::cold]] bool have_grown();
    /// Returns whether the count has been read before.
    [[nodiscard]] bool are_known() const noexcept { return looked_; }

  private:
    [[gnu::cold]] static long long count();

    long long last_ = -1;  // -1: there is no count
    bool looked_ = false;
};

/// Returns why a task was lost whose worker has ended so, by itself or by a signal.
[[nodiscard, gnu::cold]] LossReason reason_of(int exitcode) noexcept;

/// Returns what happened to a task.
/// @param exitcode the worker's status, or -N when signal N killed it
/// @param task     the task in words, see describe_task
[[gnu::cold]] std::string describe_loss(int exitcode, pid_t pid, const std::string& task,
                                        bool memory_was_short);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/losses.ipp"
#endif
