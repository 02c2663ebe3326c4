// Futures of calls on nodes, what the workers of all nodes have done, and the options of their
// pools. mpirun runs it with 1 and 3 ranks. SPDX-License-Identifier: MIT

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <multiprocessing/mpi.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::mpi::PoolExecutor;

namespace {

int square(int x) { return x * x; }
int add(int a, int b) { return a + b; }

int odd_only(int x) {
    if (x % 2 == 0) throw std::out_of_range("even: " + std::to_string(x));
    return x;
}
int crash_at_7(int x) {
    if (x == 7) ::raise(SIGSEGV);
    return x;
}
int crash_on_thirds(int x) {
    if (x % 3 == 0 && mp::this_task::attempt() == 1) ::raise(SIGKILL);
    return x;
}
int sleep_for(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    return milliseconds;
}
int fail_twice(int x) {
    if (mp::this_task::attempt() <= 2) throw std::out_of_range("not yet");
    return x;
}
int fill_memory(int megabytes) {
    std::vector<char> memory(static_cast<std::size_t>(megabytes) << 20, 'm');
    std::this_thread::sleep_for(60s);
    return memory.back();
}
int own_pid(int) { return ::getpid(); }
int own_niceness(int) { return ::getpriority(PRIO_PROCESS, 0); }
int say(int x) {
    std::printf("said %d\n", x);
    std::fflush(stdout);
    return mp::mpi::rank();
}

int greeting = 0;
void greet(int number) { greeting = number; }
int greeted(int x) { return greeting + x; }
void fail() { throw std::runtime_error("no licence"); }

std::vector<int> numbers_to(int end) {
    std::vector<int> numbers;
    for (int i = 0; i < end; ++i) numbers.push_back(i);
    return numbers;
}

/// Returns how many nodes run tasks.
int node_count() { return (std::max)(1, mp::mpi::size() - 1); }

/// A coroutine that nobody waits for.
struct Detached {
    struct promise_type {
        Detached get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};
Detached add_up(PoolExecutor& executor, std::atomic<int>& sum) {
    const int first = co_await executor.submit(square, 3);
    sum = first + co_await executor.submit(square, 4);
}

/// A folder that is removed at the end.
class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "mpi_XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    [[nodiscard]] std::string file(const std::string& name) const { return path_ / name; }
    [[nodiscard]] std::string text_of(const std::string& name) const {
        std::ifstream stream(path_ / name);
        return {std::istreambuf_iterator<char>(stream), {}};
    }

  private:
    std::filesystem::path path_;
};

/// Returns the sum of a figure over all workers.
template <class T>
T sum_of(const mp::PoolStats& stats, T mp::WorkerStats::*figure) {
    T sum{};
    for (const mp::WorkerStats& worker : stats.workers) sum += worker.*figure;
    return sum;
}

}  // namespace

TEST_CASE("submit gives a future, with the result or the error of the task", "[mpi]") {
    const support::Watchdog watchdog(240);
    PoolExecutor executor({.processes = 2, .retries = 0});
    const mp::Future<int> sum = executor.submit(add, 20, 22);
    const mp::Future<int> even = executor.submit(odd_only, 4);
    const mp::Future<int> crash = executor.submit(crash_at_7, 7);
    CHECK(sum.result() == 42);
    CHECK(sum.result() == 42);
    CHECK_THROWS_AS(even.result(), std::out_of_range);
    CHECK(even.exception() != nullptr);
    CHECK_THROWS_AS(crash.result(), mp::WorkerLost);
    CHECK(crash.done());
    CHECK(!crash.cancelled());
    CHECK(executor.nodes().size() == static_cast<std::size_t>(node_count()));
    CHECK(text_of(executor).starts_with("<mpi.PoolExecutor state=RUN max_workers="));
}

