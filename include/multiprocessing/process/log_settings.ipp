// multiprocessing/process/log_settings.ipp
//
// How log settings are written and read: see log_settings.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/log_settings.hpp"

#include <atomic>
#include <exception>
#include <string>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/logging/file.hpp"
#include "multiprocessing/logging/outlets.hpp"
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

/// @param save_handler for a handler with a state; null: that one stays here
MULTIPROCESSING_INLINE void write_logging(OutputArchive& archive, const LogOutlets* known,
                                          HandlerSaver save_handler) {
    const int level = log_threshold.load();
    archive(level, known != nullptr ? known->process_fields : LogOutlets{}.process_fields);
    if (level == log_level::nothing) return;
    const bool handler_is_lost =
        known != nullptr && known->handler != nullptr && save_handler == nullptr;
    archive(known != nullptr && (known->to_stderr || handler_is_lost),
            known != nullptr ? known->file_pattern : std::string(),
            known != nullptr ? known->plain_handler : nullptr);
    if (save_handler != nullptr) {
        save_handler(archive, known->handler);
    } else {
        archive(HandlerReceiver{nullptr});
    }
}

MULTIPROCESSING_INLINE void save_logging(OutputArchive& archive) {
    const LogOutlets* const known = log_outlets.load(std::memory_order_acquire);
    const HandlerSaver save_handler = known != nullptr ? saver_of(*known) : nullptr;
    if (known != nullptr && known->handler != nullptr && save_handler == nullptr) {
        warn_of_lost_handler();
    }
    write_logging(archive, known, save_handler);
}

MULTIPROCESSING_INLINE void save_logging_for_other_machine(OutputArchive& archive) {
    const LogOutlets* const known = log_outlets.load(std::memory_order_acquire);
    HandlerSaver save_handler = known != nullptr ? known->save_handler : nullptr;
    if (save_handler != nullptr) {
        OutputArchive trial;
        save_handler(trial, known->handler);
        if (!trial.handles().empty()) save_handler = nullptr;
    }
    write_logging(archive, known, save_handler);
}

/// The file of this process is another one from now on, if one is open.
MULTIPROCESSING_INLINE void change_log_file(const std::string& pattern) noexcept {
    const LogOutlets* const known = log_outlets.load(std::memory_order_acquire);
    if (log_file.load() < 0 || pattern.empty()) return;
    if (known != nullptr && known->file_pattern == pattern) return;
    try {
        install_log_file(open_log_file(own_log_file_name(pattern)));
    } catch (const std::exception& error) {
        report_error("the log file", error.what());  // the one before stays
    }
}

MULTIPROCESSING_INLINE void load_logging(InputArchive& archive) {
    const auto level = archive.read<int>();
    auto fields = archive.read<decltype(LogOutlets::process_fields)>();
    if (!fields.empty()) set_process_fields(std::move(fields));
    if (level == log_level::nothing) return;
    const auto to_stderr = archive.read<bool>();
    auto pattern = archive.read<std::string>();
    const auto handler = archive.read<PlainHandler>();
    change_log_file(pattern);
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
