// multiprocessing/log_handlers.hpp
//
// One log of many processes: QueueHandler puts their records into a queue, QueueListener takes them
// out in one process, which writes them; as text, or as lines of JSON. Mirrors CPython
// Lib/logging/handlers.py, QueueHandler and QueueListener. Floor 5. Start at QueueHandler.
// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "multiprocessing/logging.hpp"
#include "multiprocessing/queues.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing {

/// A log handler that puts each record into a queue, from which one process writes them all.
///
///     mp::Queue<mp::LogRecord> records;
///     mp::get_logger().set_handler(mp::QueueHandler(records));
///     mp::QueueListener listener(records, [](const mp::LogRecord& r) { save(mp::json_line(r)); });
///     listener.start();
///
/// @par Processes children have the handler under every start method
/// @par Source CPython Lib/logging/handlers.py, QueueHandler
class QueueHandler {
  public:
    /// Makes a handler for this queue.
    explicit QueueHandler(Queue<LogRecord> queue) : queue_(std::move(queue)) {}

    /// Puts the record in. **Blocking** while a bounded queue is full.
    void operator()(const LogRecord& record) const { queue_.put(record); }

    /// For the library: writes the handler into a child's message.
    static void save_log_handler(detail::OutputArchive& archive, const QueueHandler& handler);

  private:
    static void receive(detail::InputArchive& archive);

    Queue<LogRecord> queue_;
};

/// Takes records out of a queue, in a thread, and gives each to its handlers, in their order. What
/// a handler throws is reported on standard error, and stops nothing.
///
/// At its end it stops.
/// @par Source CPython Lib/logging/handlers.py, QueueListener
class QueueListener {
  public:
    /// Makes one that does not listen yet. @param handlers each takes a `const mp::LogRecord&`
    template <class... Handlers>
    explicit QueueListener(Queue<LogRecord> queue, Handlers... handlers)
        : queue_(std::move(queue)), handlers_{std::move(handlers)...} {}
    QueueListener(const QueueListener&) = delete;
    QueueListener& operator=(const QueueListener&) = delete;
    ~QueueListener() { stop(); }

    /// Starts the thread. @throws RuntimeError when it runs @throws std::system_error EAGAIN
    void start();

    /// Ends the thread, after the records that are in the queue by now: those of processes that
    /// have ended are handled. Does nothing when it does not run. **Blocking** until then.
    void stop();

  private:
    void run();

    Queue<LogRecord> queue_;
    const std::vector<std::function<void(const LogRecord&)>> handlers_;
    std::thread thread_;
};

/// Returns a record as log_to_stderr writes it: `[INFO/Process-1] message`.
std::string log_line(const LogRecord& record);

/// Returns a record as one line of JSON without a line's end: time (UTC, microseconds), level,
/// process, pid, message, and then its own fields, all of them texts.
///
///     {"time":"2030-01-31T09:30:00.000125Z","level":"INFO","process":"Process-1","pid":12,
///      "message":"done","request":"17"}       (in one line)
std::string json_line(const LogRecord& record);

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/log_handlers.ipp"
#endif
