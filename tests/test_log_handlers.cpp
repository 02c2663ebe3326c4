// log_handlers.hpp: the records of many processes reach one that writes them.
// SPDX-License-Identifier: MIT
#include <multiprocessing/log_handlers.hpp>
#include <multiprocessing/pool.hpp>
#include <multiprocessing/process.hpp>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using support::Watchdog;

#define START_METHODS mp::start_method::fork, mp::start_method::spawn, mp::start_method::forkserver

namespace {

/// Sends the log to a queue until its end.
struct LogToQueue {
    explicit LogToQueue(const mp::Queue<mp::LogRecord>& records) {
        mp::get_logger().set_level(mp::ERROR);  // without the library's own events
        mp::get_logger().set_handler(mp::QueueHandler(records));
    }
    LogToQueue(const LogToQueue&) = delete;
    LogToQueue& operator=(const LogToQueue&) = delete;
    ~LogToQueue() { mp::get_logger().set_handler(nullptr); }
};

void report(int number) {
    const mp::LogFields fields{{"number", std::to_string(number)}};
    mp::get_logger().error("number {} is done", number);
}

int report_and_return(int number) {
    report(number);
    return number;
}

/// Reports so many numbers, and has a child that reports another.
template <class Method>
void report_in_generations(int count) {
    mp::BasicProcess<Method> child(report, 1000);
    child.start();
    for (int i = 0; i < count; ++i) report(i);
    child.join();
}

void report_for_ever() {
    for (;; ::usleep(100)) report(0);
}

/// Has a relay, and so has its forked child.
void handle_records_until_the_end(mp::Queue<std::string> lines) {
    mp::get_logger().set_level(mp::ERROR);
    mp::get_logger().set_handler([lines](const mp::LogRecord& r) mutable { lines.put(r.message); });
    mp::SpawnProcess first(report, 1);
    first.start();
    first.join();
    mp::ForkProcess fork([] {
        mp::SpawnProcess second(report, 2);
        second.start();
    });
    fork.start();
    fork.join();
    mp::SpawnProcess last(report, 3);
    last.start();
}

mp::LogRecord record(std::string message) {
    return {30, std::move(message), "Process-1", 12, std::chrono::system_clock::time_point{}};
}

}  // namespace

TEMPLATE_TEST_CASE("A QueueHandler works in children under every start method", "[log_handlers]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Queue<mp::LogRecord> records;
    const LogToQueue log(records);
    mp::BasicProcess<TestType> process({.name = "child"}, report, 7);
    process.start();
    process.join();
    const mp::LogRecord first = records.get(true, 30);
    REQUIRE(first.level == mp::ERROR);
    REQUIRE(first.message == "number 7 is done");
    REQUIRE(first.process_name == "child");
    REQUIRE(first.pid == process.pid());
    REQUIRE(first.fields == decltype(first.fields){{"number", "7"}});
    REQUIRE(records.empty());
}

TEMPLATE_TEST_CASE("A QueueListener handles the records of a pool's workers before it stops",
                   "[log_handlers]", START_METHODS) {
    const Watchdog watchdog(120);
    const mp::Queue<mp::LogRecord> records;
    const LogToQueue log(records);
    std::set<std::string> lines;  // the listener's own until it has stopped
    int calls = 0;
    mp::QueueListener listener(
        records, [&](const mp::LogRecord& r) { lines.insert(r.message); },
        [&](const mp::LogRecord&) { ++calls; });
    listener.start();
    mp::BasicPool<TestType> pool(2);
    pool.map(report_and_return, {1, 2, 3, 4});
    pool.close();
    pool.join();
    listener.stop();
    listener.stop();
    REQUIRE(calls == 4);
    REQUIRE(lines.size() == 4);
    REQUIRE(lines.contains("number 4 is done"));
}

TEMPLATE_TEST_CASE("A handler with a state gets the records of children that do not have it",
                   "[log_handlers]", mp::start_method::spawn, mp::start_method::forkserver) {
    const Watchdog watchdog(120);
    std::mutex mutex;
    std::map<pid_t, std::vector<std::string>> lines;
    mp::get_logger().set_level(mp::ERROR);
    mp::get_logger().set_handler([&](const mp::LogRecord& r) {
        const std::lock_guard guard(mutex);
        lines[r.pid].push_back(r.message);
        mp::get_logger().error("does not come back");
    });
    std::vector<mp::BasicProcess<TestType>> processes;
    for (int i = 0; i < 2; ++i) processes.emplace_back(report_in_generations<TestType>, 100);
    for (auto& process : processes) process.start();
    report(1);  // here, meanwhile
    for (auto& process : processes) process.join();
    mp::get_logger().set_handler(nullptr);  // from here on `lines` is this thread's
    REQUIRE(lines.size() == 5);
    REQUIRE(lines.at(::getpid()) == std::vector<std::string>{"number 1 is done"});
    for (const auto& process : processes) {
        const auto& of_process = lines.at(*process.pid());
        REQUIRE(of_process.size() == 100);
        int number = 0;
        for (const auto& line : of_process) {
            REQUIRE(line == "number " + std::to_string(number++) + " is done");
        }
    }
}

