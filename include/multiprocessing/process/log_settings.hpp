// multiprocessing/process/log_settings.hpp
//
// How a child that has no copy of its parent's memory comes to log as its parent does: level and
// outlets travel in the message it starts with. Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <string>
#include <utility>

#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// Says, once, that children cannot have this process's handler.
[[gnu::cold]] inline void warn_of_lost_handler() noexcept {
    static constinit std::atomic<bool> said{false};
    if (!logging_enabled(log_level::warning) || said.exchange(true)) return;
    log_event(log_level::warning,
              "this log handler has a state (a lambda with captures, say), so it does not exist in "
              "children that are not forks of this process: they log to standard error");
}

/// Writes this process's log settings into a child's message.
inline void save_logging(OutputArchive& archive) {
    const int level = log_threshold.load();
    archive(level);
    if (level == log_level::nothing) return;
    const LogOutlets* const known = log_outlets.load(std::memory_order_acquire);
    const bool handler_is_lost = known != nullptr && known->handler != nullptr;
    if (handler_is_lost) warn_of_lost_handler();
    archive(known != nullptr && (known->to_stderr || handler_is_lost),
            known != nullptr ? known->file_pattern : std::string(),
            known != nullptr ? known->plain_handler : nullptr);
}

/// Reads what save_logging wrote, and logs like that from now on.
inline void load_logging(InputArchive& archive) {
    const auto level = archive.read<int>();
    if (level == log_level::nothing) return;
    const auto to_stderr = archive.read<bool>();
    auto pattern = archive.read<std::string>();
    const auto handler = archive.read<PlainHandler>();
    change_outlets([&](LogOutlets& outlets) {
        outlets.to_stderr = to_stderr;
        outlets.file_pattern = pattern;
        outlets.plain_handler = handler;
        outlets.handler = nullptr;
    });
    // The file's descriptor is closed with the exec, and opened with the first line.
    log_threshold.store(level);
}

}  // namespace multiprocessing::detail
