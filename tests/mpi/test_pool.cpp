// What mpi::Pool does while all nodes live. mpirun runs it with 1, 2 and 3 ranks.
// SPDX-License-Identifier: MIT

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <multiprocessing/logging.hpp>
#include <multiprocessing/mpi.hpp>
#include <multiprocessing/queues.hpp>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using namespace std::chrono_literals;

namespace {

int square(int x) { return x * x; }
int add(int a, int b) { return a + b; }
std::string doubled(std::string text) { return text + text; }
void nothing(int) {}

int odd_only(int x) {
    if (x % 2 == 0) throw std::out_of_range("even: " + std::to_string(x));
    return x;
}

int crash_at_7(int x) {
    if (x == 7) ::raise(SIGSEGV);
    return x;
}

int crash_at_first(int x) {
    if (mp::this_task::attempt() == 1) ::_exit(3);
    return x;
}

int sleep_for(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    return milliseconds;
}

std::pair<int, int> where(int) { return {mp::mpi::rank(), mp::mpi::size()}; }

void log_item(int item) { mp::get_logger().info("item {}", item); }

std::size_t index_of_task(int) { return mp::this_task::index().value_or(0); }

int greeting = 0;
void greet(int number, std::string text) { greeting = number + static_cast<int>(text.size()); }
int greeted(int) { return greeting; }
void fail() { throw std::runtime_error("no licence"); }

struct Holder {
    std::vector<mp::Queue<int>> queues;
};
int take_holder(Holder holder) { return static_cast<int>(holder.queues.size()); }
Holder make_holder(int) { return {{mp::Queue<int>()}}; }

std::vector<int> numbers_to(int end) {
    std::vector<int> numbers(static_cast<std::size_t>(end));
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}
std::vector<int> squares_to(int end) {
    std::vector<int> squares = numbers_to(end);
    for (int& number : squares) number = square(number);
    return squares;
}

/// Returns the text of the E that `call()` throws; without one, nothing.
template <class E, class Call>
std::optional<std::string> text_of_thrown(Call call) {
    try {
        call();
    } catch (const E& error) {
        return error.what();
    }
    return std::nullopt;
}

}  // namespace

TEST_CASE("map returns the results in the order of the items", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2});
    const std::vector<int> numbers = numbers_to(5000);
    CHECK(pool.map(square, numbers) == squares_to(5000));
    for (const int chunk : {1, 7, 5000, 100'000}) {
        CHECK(pool.map(square, numbers, chunk) == squares_to(5000));
    }
    CHECK(pool.map(square, std::vector<int>()).empty());
    CHECK(pool.map(square, {3, 4}) == std::vector{9, 16});
    pool.map(nothing, numbers);
}

TEST_CASE("starmap spreads tuples, apply makes one call", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1});
    CHECK(pool.starmap(add, {{1, 2}, {3, 4}}) == std::vector{3, 7});
    CHECK(pool.apply(add, 20, 22) == 42);
    CHECK(pool.apply(doubled, "ab") == "abab");
    CHECK(pool.map([](int x) { return x + 1; }, {1, 2}) == std::vector{2, 3});
    CHECK(pool.map(mp::partial(add, 10), {1, 2}) == std::vector{11, 12});
}

TEST_CASE("Items and results that are not plain bytes go there and back", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2});
    std::vector<std::string> texts;
    std::vector<std::string> expected;
    for (int i = 0; i < 300; ++i) {
        texts.push_back(std::string(static_cast<std::size_t>(i) * 97 % 5000, 'x') +
                        std::to_string(i));
        expected.push_back(texts.back() + texts.back());
    }
    for (const int chunk : {1, 11, 300}) CHECK(pool.map(doubled, texts, chunk) == expected);
}

