// multiprocessing/logging/event.hpp
//
// What is logged: the levels, a record, and the one question that a call below the level costs.
// Mirrors the levels of CPython Lib/logging and Lib/multiprocessing/util.py. Floor 2.
//
// Light, without fmt: the library's own headers log through this and emit.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <string>
#include <string_view>

#include "multiprocessing/detail/text.hpp"

// Programs like to be compiled with -DDEBUG; that must not break this header. (They then have to
// say 10 instead of mp::DEBUG.)
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
/// A level of the log; Python's numbers.
inline constexpr int SUBDEBUG = 5;
inline constexpr int DEBUG = 10;
inline constexpr int INFO = 20;
inline constexpr int SUBWARNING = 25;
inline constexpr int WARNING = 30;
inline constexpr int ERROR = 40;
/// @}

namespace detail::log_level {
// The same under names that are nobody's macros.
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

/// A line of the log, as a handler gets it. The texts live as long as the handler's call.
struct LogRecord {
    int level;                                   ///< as in log, INFO for example
    std::string_view message;                    ///< the text, formatted
    std::string_view process_name;               ///< of the process that logs it
    pid_t pid;                                   ///< of the process that logs it
    std::chrono::system_clock::time_point time;  ///< when it was logged

    friend std::string text_of(const LogRecord& record) {
        return "<LogRecord: multiprocessing, " + std::to_string(record.level) + ", " +
               std::string(record.process_name) + ", \"" + std::string(record.message) + "\">";
    }
};

/// Returns the name of a level: "INFO"; "Level 15" for one that has none.
/// @par Source CPython Lib/logging, getLevelName
inline std::string level_name(int level) {
    switch (level) {
        case 5:
            return "SUBDEBUG";
        case 10:
            return "DEBUG";
        case 20:
            return "INFO";
        case 25:
            return "SUBWARNING";
        case 30:
            return "WARNING";
        case 40:
            return "ERROR";
        default:
            return "Level " + std::to_string(level);
    }
}

namespace detail {

/// What is below it is not logged. As in CPython, that is everything until the program asks for
/// logging in some way; then what is below WARNING, until it sets another level.
inline constinit std::atomic<int> log_threshold{log_level::nothing};

/// Returns whether `level` is logged. One load: relaxed, as nothing else is read by it.
[[nodiscard]] inline bool logging_enabled(int level) noexcept {
    return level >= log_threshold.load(std::memory_order_relaxed);
}

/// Returns whether the program has asked for logging.
[[nodiscard]] inline bool logging_is_set_up() noexcept {
    return log_threshold.load(std::memory_order_relaxed) != log_level::nothing;
}

}  // namespace detail
}  // namespace multiprocessing
