// multiprocessing/log_handlers.ipp
//
// How records reach one process, and how they are written: see log_handlers.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/log_handlers.hpp"

#include <fmt/format.h>
#include <time.h>

#include <chrono>
#include <climits>
#include <exception>
#include <string_view>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/thread.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/logging/emit.hpp"

namespace multiprocessing {
namespace detail {

/// The level of the record that ends a listener, as None does in Python. No program logs at it: it
/// is below every threshold.
inline constexpr int end_of_records = INT_MIN;

MULTIPROCESSING_INLINE void append_json(std::string& line, std::string_view text) {
    line += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            (line += '\\') += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            line += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
            line += c;
        }
    }
    line += '"';
}

MULTIPROCESSING_INLINE std::string utc_text(std::chrono::system_clock::time_point time) {
    const auto whole = std::chrono::floor<std::chrono::seconds>(time);
    const std::time_t seconds = std::chrono::system_clock::to_time_t(whole);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(time - whole);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                       parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                       rest.count());
}

/// Calls a handler, and reports what it throws.
MULTIPROCESSING_INLINE void call_quietly(const std::function<void(const LogRecord&)>& handler,
                                         const LogRecord& record) {
    constexpr std::string_view what = "a log handler threw";
    try {
        handler(record);
    } catch (const std::exception& error) {
        report_log_trouble(what, error.what());
    } catch (...) {
        report_log_trouble(what, "an object that is not a std::exception");
    }
}

}  // namespace detail

MULTIPROCESSING_INLINE void QueueHandler::save_log_handler(detail::OutputArchive& archive,
                                                           const QueueHandler& handler) {
    archive(detail::HandlerReceiver{receive}, handler.queue_);
}

MULTIPROCESSING_INLINE void QueueHandler::receive(detail::InputArchive& archive) {
    get_logger().set_handler(QueueHandler(archive.read<Queue<LogRecord>>()));
}

MULTIPROCESSING_INLINE void QueueListener::start() {
    if (thread_.joinable()) throw RuntimeError("the listener was started already");
    thread_ = detail::start_thread([this] { run(); });
}

MULTIPROCESSING_INLINE void QueueListener::stop() {
    if (!thread_.joinable()) return;
    try {
        queue_.put({detail::end_of_records, {}, {}, 0, {}});
    } catch (const std::exception&) {  // the queue was shut down, which ends the thread too
    }
    thread_.join();
}

MULTIPROCESSING_INLINE void QueueListener::run() {
    for (;;) {
        try {
            const LogRecord record = queue_.get();
            if (record.level == detail::end_of_records) return;
            for (const auto& handler : handlers_) detail::call_quietly(handler, record);
        } catch (const ShutDown&) {
            return;
        } catch (const ValueError&) {  // the queue was closed here: nothing more comes
            return;
        } catch (const std::exception& error) {
            detail::report_log_trouble("a record cannot be read", error.what());
        }
    }
}

MULTIPROCESSING_INLINE std::string log_line(const LogRecord& record) {
    return "[" + level_name(record.level) + "/" + record.process_name + "] " + record.message;
}

MULTIPROCESSING_INLINE std::string json_line(const LogRecord& record) {
    std::string line = "{\"time\":\"" + detail::utc_text(record.time) + "\",\"level\":";
    detail::append_json(line, level_name(record.level));
    line += ",\"process\":";
    detail::append_json(line, record.process_name);
    line += ",\"pid\":" + std::to_string(record.pid) + ",\"message\":";
    detail::append_json(line, record.message);
    for (const auto& [name, value] : record.fields) {
        line += ',';
        detail::append_json(line, name);
        line += ':';
        detail::append_json(line, value);
    }
    return line + "}";
}

}  // namespace multiprocessing