TEST_CASE("Nodes log as rank 0 does, and say their rank and host", "[mpi]") {
    const support::Watchdog watchdog(240);
    char folder[] = "/tmp/mpi_log_XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    mp::log_to_file(std::string(folder) + "/{rank}-{host}-{pid}.log", mp::INFO);
    std::set<int> ranks;
    std::string host;
    {
        mp::mpi::Pool pool({.processes = 2});
        for (const mp::mpi::Node& node : pool.nodes()) {
            ranks.insert(node.rank);
            host = node.host;
        }
        pool.map(log_item, numbers_to(200), 1);
    }
    mp::detail::change_outlets([](mp::detail::LogOutlets& outlets) { outlets.file_pattern = ""; });
    mp::detail::set_log_level(mp::detail::log_level::nothing);
    { const mp::mpi::Pool quiet({.processes = 1}); }  // for the nodes, whose files these were

    std::set<std::string> items;
    std::set<int> told;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string name = entry.path().filename();
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);) {
            const auto item = line.find("] item ");
            if (item == std::string::npos) continue;
            items.insert(line.substr(item + 7));
            const int rank = std::stoi(name);
            told.insert(rank);
            const std::string origin = ", rank " + std::to_string(rank) + ", host " + host + "] ";
            CHECK(line.find(origin) != std::string::npos);
            CHECK(name.rfind(std::to_string(rank) + "-" + host + "-", 0) == 0);
        }
    }
    std::filesystem::remove_all(folder);
    CHECK(items.size() == 200);
    CHECK(told == ranks);
}

TEST_CASE("Messages of many megabytes go there and back", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1});
    const std::string large(30'000'000, 'l');
    std::vector<std::string> three(3, large);
    three[1] += "second";
    const std::vector<std::string> results = pool.map(doubled, three, 1);
    REQUIRE(results.size() == 3);
    CHECK(results[0] == large + large);
    CHECK(results[1] == three[1] + three[1]);
    CHECK(results[2].size() == 2 * large.size());
}

TEST_CASE("imap gives the results in order, imap_unordered all of them", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2});
    const std::vector<int> numbers = numbers_to(700);
    for (const int chunk : {1, 13}) {
        std::vector<int> results;
        for (const int result : pool.imap(square, numbers, chunk)) results.push_back(result);
        CHECK(results == squares_to(700));
        std::vector<int> unordered;
        for (const int result : pool.imap_unordered(square, numbers, chunk)) {
            unordered.push_back(result);
        }
        std::ranges::sort(unordered);
        CHECK(unordered == squares_to(700));
    }
    auto stream = pool.imap(odd_only, std::vector{1, 2, 3});
    CHECK(stream.next() == 1);
    CHECK_THROWS_AS(stream.next(), std::out_of_range);
    CHECK(stream.next() == 3);
    CHECK(!stream.next());
}

TEST_CASE("A stream tells its tasks their places", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1});
    std::size_t expected = 0;
    for (const std::size_t index : pool.imap(index_of_task, numbers_to(200), 3)) {
        CHECK(index == expected++);
    }
    CHECK(expected == 200);
    const std::vector<std::size_t> indices = pool.map(index_of_task, numbers_to(100), 3);
    for (std::size_t i = 0; i < indices.size(); ++i) CHECK(indices[i] == i);
}

TEST_CASE("Calls that do not wait run callbacks", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1});
    std::atomic<int> got{0};
    std::atomic<int> failed{0};
    auto fine = pool.apply_async({.callback = [&](int result) { got = result; }}, square, 6);
    auto wrong =
        pool.apply_async({.error_callback = [&](std::exception_ptr) { ++failed; }}, odd_only, 2);
    auto list = pool.map_async(square, {1, 2, 3}, {.chunksize = 1});
    CHECK(fine.get() == 36);
    CHECK(got == 36);
    CHECK_THROWS_AS(wrong.get(), std::out_of_range);
    CHECK(failed == 1);
    CHECK(list.get() == std::vector{1, 4, 9});
    CHECK(list.successful());
}

TEST_CASE("An exception arrives as its own type, that of the first item that failed", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2});
    const auto text = text_of_thrown<std::out_of_range>([&] {
        pool.map(odd_only, {1, 3, 4, 6, 8}, 2);
    });
    REQUIRE(text);
    CHECK(text->find("even: 4") != std::string::npos);
    CHECK(text->find("item 2") != std::string::npos);
    CHECK(pool.map(square, {2}) == std::vector{4});
}