TEST_CASE("map of an executor reads ranges side by side", "[mpi]") {
    const support::Watchdog watchdog(240);
    PoolExecutor executor({.processes = 1}, greet, 100);
    std::vector<int> sums;
    for (const int sum : executor.map(add, numbers_to(50), numbers_to(40))) sums.push_back(sum);
    REQUIRE(sums.size() == 40);
    CHECK(sums.back() == 78);
    int expected = 100;
    for (const int each : executor.map({.chunksize = 7}, greeted, numbers_to(50))) {
        CHECK(each == expected++);
    }
    CHECK(expected == 150);
}

TEST_CASE("as_completed gives each future once, when it is done", "[mpi]") {
    const support::Watchdog watchdog(240);
    PoolExecutor executor({.processes = 2});
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 60; ++i) futures.push_back(executor.submit(sleep_for, i % 7));
    std::map<int, int> counts;
    std::set<const void*> seen;
    for (const auto& future : mp::as_completed(futures)) {
        CHECK(future.done());
        CHECK(seen.insert(future.identity()).second);
        ++counts[future.result()];
    }
    CHECK(seen.size() == 60);
    CHECK(counts[0] == 9);
    CHECK(counts[6] == 8);
}

TEST_CASE("wait returns at the end of the first, at the first error, or of all", "[mpi]") {
    const support::Watchdog watchdog(240);
    PoolExecutor executor({.processes = 2});
    const auto quick = executor.submit(square, 2);
    const auto wrong = executor.submit(odd_only, 2);
    auto endless = executor.submit(sleep_for, 100'000);
    const std::vector futures{endless, quick, wrong};
    const auto first = mp::wait(futures, std::nullopt, mp::FIRST_COMPLETED);
    CHECK(!first.done.empty());
    const auto failed = mp::wait(futures, std::nullopt, mp::FIRST_EXCEPTION);
    CHECK(wrong.done());
    CHECK(quick.result() == 4);
    CHECK(failed.not_done.size() >= 1);
    CHECK(mp::wait(futures, 0.05).not_done.size() == 1);
    executor.terminate_workers();
    CHECK(mp::wait(futures).done.size() == 3);
    CHECK(endless.cancelled());
}

TEST_CASE("A coroutine awaits futures of nodes", "[mpi]") {
    const support::Watchdog watchdog(240);
    std::atomic<int> sum{0};
    {
        PoolExecutor executor({.processes = 1});
        add_up(executor, sum);
        CHECK(support::eventually([&] { return sum == 25; }, 200));
    }
    CHECK(sum == 25);
}

TEST_CASE("An executor finishes everything at the end of its scope", "[mpi]") {
    const support::Watchdog watchdog(240);
    std::atomic<int> called{0};
    std::vector<mp::Future<int>> futures;
    {
        PoolExecutor executor({.processes = 2});
        for (int i = 0; i < 40; ++i) {
            futures.push_back(executor.submit(sleep_for, 2));
            futures.back().add_done_callback(
                [&](const mp::Future<int>& each) { called += each.result() / 2; });
        }
    }
    CHECK(called == 40);
    for (const auto& future : futures) CHECK(future.result() == 2);
}

TEST_CASE("shutdown takes no more calls, and cancels what no node has begun", "[mpi]") {
    const support::Watchdog watchdog(240);
    PoolExecutor executor({.processes = 1, .ahead = 1});
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 50; ++i) futures.push_back(executor.submit(sleep_for, 300));
    executor.shutdown(true, true);
    CHECK_THROWS_AS(executor.submit(square, 1), mp::RuntimeError);
    CHECK_THROWS_AS(executor.map(square, numbers_to(3)), mp::RuntimeError);
    int cancelled = 0;
    for (const auto& future : futures) {
        REQUIRE(future.done());
        if (future.cancelled()) {
            ++cancelled;
        } else {
            CHECK(future.result() == 300);
        }
    }
    CHECK(cancelled > 0);
}

TEST_CASE("An executor whose initializer throws is broken", "[mpi]") {
    const support::Watchdog watchdog(240);
    PoolExecutor executor({.processes = 1}, fail);
    CHECK_THROWS_AS(executor.submit(square, 1).result(), mp::BrokenProcessPool);
}

