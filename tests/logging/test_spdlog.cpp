// The example of the guide that feeds the log to spdlog, against what it uses of spdlog: the types
// of spdlog 1.10's functions, over fmt. SPDX-License-Identifier: MIT
// ALONE: it has a namespace spdlog
#include <fmt/format.h>

#include <multiprocessing/logging.hpp>
#include <multiprocessing/process.hpp>

#include <string>
#include <utility>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;

namespace spdlog {
namespace level {
enum level_enum : int { trace, debug, info, warn, err, critical, off, n_levels };
}

std::string last_line;  // what the logger would write

template <typename... Args>
void log(level::level_enum level, fmt::format_string<Args...> text, Args&&... args) {
    last_line = std::to_string(level) + " " + fmt::format(text, std::forward<Args>(args)...);
}
template <typename T>
void log(level::level_enum level, const T& message) {
    log(level, "{}", message);
}

}  // namespace spdlog

TEST_CASE("The log can be fed to spdlog as the guide says", "[logging]") {
    const support::Watchdog watchdog(60);
    mp::get_logger().set_handler([](const mp::LogRecord& record) {
        spdlog::log(spdlog::level::info, "{}: {}", record.process_name, record.message);
    });
    mp::get_logger().warning("{} left", 3);
    mp::get_logger().set_handler(nullptr);
    REQUIRE(spdlog::last_line == "2 MainProcess: 3 left");
}
