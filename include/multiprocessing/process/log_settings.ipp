// multiprocessing/process/log_settings.ipp
//
// How log settings are written and read: see log_settings.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/log_settings.hpp"

#include <atomic>
#include <string>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// Says, once, that children cannot have this process's handler.
[[gnu::cold]] MULTIPROCESSING_INLINE void warn_of_lost_handler() noexcept {
    static constinit std::atomic<bool> said{false};
    if (!logging_enabled(log_level::warning) || said.exchange(true)) return;
    log_event(log_level::warning,
              "this log handler has a state (a lambda with captures, say), so it does not exist in "
              "children that are not forks of this process: they log to standard error");
}

/// Returns how a child gets a handler that has a state, or one that sends the records here; null
/// for neither.
[[gnu::cold]] MULTIPROCESSING_INLINE HandlerSaver saver_of(const LogOutlets& outlets) noexcept {
    if (outlets.save_handler != nullptr || outlets.handler == nullptr) return outlets.save_handler;
    const HandlerRelay* const relay = handler_relay.load();
    return relay != nullptr ? relay->save : nullptr;
}

MULTIPROCESSING_INLINE void save_logging(OutputArchive& archive) {
    const int level = log_threshold.load();
    archive(level);
    if (level == log_level::nothing) return;
    const LogOutlets* const known = log_outlets.load(std::memory_order_acquire);
    const HandlerSaver save_handler = known != nullptr ? saver_of(*known) : nullptr;
    const bool handler_is_lost =
        known != nullptr && known->handler != nullptr && save_handler == nullptr;
    if (handler_is_lost) warn_of_lost_handler();
    archive(known != nullptr && (known->to_stderr || handler_is_lost),
            known != nullptr ? known->file_pattern : std::string(),
            known != nullptr ? known->plain_handler : nullptr);
    if (save_handler != nullptr) {
        save_handler(archive, known->handler);
    } else {
        archive(HandlerReceiver{nullptr});
    }
}

MULTIPROCESSING_INLINE void load_logging(InputArchive& archive) {
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
        outlets.save_handler = nullptr;
    });
    if (const auto receive = archive.read<HandlerReceiver>()) receive(archive);
    // The exec closes the file's descriptor; the first line opens the file.
    log_threshold.store(level);
}

}  // namespace multiprocessing::detail