TEST_CASE("Futures of tasks that kill their workers are all done", "[mpi]") {
    const support::Watchdog watchdog(240);
    PoolExecutor executor({.processes = 2, .retries = 1});
    std::vector<std::thread> threads;
    std::atomic<int> sum{0};
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&] {
            std::vector<mp::Future<int>> futures;
            for (int i = 0; i < 9; ++i) futures.push_back(executor.submit(crash_on_thirds, i));
            for (const auto& future : mp::as_completed(futures)) sum += future.result();
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(sum == 4 * 36);
}

TEST_CASE("stats adds up what the workers of all nodes have done", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2, .retries = 0});
    CHECK(pool.stats().workers.size() == static_cast<std::size_t>(2 * node_count()));
    pool.map(sleep_for, std::vector<int>(100, 1), 3);
    CHECK_THROWS_AS(pool.map(odd_only, std::vector<int>{1, 2, 3, 4}, 1), std::out_of_range);
    CHECK_THROWS_AS(pool.apply(crash_at_7, 7), mp::WorkerLost);
    const auto is_counted = [&] {
        const mp::PoolStats stats = pool.stats();
        return sum_of(stats, &mp::WorkerStats::tasks) >= 104 && stats.lost == 1;
    };
    CHECK(support::eventually(is_counted, 60));
    pool.close();
    pool.join();
    const mp::PoolStats stats = pool.stats();
    CHECK(sum_of(stats, &mp::WorkerStats::tasks) == 104);
    CHECK(sum_of(stats, &mp::WorkerStats::failed) == 2);
    CHECK(sum_of(stats, &mp::WorkerStats::busy) >= 0.1);
    CHECK(stats.lost == 1);
    REQUIRE(stats.losses.size() == 1);
    CHECK(stats.losses[0].worker < stats.workers.size());
    CHECK(stats.losses[0].when > 0);
    CHECK(stats.losses[0].when <= stats.seconds);
    std::map<int, int> workers_of;
    for (const mp::WorkerStats& worker : stats.workers) {
        CHECK(worker.host == mp::detail::own_host_name());
        ++workers_of[worker.rank];
    }
    for (const mp::mpi::Node& node : pool.nodes()) CHECK(workers_of[node.rank] == 2);
    REQUIRE(stats.slowest.size() == 5);
    for (const mp::TaskTime& task : stats.slowest) {
        CHECK(task.call >= 1);
        CHECK(task.call <= 3);
        CHECK(task.first < 100);
        CHECK(task.worker < stats.workers.size());
        CHECK(!task.is_stream);
    }
}

TEST_CASE("trace and report show the workers of all nodes", "[mpi]") {
    const support::Watchdog watchdog(240);
    const Folder folder;
    mp::mpi::Pool pool({.processes = 1, .traced = 8});
    pool.map(sleep_for, std::vector<int>(12, 1), 1);
    pool.trace(folder.file("trace.json"));
    pool.report(folder.file("run.html"));
    const std::string trace = folder.text_of("trace.json");
    const std::string report = folder.text_of("run.html");
    for (const mp::mpi::Node& node : pool.nodes()) {
        const std::string place = "rank " + std::to_string(node.rank) + ", " + node.host;
        CHECK(trace.find("(" + place + ")") != std::string::npos);
        CHECK(report.find(">" + place + "</data>") != std::string::npos);
    }
    CHECK(trace.find("\"name\":\"call 1 [") != std::string::npos);
    CHECK(report.find("A pool of " + std::to_string(node_count()) + " worker") !=
          std::string::npos);
    CHECK_THROWS_AS(pool.report(folder.file("none/run.html")), std::system_error);
}

TEST_CASE("Many threads ask for stats while the pool works and ends", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2});
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            std::uint64_t before = 0;
            while (!over) {
                const std::uint64_t now = sum_of(pool.stats(), &mp::WorkerStats::tasks);
                if (now < before) over = true;
                before = now;
                std::this_thread::sleep_for(1ms);
            }
        });
    }
    pool.map(square, numbers_to(2000), 1);
    CHECK(!over);
    pool.terminate();
    pool.join();
    CHECK(pool.stats().workers.size() == static_cast<std::size_t>(2 * node_count()));
    over = true;
    for (std::thread& thread : threads) thread.join();
}

