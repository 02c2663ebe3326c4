// multiprocessing/logging/event.hpp
//
// What is logged: the levels, a record, and the check that is all a call below the level costs.
// Mirrors the levels of CPython Lib/logging and Lib/multiprocessing/util.py. Floor 2.
//
// This header is light, and does not include fmt: the library's own headers log through it and
// emit.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/text.hpp"

// Programs are often compiled with -DDEBUG. That must not break this header. (Such a program has to
// write 10 instead of mp::DEBUG.)
#pragma push_macro("DEBUG")
#pragma push_macro("INFO")
#pragma push_macro("WARNING")
#pragma push_macro("ERROR")
#undef DEBUG
#undef INFO
#undef WARNING
#undef ERROR

namespace multiprocessing {

/// @{
/// A level of the log, with Python's number.
inline constexpr int SUBDEBUG = 5;
inline constexpr int DEBUG = 10;
inline constexpr int INFO = 20;
inline constexpr int SUBWARNING = 25;
inline constexpr int WARNING = 30;
inline constexpr int ERROR = 40;
/// @}

namespace detail::log_level {
// The same levels under names that no program uses for macros.
inline constexpr int debug = DEBUG;
inline constexpr int info = INFO;
inline constexpr int warning = WARNING;
inline constexpr int error = ERROR;
inline constexpr int nothing = INT_MAX;  // logging was never asked for
}  // namespace detail::log_level

}  // namespace multiprocessing

#pragma pop_macro("DEBUG")
#pragma pop_macro("INFO")
#pragma pop_macro("WARNING")
#pragma pop_macro("ERROR")

namespace multiprocessing {

/// A line of the log in the form that a handler gets. It can be sent to another process, for
/// example through a queue to one process that writes the lines of all.
struct LogRecord {
    int level;                                   ///< as in log, INFO for example
    std::string message;                         ///< the text, formatted
    std::string process_name;                    ///< of the process that logs it
    pid_t pid;                                   ///< of the process that logs it
    std::chrono::system_clock::time_point time;  ///< when it was logged
    /// The program's own, from the LogFields of the thread.
    std::vector<std::pair<std::string, std::string>> fields = {};

    friend std::string text_of(const LogRecord& record) {
        return "<LogRecord: multiprocessing, " + std::to_string(record.level) + ", " +
               record.process_name + ", \"" + record.message + "\">";
    }
};

/// Returns the name of a level, such as "INFO", or "Level 15" for a level without a name.
/// @par Source CPython Lib/logging, getLevelName
std::string level_name(int level);

namespace detail {

/// The lowest level that is logged. As in CPython, nothing is logged until the program asks for
/// logging in some way. Then WARNING and above are logged, until the program sets another level.
inline constinit std::atomic<int> log_threshold{log_level::nothing};

/// Returns whether `level` is logged. It costs one load. That is relaxed: no other data depends on
/// it.
[[nodiscard]] inline bool logging_enabled(int level) noexcept {
    return level >= log_threshold.load(std::memory_order_relaxed);
}

/// Returns whether the program has asked for logging.
[[nodiscard]] inline bool logging_is_set_up() noexcept {
    return log_threshold.load(std::memory_order_relaxed) != log_level::nothing;
}

}  // namespace detail
}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/logging/event.ipp"
#endif
