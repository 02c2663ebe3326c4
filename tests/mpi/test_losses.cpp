// What becomes of a pool when ranks die. Each case is a program run of its own, under a launcher
// that lets the other ranks live: a rank that is lost is lost for the whole run.
// SPDX-License-Identifier: MIT

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <multiprocessing/mpi.hpp>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using namespace std::chrono_literals;

namespace {

/// Returns the rank that a task runs on, and the process of that rank.
std::pair<int, int> node_of_task(int) {
    return {mp::mpi::rank(), static_cast<int>(mp::parent_process()->pid())};
}

int slow_square(int x) {
    std::this_thread::sleep_for(2ms);
    return x * x;
}

int sleep_long(int) {
    std::this_thread::sleep_for(60s);
    return 0;
}

std::vector<int> numbers_to(int end) {
    std::vector<int> numbers(static_cast<std::size_t>(end));
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}

/// Returns the process of a rank.
pid_t process_of_rank(mp::mpi::Pool& pool, int wanted) {
    for (const auto& [rank, pid] : pool.map(node_of_task, numbers_to(300), 1)) {
        if (rank == wanted) return pid;
    }
    FAIL("rank " << wanted << " has run no task");
    return 0;
}

bool is_gone(pid_t pid) {
    const std::string status = support::contents_of("/proc/" + std::to_string(pid) + "/stat");
    return status.empty() || status.find(") Z ") != std::string::npos;
}

}  // namespace

TEST_CASE("A lost node's chunks are run by the others", "[.][retried]") {
    const support::Watchdog watchdog(200);
    mp::mpi::Pool pool({.processes = 2, .lost_after = 2, .retries = 1});
    const pid_t victim = process_of_rank(pool, 1);
    auto result = pool.map_async(slow_square, numbers_to(2000), {.chunksize = 1});
    std::this_thread::sleep_for(std::chrono::milliseconds(
        std::chrono::steady_clock::now().time_since_epoch().count() / 1000 % 500));
    REQUIRE(::kill(victim, SIGKILL) == 0);
    const std::vector<int> squares = result.get();
    for (int i = 0; i < 2000; ++i) REQUIRE(squares[static_cast<std::size_t>(i)] == i * i);
    for (const mp::mpi::Node& node : pool.nodes()) CHECK(node.lost == (node.rank == 1));
    CHECK(pool.apply(slow_square, 7) == 49);
    int count = 0;
    for (const int square : pool.imap(slow_square, numbers_to(50))) count += square >= 0;
    CHECK(count == 50);
    // The workers of the lost node are not asked any more.
    const mp::PoolStats stats = pool.stats();
    CHECK(stats.workers.size() == static_cast<std::size_t>(2 * (mp::mpi::size() - 2)));
    for (const mp::WorkerStats& worker : stats.workers) CHECK(worker.rank != 1);
    CHECK(stats.retries > 0);
    mp::mpi::Pool second({.processes = 1});
    CHECK(second.apply(slow_square, 8) == 64);
}

TEST_CASE("Futures of a lost node's tasks are all completed", "[.][futures]") {
    const support::Watchdog watchdog(200);
    mp::mpi::PoolExecutor executor({.processes = 2, .lost_after = 2, .retries = 1});
    std::vector<mp::Future<std::pair<int, int>>> nodes;
    for (int i = 0; i < 100; ++i) nodes.push_back(executor.submit(node_of_task, i));
    pid_t victim = 0;
    for (const auto& each : mp::as_completed(nodes)) {
        if (each.result().first == 1) victim = each.result().second;
    }
    REQUIRE(victim != 0);
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 500; ++i) futures.push_back(executor.submit(slow_square, i));
    REQUIRE(::kill(victim, SIGKILL) == 0);
    int sum = 0;
    for (const auto& future : mp::as_completed(futures)) sum += future.result();
    CHECK(sum == 499 * 500 / 2 * 333);
    CHECK(executor.submit(slow_square, 3).result() == 9);
}