TEST_CASE("A handler replaces itself while children log, and one is killed", "[log_handlers]") {
    const Watchdog watchdog(120);
    std::atomic<int> first = 0, second = 0;
    mp::get_logger().set_level(mp::ERROR);
    mp::get_logger().set_handler([&](const mp::LogRecord&) {
        if (++first == 1) mp::get_logger().set_handler([&](const mp::LogRecord&) { ++second; });
    });
    mp::SpawnProcess killed(report_for_ever), other(report_for_ever);
    killed.start(), other.start();
    REQUIRE(support::eventually([&] { return second > 100; }, 60));
    killed.kill();
    killed.join();
    const int by_then = second;
    REQUIRE(support::eventually([&] { return second > by_then + 100; }, 60));
    other.kill();
    other.join();
    mp::get_logger().set_handler(nullptr);
    REQUIRE(first == 1);
}

TEST_CASE("A relay handles what has come before the process ends, and a fork has its own",
          "[log_handlers]") {
    const Watchdog watchdog(120);
    const mp::Queue<std::string> lines;
    mp::ForkProcess process(handle_records_until_the_end, lines);
    process.start();
    REQUIRE(process.join(60));
    REQUIRE(process.exitcode() == 0);
    std::multiset<std::string> found;
    while (const auto line = lines.try_get()) found.insert(*line);
    REQUIRE(found ==
            std::multiset<std::string>{"number 1 is done", "number 2 is done", "number 3 is done"});
}

TEST_CASE("A QueueListener can be started again, but not twice", "[log_handlers]") {
    const Watchdog watchdog(60);
    const mp::Queue<mp::LogRecord> records;
    std::vector<std::string> lines;
    mp::QueueListener listener(records,
                               [&](const mp::LogRecord& r) { lines.push_back(r.message); });
    for (const char* const message : {"first", "second"}) {
        listener.start();
        REQUIRE_THROWS_AS(listener.start(), mp::RuntimeError);
        records.put(record(message));
        listener.stop();
    }
    REQUIRE(lines == std::vector<std::string>{"first", "second"});
}

TEST_CASE("A QueueListener ends with its queue, and goes on after a handler that throws",
          "[log_handlers]") {
    const Watchdog watchdog(60);
    const mp::Queue<mp::LogRecord> records;
    int handled = 0;
    mp::QueueListener listener(records, [&](const mp::LogRecord& r) {
        ++handled;
        if (r.message == "bad") throw std::runtime_error("a test's handler");
    });
    records.put(record("bad"));
    records.put(record("good"));
    listener.start();
    records.shutdown();
    listener.stop();
    REQUIRE(handled == 2);
}

TEST_CASE("A QueueListener whose queue is closed ends, and each handler gets each record",
          "[log_handlers]") {
    const Watchdog watchdog(60);
    const mp::Queue<mp::LogRecord> records;
    std::atomic<int> handled = 0;
    const auto fail = [](const mp::LogRecord&) { throw std::runtime_error("a test's handler"); };
    mp::QueueListener listener(records, fail, [&](const mp::LogRecord&) { ++handled; });
    listener.start();
    records.put(record("first"));
    REQUIRE(support::eventually([&] { return handled == 1; }));
    records.close();
    // Its get() may be waiting: the copy that another process would have puts a last record in.
    const auto copy = mp::Queue<mp::LogRecord>::from_shared_handle(records.shared_handle());
    copy.put(record("second"));
    listener.stop();
    REQUIRE(handled == 2);
}

TEST_CASE("LogFields add to records while they live, the outermost first", "[log_handlers]") {
    const mp::LogFields outer{{"request", "17"}, {"user", "ann"}};
    {
        const mp::LogFields inner{{"step", "1"}};
        REQUIRE(mp::LogFields::current() == std::vector<std::pair<std::string, std::string>>{
                                                {"request", "17"}, {"user", "ann"}, {"step", "1"}});
    }
    REQUIRE(mp::LogFields::current().size() == 2);
}

TEST_CASE("A record is a line of text, or of JSON with every character escaped", "[log_handlers]") {
    mp::LogRecord line = record("say \"hi\"\\\n\x01 \u00e4");
    line.time += std::chrono::microseconds(125);
    line.fields = {{"request", "17"}};
    REQUIRE(mp::log_line(record("done")) == "[WARNING/Process-1] done");
    REQUIRE(mp::json_line(line) ==
            "{\"time\":\"1970-01-01T00:00:00.000125Z\",\"level\":\"WARNING\","
            "\"process\":\"Process-1\",\"pid\":12,"
            "\"message\":\"say \\\"hi\\\"\\\\\\u000a\\u0001 \u00e4\",\"request\":\"17\"}");
}