TEST_CASE("A task that crashes costs itself, and its error names the node", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2, .retries = 0});
    for (int round = 0; round < 3; ++round) {
        try {
            pool.map(crash_at_7, numbers_to(20), 1);
            FAIL("no exception");
        } catch (const mp::WorkerLost& lost) {
            CHECK(lost.exitcode() == -SIGSEGV);
            CHECK(lost.item() == 7);
            CHECK(lost.reason() == mp::LossReason::crash);
            const std::string place = mp::detail::own_host_name() + ", rank ";
            if (mp::mpi::size() > 1)
                CHECK(std::string(lost.what()).find(place) != std::string::npos);
        }
    }
    CHECK(pool.map(square, {2, 3}) == std::vector{4, 9});
    for (const mp::mpi::Node& node : pool.nodes()) CHECK(!node.lost);
}

TEST_CASE("A task whose worker has died is tried again", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2, .retries = 1});
    CHECK(pool.map(crash_at_first, {1, 2, 3, 4}, 1) == std::vector{1, 2, 3, 4});
}

TEST_CASE("A task that takes too long is ended", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2, .task_timeout = 0.3});
    CHECK_THROWS_AS(pool.apply(sleep_for, 60'000), mp::TimeoutError);
    auto own = pool.apply_async({.timeout = 0.1}, sleep_for, 60'000);
    CHECK_THROWS_AS(own.get(), mp::TimeoutError);
    CHECK(pool.apply(sleep_for, 1) == 1);
}

TEST_CASE("Each worker calls the initializer first", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2}, greet, 40, "hi");
    CHECK(pool.map(greeted, {0, 0, 0, 0}, 1) == std::vector(4, 42));
}

TEST_CASE("An initializer that throws breaks the pool", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1}, fail);
    const auto text =
        text_of_thrown<mp::BrokenProcessPool>([&] { pool.map(square, numbers_to(10)); });
    REQUIRE(text);
    CHECK(text->find("no licence") != std::string::npos);
    CHECK_THROWS_AS(pool.apply(square, 1), mp::BrokenProcessPool);
}

TEST_CASE("All nodes run tasks, and a task knows the rank of its node", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1});
    CHECK(mp::mpi::rank() == 0);
    const auto nodes = pool.nodes();
    std::set<int> expected;
    std::set<std::string> hosts;
    for (const mp::mpi::Node& node : nodes) {
        expected.insert(node.rank);
        hosts.insert(node.host);
        CHECK(node.processes == 1);
        CHECK(!node.lost);
    }
    if (std::getenv("THREE_MACHINES") != nullptr) {
        CHECK(hosts == std::set<std::string>{"node2", "node3"});
    } else {
        CHECK(hosts == std::set{mp::detail::own_host_name()});
    }
    CHECK(expected.size() == static_cast<std::size_t>(std::max(1, mp::mpi::size() - 1)));
    std::set<int> seen;
    for (const auto& [rank, size] : pool.map(where, numbers_to(500), 1)) {
        seen.insert(rank);
        CHECK(size == mp::mpi::size());
    }
    CHECK(seen == expected);
}

TEST_CASE("cancel takes back what was not begun, or kills what was", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1});
    auto running = pool.map_async(sleep_for, std::vector(50, 60'000), {.chunksize = 1});
    std::this_thread::sleep_for(100ms);
    CHECK(running.cancel(true));
    CHECK_THROWS_AS(running.get(), mp::CancelledError);
    CHECK(pool.map(square, numbers_to(20), 1) == squares_to(20));
    auto partly = pool.map_async(sleep_for, std::vector(500, 10), {.chunksize = 1});
    CHECK(partly.cancel());
    CHECK_THROWS_AS(partly.get(), mp::CancelledError);
    CHECK(pool.map(square, numbers_to(20), 1) == squares_to(20));
}

TEST_CASE("A stream that is dropped half-way takes back the rest", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1});
    for (int round = 0; round < 5; ++round) {
        auto stream = pool.imap(square, numbers_to(10'000));
        CHECK(stream.next() == 0);
    }
    CHECK(pool.apply(square, 5) == 25);
}

TEST_CASE("Handles are refused, in arguments and in results", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1});
    const auto text = text_of_thrown<mp::ValueError>(
        [&] { pool.apply(take_holder, Holder{{mp::Queue<int>()}}); });
    REQUIRE(text);
    CHECK(text->find("handle") != std::string::npos);
    CHECK(pool.apply(take_holder, Holder{}) == 0);
    if (mp::mpi::size() > 1) CHECK_THROWS_AS(pool.map(make_holder, {1, 2}), mp::ValueError);
    CHECK(pool.apply(square, 5) == 25);
}

