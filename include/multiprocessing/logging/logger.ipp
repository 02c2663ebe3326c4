// multiprocessing/logging/logger.ipp
//
// What the logger does: see logger.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/logging/logger.hpp"

#include <fmt/format.h>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/logging/event.hpp"
#include "multiprocessing/logging/file.hpp"
#include "multiprocessing/logging/outlets.hpp"

#ifdef MULTIPROCESSING_SEPARATE_COMPILATION
// What fmt's core declares, for files that include no more of fmt, see detail/fmt_core.hpp. Their
// addresses have the compiler emit these functions of a header.
namespace multiprocessing::detail {
[[gnu::used]] std::string (*const fmt_vformat)(fmt::string_view, fmt::format_args) = fmt::vformat;
[[gnu::used]] void (*const fmt_vprint)(fmt::string_view, fmt::format_args) = fmt::vprint;
[[gnu::used]] void (*const fmt_vprint_to)(std::FILE*, fmt::string_view,
                                          fmt::format_args) = fmt::vprint;
#if FMT_VERSION < 110000
[[gnu::used]] void (*const fmt_assert_fail)(const char*, int,
                                            const char*) = fmt::detail::assert_fail;
[[gnu::used]] void (*const fmt_throw_format_error)(const char*) = fmt::detail::throw_format_error;
#else
[[gnu::used]] void (*const fmt_report_error)(const char*) = fmt::report_error;
#endif
}  // namespace multiprocessing::detail
#endif

namespace multiprocessing {

MULTIPROCESSING_INLINE void Logger::format_and_log(int level, fmt::string_view text,
                                                   fmt::format_args args) {
    detail::log_event(level, fmt::vformat(text, args));
}

MULTIPROCESSING_INLINE void Logger::report_bad_format(const std::exception& error) noexcept {
    // The error comes from a user's formatter. As in Python, a log line does not end the program.
    detail::report_log_trouble("a log message could not be formatted", error.what());
}

MULTIPROCESSING_INLINE void Logger::install_handler(detail::PlainHandler plain,
                                                    std::function<void(const LogRecord&)> other,
                                                    detail::HandlerSaver save) {
    // A caller that replaces a handler may destroy at once what the old one refers to.
    const detail::HandlerRelay* const relay = detail::handler_relay.load();
    void* const paused = relay != nullptr ? relay->pause() : nullptr;
    detail::change_outlets([&](detail::LogOutlets& outlets) {
        outlets.plain_handler = plain;
        outlets.handler = other;
        outlets.save_handler = save;
    });
    detail::set_up_logging();
    if (paused != nullptr) relay->resume(paused);
}

MULTIPROCESSING_INLINE Logger get_logger() noexcept {
    detail::set_up_logging();
    return {};
}

MULTIPROCESSING_INLINE Logger log_to_stderr(std::optional<int> level) {
    detail::change_outlets([](detail::LogOutlets& outlets) { outlets.to_stderr = true; });
    if (level) detail::set_log_level(*level);
    return get_logger();
}

MULTIPROCESSING_INLINE Logger log_to_file(std::string_view name, std::optional<int> level) {
    const std::string pattern = detail::absolute_pattern(name);
    detail::install_log_file(detail::open_log_file(detail::own_log_file_name(pattern)));
    detail::change_outlets([&](detail::LogOutlets& outlets) { outlets.file_pattern = pattern; });
    if (level) detail::set_log_level(*level);
    return get_logger();
}

}  // namespace multiprocessing
