// multiprocessing/logging/logger.hpp
//
// The logger that a program calls: get_logger, log_to_stderr, log_to_file. Mirrors CPython
// Lib/multiprocessing/util.py, get_logger and log_to_stderr. Floor 2. Start at Logger.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/fmt_core.hpp"
#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/logging/event.hpp"
#include "multiprocessing/logging/outlets.hpp"

namespace multiprocessing {

/// The log of this process. All objects of this class stand for the same log, and cost nothing.
///
///     mp::get_logger().info("{} of {} done", done, total);
///
/// A call below the level costs one load and a comparison. Its arguments are evaluated, as those of
/// any function, but they are neither formatted nor copied.
/// @par Processes Any thread of any process may log at any time. Each line is one write(2): lines
/// of many processes in one file, terminal or pipe do not mix. (In a pipe a line of more than
/// PIPE_BUF, 4,096 bytes, becomes several lines.) Under every start method, children start with the
/// level and the outlets that their parent has at that time.
class Logger {
  public:
    /// Logs a message in fmt's syntax, which is checked at compile time.
    /// @param level any number; mp::DEBUG and the like are names for some of them
    template <class... Args>
    void(log)(int level, fmt::format_string<Args...> text, Args&&... args) const {
        if (detail::logging_enabled(level)) [[unlikely]]
            format(level, text, std::forward<Args>(args)...);
    }
    /// @{
    /// Logs a line as log does, at the level that its name says.
    template <class... Args>
    void sub_debug(fmt::format_string<Args...> text, Args&&... args) const {
        (log)(5, text, std::forward<Args>(args)...);
    }
    template <class... Args>
    void debug(fmt::format_string<Args...> text, Args&&... args) const {
        (log)(detail::log_level::debug, text, std::forward<Args>(args)...);
    }
    template <class... Args>
    void info(fmt::format_string<Args...> text, Args&&... args) const {
        (log)(detail::log_level::info, text, std::forward<Args>(args)...);
    }
    template <class... Args>
    void sub_warning(fmt::format_string<Args...> text, Args&&... args) const {
        (log)(25, text, std::forward<Args>(args)...);
    }
    template <class... Args>
    void warning(fmt::format_string<Args...> text, Args&&... args) const {
        (log)(detail::log_level::warning, text, std::forward<Args>(args)...);
    }
    template <class... Args>
    void error(fmt::format_string<Args...> text, Args&&... args) const {
        (log)(detail::log_level::error, text, std::forward<Args>(args)...);
    }
    /// @}

    /// Returns the level. What is below it is not logged. It is WARNING until it is set.
    [[nodiscard]] int level() const noexcept { return detail::log_threshold.load(); }

    /// Sets the level for this process, and for the children that it starts from now on.
    void set_level(int level) const noexcept { detail::set_log_level(level); }

    /// Returns whether a message of this level is logged. Ask this before costly work for a
    /// message.
    [[nodiscard]] bool is_enabled_for(int level) const noexcept {
        return detail::logging_enabled(level);
    }

    /// Gives each record to `handler`, which takes a `const mp::LogRecord&`. It replaces a handler
    /// that was set before. Standard error then gets the lines only if log_to_stderr is called too.
    ///
    ///     mp::get_logger().set_handler([](const mp::LogRecord& record) {
    ///         spdlog::log(spdlog_level(record.level), "{}", record.message);
    ///     });
    ///
    /// What the handler throws is reported on standard error. What it logs by itself does not come
    /// back to it.
    /// @par Processes Every thread that logs calls the handler, also several at the same time.
    /// Forked children have the handler. Spawned children have it if it is a function, a lambda
    /// without captures, a stateless functor or a QueueHandler. Another handler with state does not
    /// exist there: the records of these children come to this process, where a thread of the
    /// library's calls the handler. When a handler is replaced or removed, that thread has handled
    /// what had come, and calls the old one no more. (In a program without log_handlers.hpp these
    /// children write to standard error, and the parent's log has a warning about that, once.) A
    /// function in a library must be in one that the child loads.
    template <class F>
        requires std::is_invocable_v<F&, const LogRecord&>
    void set_handler(F handler) const {
        if constexpr (std::is_convertible_v<F, detail::PlainHandler>) {
            install_handler(detail::PlainHandler(handler), {});
        } else if constexpr (std::is_empty_v<F> && std::is_default_constructible_v<F>) {
            install_handler([](const LogRecord& record) { F{}(record); }, {});
        } else {
            detail::HandlerSaver save = nullptr;
            if constexpr (requires { &F::save_log_handler; }) {
                save = [](detail::OutputArchive& archive, const auto& installed) {
                    F::save_log_handler(archive, *installed.template target<F>());
                };
            }
            install_handler(nullptr, std::move(handler), save);
        }
    }
    /// Removes the handler.
    void set_handler(std::nullptr_t) const { install_handler(nullptr, {}); }

    friend std::string text_of(const Logger& logger) {
        return "<Logger multiprocessing (" + level_name(logger.level()) + ")>";
    }

  private:
    template <class... Args>
    [[gnu::cold, gnu::noinline]] static void format(int level, fmt::format_string<Args...> text,
                                                    Args&&... args) {
        // make_format_args is inside too: it may call a user's format_as, which may throw.
        try {
            format_and_log(level, text, fmt::make_format_args(args...));
        } catch (const std::exception& error) {
            report_bad_format(error);
        }
    }

    [[gnu::cold]] static void format_and_log(int level, fmt::string_view text,
                                             fmt::format_args args);
    [[gnu::cold]] static void report_bad_format(const std::exception& error) noexcept;
    [[gnu::cold]] static void install_handler(detail::PlainHandler plain,
                                              std::function<void(const LogRecord&)> other,
                                              detail::HandlerSaver save = nullptr);
};

/// Returns the logger. From the first call on, the library logs its own events too. Until the
/// program changes that, it writes those of level WARNING and above to standard error.
///
/// Differs: a level that was set has its effect without a handler. (Python's logger without a
/// handler drops what is below WARNING.)
/// @par Source CPython Lib/multiprocessing/util.py, get_logger
Logger get_logger() noexcept;

/// Writes the log to standard error, as `[INFO/Process-1] message`.
///
/// Differs: a second call does not write every line twice.
/// @param level the lowest level to log; none: the level stays as it is, at first WARNING
/// @par Source CPython Lib/multiprocessing/util.py, log_to_stderr
Logger log_to_stderr(std::optional<int> level = std::nullopt);

/// Appends the log to a file. `{pid}` and `{name}` in the file's name stand for the id and the name
/// of the process. So each process of the family has its own file, which is opened for its first
/// line.
///
///     mp::log_to_file("run-{pid}.log", mp::INFO);
///
/// A child that cannot open its file reports that on standard error, once, and writes the lines
/// there.
/// @param level the lowest level to log; none: the level stays as it is, at first WARNING
/// @throws std::system_error when this process's file cannot be opened: ENOENT, EACCES, EMFILE
Logger log_to_file(std::string_view name, std::optional<int> level = std::nullopt);

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/logging/logger.ipp"
#endif