TEST_CASE("Without retries a lost node's tasks are a NodeLost", "[.][not_retried]") {
    const support::Watchdog watchdog(200);
    mp::mpi::Pool pool({.processes = 1, .lost_after = 2, .retries = 0});
    const pid_t victim = process_of_rank(pool, 1);
    std::vector<mp::AsyncResult<int>> calls;
    for (int i = 0; i < 4; ++i) calls.push_back(pool.apply_async(sleep_long, i));
    std::this_thread::sleep_for(500ms);
    REQUIRE(::kill(victim, SIGKILL) == 0);
    REQUIRE(support::eventually([&] { return pool.nodes()[0].lost; }, 60));
    int lost = 0;
    for (const auto& call : calls) {
        if (call.ready()) {
            CHECK_THROWS_AS(call.get(), mp::NodeLost);
            ++lost;
        } else {
            CHECK(call.cancel(true));
        }
    }
    CHECK(lost >= 1);
    CHECK(lost <= 3);
    int count = 0;
    for (const int square : pool.imap_unordered(slow_square, numbers_to(20))) count += square >= 0;
    CHECK(count == 20);
}

TEST_CASE("The loss of the last node ends all calls", "[.][last]") {
    const support::Watchdog watchdog(200);
    mp::mpi::Pool pool({.processes = 1, .lost_after = 2, .retries = 0});
    const pid_t victim = process_of_rank(pool, 1);
    auto sent = pool.apply_async(sleep_long, 1);
    auto waiting = pool.map_async(sleep_long, numbers_to(100), {.chunksize = 1});
    std::this_thread::sleep_for(300ms);
    REQUIRE(::kill(victim, SIGKILL) == 0);
    try {
        sent.get();
        FAIL("no exception");
    } catch (const mp::NodeLost& lost) {
        CHECK(lost.rank() == 1);
        CHECK(lost.host() == mp::detail::own_host_name());
        CHECK(lost.attempts() == 1);
    }
    CHECK_THROWS_AS(waiting.get(), mp::NodeLost);
    CHECK_THROWS_AS(pool.apply(slow_square, 1), mp::BrokenProcessPool);
    CHECK_THROWS_AS(mp::mpi::Pool(), mp::BrokenProcessPool);
    pool.close();
    pool.join();
}

TEST_CASE("A stopped rank is lost too, and ends when it goes on", "[.][stopped]") {
    const support::Watchdog watchdog(200);
    mp::mpi::Pool pool({.processes = 1, .lost_after = 1, .retries = 1});
    const pid_t victim = process_of_rank(pool, 1);
    auto result = pool.map_async(slow_square, numbers_to(1000), {.chunksize = 1});
    REQUIRE(::kill(victim, SIGSTOP) == 0);
    CHECK(result.get().size() == 1000);
    CHECK(pool.nodes()[0].lost);
    CHECK(!is_gone(victim));
    REQUIRE(::kill(victim, SIGCONT) == 0);
    CHECK(support::eventually([&] { return is_gone(victim); }, 30));
}

TEST_CASE("Nodes live while tasks run for longer than their silence may be", "[.][long_tasks]") {
    const support::Watchdog watchdog(200);
    mp::mpi::Pool pool({.processes = 2, .lost_after = 1});
    const std::vector<int> results =
        pool.map([](int x) { return std::this_thread::sleep_for(3s), x; }, {1, 2, 3, 4}, 1);
    CHECK(results == std::vector{1, 2, 3, 4});
    for (const mp::mpi::Node& node : pool.nodes()) CHECK(!node.lost);
}

// What `nothing_left` kills.
TEST_CASE("A program that works until it is killed", "[.][endless]") {
    mp::mpi::Pool pool({.processes = 2});
    std::printf("working\n");
    std::fflush(stdout);
    pool.map(sleep_long, numbers_to(1000), 1);
}