TEST_CASE("A closed pool finishes its work and takes no more", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1});
    CHECK_THROWS_AS(pool.join(), mp::ValueError);
    auto result = pool.map_async(sleep_for, std::vector(20, 5), {.chunksize = 1});
    auto stream = pool.imap(square, numbers_to(500));
    pool.close();
    CHECK_THROWS_AS(pool.apply(square, 1), mp::ValueError);
    pool.join();
    CHECK(result.get() == std::vector(20, 5));
    int count = 0;
    while (stream.next()) ++count;
    CHECK(count == 500);
}

TEST_CASE("A terminated pool ends its calls", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2});
    auto result = pool.map_async(sleep_for, std::vector(50, 60'000), {.chunksize = 1});
    pool.terminate();
    CHECK_THROWS_AS(result.get(), mp::CancelledError);
    CHECK_THROWS_AS(pool.apply(square, 1), mp::ValueError);
    pool.join();
}

TEST_CASE("Calls of a higher priority are handed out first", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1, .ahead = 1});
    std::vector<int> order;
    std::mutex mutex;
    const auto note = [&](int which) {
        return [&, which](std::vector<int>) {
            const std::lock_guard guard(mutex);
            order.push_back(which);
        };
    };
    auto busy = pool.map_async(sleep_for, std::vector(20, 20), {.chunksize = 1});
    auto low = pool.map_async(sleep_for, std::vector(20, 5), {.chunksize = 1, .callback = note(1)});
    auto high = pool.map_async(sleep_for, std::vector(20, 5),
                               {.chunksize = 1, .callback = note(2), .priority = 5});
    busy.wait();
    low.wait();
    high.wait();
    CHECK(order == std::vector{2, 1});
}

TEST_CASE("Several pools work at once", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool first({.processes = 1});
    mp::mpi::Pool second({.processes = 1}, greet, 1, "");
    auto slow = first.map_async(sleep_for, std::vector(20, 10), {.chunksize = 1});
    CHECK(second.map(greeted, {1, 2}) == std::vector{1, 1});
    CHECK(slow.get().size() == 20);
}

TEST_CASE("Eight threads use one pool", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 2});
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 20; ++i) {
                right += pool.apply(add, t, i) == t + i;
                right += pool.map(square, numbers_to(100), 1 + t) == squares_to(100);
                right += support::throws<std::out_of_range>([&] { pool.apply(odd_only, 2); });
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(right == 8 * 20 * 3);
}

TEST_CASE("One program makes many pools", "[mpi]") {
    const support::Watchdog watchdog(240);
    for (int i = 0; i < 100; ++i) {
        mp::mpi::Pool pool({.processes = 1});
        REQUIRE(pool.apply(square, i) == i * i);
    }
}

TEST_CASE("Options out of their range are refused", "[mpi]") {
    using Pool = mp::mpi::Pool;
    CHECK_THROWS_AS(Pool({.processes = -1}), mp::ValueError);
    CHECK_THROWS_AS(Pool({.ahead = 0}), mp::ValueError);
    CHECK_THROWS_AS(Pool({.lost_after = std::nullopt}), mp::ValueError);
    CHECK_THROWS_AS(Pool({.retries = -1}), mp::ValueError);
    CHECK_THROWS_AS(mp::mpi::serve(), mp::RuntimeError);
    Pool pool({.processes = 1});
    CHECK_THROWS_AS(pool.map(square, {1}, 0), mp::ValueError);
}

TEST_CASE("An idle rank takes little of a core", "[mpi]") {
    const support::Watchdog watchdog(240);
    mp::mpi::Pool pool({.processes = 1});
    pool.apply(square, 1);
    const auto begin = std::clock();
    std::this_thread::sleep_for(2s);
    const double used = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC / 2;
    // An upper bound for a thread that would spin: the aim is 3 %, which a loaded machine may miss.
    CHECK(used < 0.3);
    WARN("rank 0, idle: " << used * 100 << " % of a core");
}
