// multiprocessing/logging/emit.hpp
//
// How a line is written: with one write(2), so that the lines of many processes do not mix.
// Floor 2. Start at log_event. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "multiprocessing/logging/event.hpp"
#include "multiprocessing/logging/outlets.hpp"

namespace multiprocessing::detail {

/// Reports on standard error that logging itself does not work, with one write. Nothing can be done
/// if standard error is closed or full.
[[gnu::cold]] void report_log_trouble(std::string_view what, std::string_view why) noexcept;

/// Returns the name of this process's log file. @param pattern with {pid}, {name} and the names of
/// its fields, see set_process_fields
[[gnu::cold]] std::string own_log_file_name(std::string pattern);

/// Calls the handler. As with Python's logging.raiseExceptions, an error in the handler is reported
/// on standard error and stops nothing. What it logs by itself does not come back to it.
/// @pre there is a handler
[[gnu::cold]] void call_handler(const LogOutlets& outlets, const LogRecord& record) noexcept;

/// Logs `message`, whatever its level. Any thread may call it at any time, even in a child that was
/// forked while another thread was logging.
[[gnu::cold]] void log_event(int level, std::string_view message) noexcept;

/// Reports an error that cannot be thrown to anybody. It goes to the log. If the program has not
/// asked for a log, it goes to standard error, as people must see it.
[[gnu::cold]] void report_error(std::string_view what, std::string_view why) noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/logging/emit.ipp"
#endif
