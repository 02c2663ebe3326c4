// multiprocessing/logging/logger.hpp
//
// The logger that a program calls: get_logger, log_to_stderr, log_to_file. Mirrors CPython
// Lib/multiprocessing/util.py, get_logger and log_to_stderr. Floor 2. Start at Logger.
// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/core.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "multiprocessing/logging/emit.hpp"

namespace multiprocessing {

/// The log of this process. All objects are the same one, and cost nothing.
///
///     mp::get_logger().info("{} of {} done", done, total);
///
/// A call below the level costs one load and a comparison. Its arguments are evaluated, as those of
/// any function, but not formatted; nor are they copied.
/// @par Processes Any thread of any process may log at any time. Each line is one write(2): lines
/// of many processes on one file, terminal or pipe do not mix. (On a pipe a line of more than
/// PIPE_BUF, 4,096 bytes, becomes several lines.) Children have the level and the outlets of their
/// parent, at the time of their start, under every start method.
class Logger {
  public:
    /// Logs a message in fmt's syntax, which is checked at compile time.
    /// @param level any number; mp::DEBUG and the like are names for some
    template <class... Args>
    void log(int level, fmt::format_string<Args...> text, Args&&... args) const {
        if (detail::logging_enabled(level)) [[unlikely]]
            format(level, text, std::forward<Args>(args)...);
    }
    /// @{
    /// Logs a line at the level of its name, as log does.
    template <class... Args>
    void sub_debug(fmt::format_string<Args...> text, Args&&... args) const {
        log(5, text, std::forward<Args>(args)...);
    }
    template <class... Args>
    void debug(fmt::format_string<Args...> text, Args&&... args) const {
        log(detail::log_level::debug, text, std::forward<Args>(args)...);
    }
    template <class... Args>
    void info(fmt::format_string<Args...> text, Args&&... args) const {
        log(detail::log_level::info, text, std::forward<Args>(args)...);
    }
    template <class... Args>
    void sub_warning(fmt::format_string<Args...> text, Args&&... args) const {
        log(25, text, std::forward<Args>(args)...);
    }
    template <class... Args>
    void warning(fmt::format_string<Args...> text, Args&&... args) const {
        log(detail::log_level::warning, text, std::forward<Args>(args)...);
    }
    template <class... Args>
    void error(fmt::format_string<Args...> text, Args&&... args) const {
        log(detail::log_level::error, text, std::forward<Args>(args)...);
    }
    /// @}

    /// Returns the level; what is below it is not logged. WARNING until it is set.
    [[nodiscard]] int level() const noexcept { return detail::log_threshold.load(); }

    /// Sets the level: for this process, and the children that it starts from now on.
    void set_level(int level) const noexcept { detail::set_log_level(level); }

    /// Returns whether a message of this level is logged: for what is costly to gather.
    [[nodiscard]] bool is_enabled_for(int level) const noexcept {
        return detail::logging_enabled(level);
    }

    /// Gives each record to `handler`, instead of the one that was set before; it takes a
    /// `const mp::LogRecord&`. Standard error then gets the lines only if log_to_stderr is called
    /// too.
    ///
    ///     mp::get_logger().set_handler([](const mp::LogRecord& record) {
    ///         spdlog::log(spdlog_level(record.level), "{}", record.message);
    ///     });
    ///
    /// What it throws is said on standard error. What it logs by itself does not come back to it.
    /// @par Processes It is called by every thread that logs, at the same time. Forked children
    /// have it. Spawned ones have it if it is a function, a lambda without captures or a stateless
    /// functor; one with state does not exist there, so they write on standard error, of which the
    /// parent's log has a warning, once. A function in a library must be in one that the child
    /// loads.
    template <class F>
        requires std::is_invocable_v<F&, const LogRecord&>
    void set_handler(F handler) const {
        if constexpr (std::is_convertible_v<F, detail::PlainHandler>) {
            install_handler(detail::PlainHandler(handler), {});
        } else if constexpr (std::is_empty_v<F> && std::is_default_constructible_v<F>) {
            install_handler([](const LogRecord& record) { F{}(record); }, {});
        } else {
            install_handler(nullptr, std::move(handler));
        }
    }
    /// Takes the handler away.
    void set_handler(std::nullptr_t) const { install_handler(nullptr, {}); }

    friend std::string text_of(const Logger& logger) {
        return "<Logger multiprocessing (" + level_name(logger.level()) + ")>";
    }

  private:
    template <class... Args>
    [[gnu::cold, gnu::noinline]] static void format(int level, fmt::format_string<Args...> text,
                                                    Args&&... args) {
        std::string message;
        try {
            message = fmt::format(text, std::forward<Args>(args)...);
        } catch (const std::exception& error) {
            // A formatter of the user's. As in Python, a log line does not take the program along.
            return detail::report_log_trouble("a log message could not be formatted", error.what());
        }
        detail::log_event(level, message);
    }

    [[gnu::cold]] static void install_handler(detail::PlainHandler plain,
                                              std::function<void(const LogRecord&)> other) {
        detail::change_outlets([&](detail::LogOutlets& outlets) {
            outlets.plain_handler = plain;
            outlets.handler = other;
        });
        detail::set_up_logging();
    }
};

/// Returns the logger. From the first call on the library logs its own events too: those of level
/// WARNING and above, on standard error, until told otherwise.
///
/// Differs: a level that was set needs no handler to be heard. (Python's logger without one drops
/// what is below WARNING.)
/// @par Source CPython Lib/multiprocessing/util.py, get_logger
inline Logger get_logger() noexcept {
    detail::set_up_logging();
    return {};
}

/// Writes the log to standard error, as `[INFO/Process-1] message`.
///
/// Differs: a second call does not write every line twice.
/// @param level what to log; none: as it was, at first WARNING
/// @par Source CPython Lib/multiprocessing/util.py, log_to_stderr
inline Logger log_to_stderr(std::optional<int> level = std::nullopt) {
    detail::change_outlets([](detail::LogOutlets& outlets) { outlets.to_stderr = true; });
    if (level) detail::set_log_level(*level);
    return get_logger();
}

/// Writes the log to a file, behind what is there. `{pid}` and `{name}` in its name stand for the
/// process's: so each process of the family has a file of its own, opened with its first line.
///
///     mp::log_to_file("run-{pid}.log", mp::INFO);
///
/// A child that cannot open its file says so on standard error, once, and writes the lines there.
/// @param level what to log; none: as it was, at first WARNING
/// @throws std::system_error when this process's file cannot be opened: ENOENT, EACCES, EMFILE
inline Logger log_to_file(std::string_view name, std::optional<int> level = std::nullopt) {
    const std::string pattern = detail::absolute_pattern(name);
    const auto name_of = detail::log_process_name.load();
    detail::install_log_file(detail::open_log_file(
        detail::log_file_name(pattern, name_of != nullptr ? name_of() : "MainProcess")));
    detail::change_outlets([&](detail::LogOutlets& outlets) { outlets.file_pattern = pattern; });
    if (level) detail::set_log_level(*level);
    return get_logger();
}

}  // namespace multiprocessing
