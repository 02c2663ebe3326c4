// multiprocessing/log_handlers.ipp
//
// How records reach one process, and how they are written: see log_handlers.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/log_handlers.hpp"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string_view>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/thread.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/logging/outlets.hpp"
#include "multiprocessing/process/exit_hooks.hpp"

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

// --- Handlers that cannot travel

namespace detail {

/// Whether this thread is calling the handler for records of children.
inline constinit thread_local bool is_relaying = false;

/// Calls this process's handler with a record of a child.
MULTIPROCESSING_INLINE void give_to_handler(const LogRecord& record) {
    is_relaying = true;
    const LogOutlets& outlets = *log_outlets.load(std::memory_order_acquire);
    if (outlets.has_handler()) call_handler(outlets, record);
}

/// The thread that has this process's handler called with the records of children that do not have
/// it.
class LogRelay {
  public:
    /// Returns this process's relay; null when no child has needed it.
    static LogRelay* known() noexcept;
    /// Returns this process's relay, which it starts. @throws std::system_error EAGAIN
    static LogRelay& started();

    [[nodiscard]] const Queue<LogRecord>& records() const noexcept { return records_; }

    /// Returns when the records that are there have been handled, and no call is running.
    void pause();
    /// Ends a pause. @throws std::system_error EAGAIN
    void resume();

  private:
    LogRelay() { listener_.start(); }

    static inline constinit std::atomic<LogRelay*> latest_{nullptr};

    // A forked child has a copy of the object, and not the thread.
    const std::uint32_t fork_depth_ = fork_depth();
    const Queue<LogRecord> records_;
    QueueListener listener_{records_, give_to_handler};
    std::mutex mutex_;  // guards what follows, and the listener's thread
    int pauses_ = 0;
};

/// Pauses this process's relay. A handler that replaces itself does not wait for its own end.
MULTIPROCESSING_INLINE void* pause_log_relay() {
    LogRelay* const relay = is_relaying ? nullptr : LogRelay::known();
    if (relay != nullptr) relay->pause();
    return relay;
}

MULTIPROCESSING_INLINE LogRelay* LogRelay::known() noexcept {
    LogRelay* const latest = latest_.load();
    return latest != nullptr && latest->fork_depth_ == fork_depth() ? latest : nullptr;
}

MULTIPROCESSING_INLINE LogRelay& LogRelay::started() {
    LogRelay* latest = latest_.load();
    if (LogRelay* const mine = known()) return *mine;
    std::unique_ptr<LogRelay> fresh(new LogRelay);
    if (!latest_.compare_exchange_strong(latest, fresh.get())) return *latest;
    // It stays for as long as the process, whose children may log until they have ended.
    constexpr int after_all_children = -100;
    ExitHooks::add(after_all_children, [] { pause_log_relay(); });
    return *fresh.release();
}

MULTIPROCESSING_INLINE void LogRelay::pause() {
    const std::lock_guard guard(mutex_);
    if (pauses_++ == 0) listener_.stop();
}

MULTIPROCESSING_INLINE void LogRelay::resume() {
    const std::lock_guard guard(mutex_);
    if (--pauses_ == 0) listener_.start();
}

/// The handler of such a child.
class RelayHandler {
  public:
    RelayHandler(Queue<LogRecord> records, ProcessId owner)
        : records_(std::move(records)), owner_(owner) {}

    void operator()(const LogRecord& record) const {
        // Nobody takes them out when the owner has been killed.
        constexpr std::size_t many = 10'000;
        if (records_.qsize() < many || heap().family().is_alive(owner_)) {
            records_.put(record);
        } else {
            const std::string line = log_line(record) + "\n";
            (void)!::write(STDERR_FILENO, line.data(), line.size());  // or it is lost
        }
    }

    /// Writes the handler into the message of a child of such a child.
    static void save_log_handler(OutputArchive& archive, const RelayHandler& handler) {
        archive(HandlerReceiver{receive}, handler.records_, handler.owner_);
    }

  private:
    static void receive(InputArchive& archive) {
        auto records = archive.read<Queue<LogRecord>>();
        get_logger().set_handler(RelayHandler(std::move(records), archive.read<ProcessId>()));
    }

    mutable Queue<LogRecord> records_;
    ProcessId owner_;
};

MULTIPROCESSING_INLINE void save_relay_handler(OutputArchive& archive,
                                               const std::function<void(const LogRecord&)>&) {
    RelayHandler::save_log_handler(archive, {LogRelay::started().records(), self()});
}

MULTIPROCESSING_INLINE void resume_log_relay(void* relay) {
    static_cast<LogRelay*>(relay)->resume();
}

inline constexpr HandlerRelay relay_of_queues{save_relay_handler, pause_log_relay,
                                              resume_log_relay};
/// Tells the floor of the logger, which knows no queues.
inline const bool relay_is_known = (handler_relay.store(&relay_of_queues), true);

}  // namespace detail

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