TEST_CASE("resize changes the workers of each node", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1});
    pool.resize(3);
    CHECK(pool.map(square, numbers_to(30), 1).back() == 29 * 29);
    const auto are_started = [&] {
        const mp::PoolStats stats = pool.stats();
        return stats.workers.size() == static_cast<std::size_t>(3 * node_count()) &&
               std::ranges::all_of(stats.workers, [](const auto& each) { return each.pid != 0; });
    };
    CHECK(support::eventually(are_started, 100));
    for (const mp::mpi::Node& node : pool.nodes()) CHECK(node.processes == 3);
    pool.resize(1);
    CHECK(pool.map(square, numbers_to(30), 1).back() == 29 * 29);
    CHECK_THROWS_AS(pool.resize(0), mp::ValueError);
    pool.close();
    CHECK_THROWS_AS(pool.resize(2), mp::ValueError);
}

TEST_CASE("The options of the workers go to each node", "[mpi]") {
    const support::Watchdog watchdog(240);
    const Folder folder;
    mp::mpi::Pool pool({.processes = 1,
                        .retries = 2,
                        .maxtasksperchild = 1,
                        .memory_limit = support::sanitized ? 0 : 200u << 20,
                        .retry_on = mp::retry_on<std::out_of_range>(),
                        .retry_delay = 0.01,
                        .nice = 1,
                        .stdout_file = folder.file("out-{rank}")});
    CHECK(pool.map(fail_twice, {5, 6}, 1) == std::vector{5, 6});
    const std::vector<int> pids = pool.map(own_pid, {1, 2, 3, 4, 5, 6}, 1);
    CHECK(std::set<int>(pids.begin(), pids.end()).size() == 6);
    CHECK(pool.apply(own_niceness, 0) == (std::min)(::getpriority(PRIO_PROCESS, 0) + 1, 19));
    const int rank = pool.apply(say, 12);
    CHECK(folder.text_of("out-" + std::to_string(rank)).find("said 12\n") != std::string::npos);
}

TEST_CASE("A task that takes too much memory is lost, and says where", "[mpi]") {
    if (support::sanitized) return;  // its workers have more than that from the start
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1, .retries = 0, .memory_limit = 100u << 20});
    try {
        pool.apply(fill_memory, 300);
        FAIL("no exception");
    } catch (const mp::WorkerLost& lost) {
        CHECK(lost.reason() == mp::LossReason::memory);
        const std::string text = lost.what();
        if (mp::mpi::size() > 1) CHECK(text.find(", rank ") != std::string::npos);
    }
    CHECK(pool.apply(square, 3) == 9);
}

TEST_CASE("Options that a node or rank 0 cannot take are refused", "[mpi]") {
    const support::Watchdog watchdog(240);
    using Pool = mp::mpi::Pool;
    CHECK_THROWS_AS(Pool({.retry_backoff = 0.5}), mp::ValueError);
    CHECK_THROWS_AS(Pool({.traced = -1}), mp::ValueError);
    CHECK_THROWS_AS(Pool({.nice = 99}), mp::ValueError);
    CHECK_THROWS_AS(Pool({.ignore_signals = {SIGKILL}}), mp::ValueError);
    CHECK_THROWS_AS(Pool({.cpus = {{100'000}}}), mp::ValueError);
    CHECK(Pool({.processes = 1}).apply(square, 2) == 4);
}

TEST_CASE("A long copy stops for signs of life", "[mpi]") {
    std::vector<std::byte> from(5 * mp::detail::copied_at_a_time + 3);
    for (std::size_t i = 0; i < from.size(); i += 4097) from[i] = static_cast<std::byte>(i);
    std::vector<std::byte> to(from.size());
    int stops = 0;
    mp::detail::copy_in_pieces(to.data(), from, [&] { ++stops; });
    CHECK(stops == 5);
    CHECK(to == from);
}
