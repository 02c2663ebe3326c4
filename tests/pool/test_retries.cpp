// Tasks that are tried again: after an exception, after a delay, and what they know about it.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <cmath>
#include <map>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace {

struct Busy : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// When each try of the items of a call began, in nanoseconds; 0: there was none.
struct Tries {
    std::atomic<int> count[64];
    std::atomic<std::uint64_t> began[64][8];
};

/// Fails until its `good`th try, in one of several ways.
enum class Way { busy, system_error, other, killed };
std::string succeed_at(std::uint64_t tries, int good, Way way, int x) {
    auto& known = in_heap<Tries>(tries);
    const int number = ++known.count[x];
    known.began[x][number % 8] = mp::detail::monotonic_now();
    if (mp::this_task::attempt() != static_cast<std::uint32_t>(number)) ::_exit(9);
    if (mp::this_task::index() != static_cast<std::size_t>(x)) ::_exit(10);
    if (number >= good) return std::to_string(x);
    switch (way) {
        case Way::busy:
            throw Busy("not yet");
        case Way::system_error:
            throw std::system_error(EAGAIN, std::generic_category(), "a call");
        case Way::other:
            throw std::out_of_range("of another class");
        case Way::killed:
            std::raise(SIGKILL);
    }
    return "";
}
auto task(const InHeap<Tries>& tries, int good, Way way = Way::busy) {
    return mp::partial(succeed_at, tries.offset(), good, way);
}
std::vector<std::string> texts(int n) {
    std::vector<std::string> all;
    for (int i = 0; i < n; ++i) all.push_back(std::to_string(i));
    return all;
}

struct EndBy {  // at item 3: by _exit when it is 0, by a signal when it is above, else never
    int how;
    int operator()(int x) const {
        if (x != 3) return x;
        if (how == 0) ::_exit(7);
        if (how == SIGSEGV) std::signal(SIGSEGV, SIG_DFL);
        if (how > 0) std::raise(how);
        for (;;) ::pause();
    }
};

std::size_t taken_apart(std::string text) {  // uses its item up
    if (mp::this_task::attempt() < 3) throw Busy(text);
    return text.size();
}

std::uint64_t tasks_in(const mp::PoolStats& stats) {
    std::uint64_t tasks = 0;
    for (const mp::WorkerStats& worker : stats.workers) tasks += worker.tasks;
    return tasks;
}

std::optional<std::size_t> place_in_call(int) { return mp::this_task::index(); }

}  // namespace

TEMPLATE_TEST_CASE("A task that throws what retry_on names is tried again", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(
        {.processes = 2, .retries = 2, .retry_on = mp::retry_on<std::system_error, Busy>()});
    for (const int chunk : {1, 4, 20}) {
        for (const Way way : {Way::busy, Way::system_error, Way::killed}) {
            const InHeap<Tries> tries;
            REQUIRE(pool.map(task(tries, 3, way), numbers(20), chunk) == texts(20));
            for (int i = 0; i < 20; ++i) REQUIRE(tries->count[i] == 3);
        }
    }
    REQUIRE(pool.imap(square, numbers(4)).next() == 0);
}

TEMPLATE_TEST_CASE("The last exception of a task that was tried in vain is its error", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2,
                                  .retries = 2,
                                  .retry_on = mp::retry_on<std::system_error>(),
                                  .retry_delay = GENERATE(0.0, 0.01)});
    const InHeap<Tries> tries;
    try {
        pool.map(task(tries, 100, Way::system_error), numbers(20), 5);
        FAIL("no exception");
    } catch (const std::system_error& error) {
        REQUIRE(error.code().value() == EAGAIN);
        REQUIRE(std::string(error.what()).find("item 0 of call 1") != std::string::npos);
        REQUIRE(std::string(error.what()).find("attempt 3") != std::string::npos);
    }
    for (int i = 0; i < 20; ++i) REQUIRE(tries->count[i] == 3);
    // Another class: at once, and all others are run.
    const InHeap<Tries> once;
    REQUIRE_THROWS_AS(pool.map(task(once, 100, Way::other), numbers(20), 5), std::out_of_range);
    for (int i = 0; i < 20; ++i) REQUIRE(once->count[i] == 1);
}

TEMPLATE_TEST_CASE("retry_delay lets a task rest, and others run meanwhile", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 1,
                                  .retries = 3,
                                  .retry_on = mp::retry_on<Busy>(),
                                  .retry_delay = 0.1,
                                  .retry_backoff = 2});
    const Way way = GENERATE(Way::busy, Way::killed);
    const InHeap<Tries> tries;
    const auto late = pool.map_async(task(tries, 4, way), numbers(3), {.chunksize = 2});
    int others = 0;  // by the only worker
    while (!late.ready()) others += pool.apply(square, 1);
    REQUIRE(late.get() == texts(3));
    CHECK(others > 0);
    for (int x = 0; x < 3; ++x) {
        REQUIRE(tries->count[x] == 4);
        for (const auto& [number, least] :
             std::map<int, std::uint64_t>{{1, 100}, {2, 200}, {3, 400}}) {
            const std::uint64_t waited = tries->began[x][number + 1] - tries->began[x][number];
            CHECK(waited >= least * 1'000'000);
        }
    }
}

TEMPLATE_TEST_CASE("Tasks that rest end with their call and with their pool", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const InHeap<Tries> tries;
    mp::BasicPool<TestType> pool(
        {.processes = 2, .retries = 3, .retry_on = mp::retry_on<Busy>(), .retry_delay = 600});
    const auto cancelled = pool.map_async(task(tries, 2), numbers(6), {.chunksize = 1});
    const auto dropped = pool.apply_async(task(tries, 2), 7);
    (void)pool.apply_async(task(tries, 2), 8);  // nobody wants its result
    REQUIRE(support::eventually([&] { return tries->count[8] == 1 && tries->count[5] == 1; }));
    REQUIRE(pool.apply(square, 2) == 4);
    ::usleep(100'000);  // the owner has seen them by now, or has not
    REQUIRE(cancelled.cancel());
    REQUIRE_THROWS_AS(cancelled.get(), mp::CancelledError);
    REQUIRE(!dropped.ready());
    pool.terminate();
    REQUIRE_THROWS_AS(dropped.get(), mp::CancelledError);
}

TEMPLATE_TEST_CASE("A closed pool waits for the tasks that rest", "[pool]", START_METHODS) {
    const Tidy tidy;
    const InHeap<Tries> tries;
    mp::BasicPool<TestType> pool({.processes = 2,
                                  .maxtasksperchild = 1,
                                  .retries = 5,
                                  .retry_on = mp::retry_on<Busy>(),
                                  .retry_delay = 0.05});
    const auto result = pool.map_async(task(tries, 3), numbers(8), {.chunksize = 2});
    pool.close();
    pool.join();
    REQUIRE(result.get() == texts(8));
    for (int i = 0; i < 8; ++i) REQUIRE(tries->count[i] == 3);
}

TEMPLATE_TEST_CASE("Retries with a delay hold through a storm of kills", "[pool]", START_METHODS) {
    const Tidy tidy;
    int kills = 0;
    const InHeap<Tries> tries;
    {
        mp::BasicPool<TestType> pool({.processes = 3,
                                      .maxtasksperchild = 7,
                                      .retries = 1000,
                                      .retry_on = mp::retry_on<Busy>(),
                                      .retry_delay = 0.002});
        const support::RandomKiller killer(3'000, 100, kills);
        for (int round = 0; round < 10; ++round) {
            // A try that was cut short counts, so the task itself cannot compare its numbers here.
            const auto results = pool.map(
                [](int x) {
                    if (mp::this_task::attempt() < 3) throw Busy("again");
                    return -x;
                },
                numbers(60), 4);
            for (int x = 0; x < 60; ++x) REQUIRE(results[static_cast<std::size_t>(x)] == -x);
        }
        std::size_t place = 0;
        for (const int result : pool.imap(
                 [](int x) {
                     if (mp::this_task::attempt() < 2) throw Busy("again");
                     return x;
                 },
                 numbers(200), 3)) {
            REQUIRE(result == static_cast<int>(place++));
        }
        REQUIRE(place == 200);
    }
    CHECK(kills > 0);
}

TEMPLATE_TEST_CASE("A lost task says which one it was, how often it was tried, and why", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(
        {.processes = 2, .task_timeout = support::sanitized ? 2.0 : 0.3, .retries = 2});
    using Expected = std::pair<int, mp::LossReason>;
    for (const auto& [how, reason] :
         {Expected{0, mp::LossReason::exit}, Expected{SIGSEGV, mp::LossReason::crash},
          Expected{SIGKILL, mp::LossReason::signal}, Expected{SIGTERM, mp::LossReason::signal}}) {
        try {
            pool.map(EndBy{how}, numbers(10), 2);
            FAIL("no exception");
        } catch (const mp::WorkerLost& error) {
            CHECK(error.item() == 3);
            CHECK(error.attempts() == 3);
            CHECK(error.reason() == reason);
        }
    }
    try {
        pool.map(EndBy{-1}, numbers(10), 2);
        FAIL("no exception");
    } catch (const mp::TimeoutError& error) {
        CHECK(error.item() == 3);
        CHECK(error.attempts() == 1);
        CHECK(error.reason() == mp::LossReason::timeout);
    }
}

TEMPLATE_TEST_CASE("An exception of these classes keeps its data on the way", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    try {
        pool.map(
            [](int) {
                throw mp::TimeoutError("late", {4, 2, mp::LossReason::timeout});
            },
            numbers(2));
        FAIL("no exception");
    } catch (const mp::TimeoutError& error) {
        CHECK(error.item() == 4);
        CHECK(error.attempts() == 2);
        CHECK(std::string(error.what()).starts_with("late (item 0 of call 1"));
    }
    try {
        pool.apply([] { throw mp::WorkerLost("lost", 3, 4, {5, 6, mp::LossReason::memory}); });
        FAIL("no exception");
    } catch (const mp::WorkerLost& error) {
        CHECK(error.item() == 5);
        CHECK(error.attempts() == 6);
        CHECK(error.reason() == mp::LossReason::memory);
        CHECK(error.exitcode() == 3);
    }
}

TEMPLATE_TEST_CASE("this_task knows a task's place; outside of a task there is none", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    REQUIRE(mp::this_task::index() == std::nullopt);
    REQUIRE(mp::this_task::attempt() == 0);
    mp::BasicPool<TestType> pool(2);
    std::size_t place = 0;
    for (const auto& index : pool.map(place_in_call, numbers(30), 4)) REQUIRE(index == place++);
    REQUIRE(place == 30);
    place = 0;
    for (const auto& index : pool.imap(place_in_call, numbers(300), 4)) REQUIRE(index == place++);
    REQUIRE(place == 300);
    // Another thread of the worker's is within the task; a process that the task starts is not.
    REQUIRE(pool.apply([] {
        std::uint32_t attempt = 0;
        std::thread([&attempt] { attempt = mp::this_task::attempt(); }).join();
        return attempt;
    }) == 1);
    REQUIRE(pool.apply([] {
        mp::ForkProcess child([] { mp::exit(mp::this_task::index() ? 1 : 0); });
        child.start();
        child.join();
        return *child.exitcode();
    }) == 0);
}

TEST_CASE("A pool of threads tries again too, each time with a fresh copy of the item", "[pool]") {
    const Tidy tidy;
    mp::ThreadPool pool(mp::PoolOptions{.processes = 2,
                                        .retries = 2,
                                        .retry_on = mp::retry_on<Busy>(),
                                        .retry_delay = GENERATE(0.0, 0.02)});
    const std::vector<std::string> words{"a", "bc", "def"};
    REQUIRE(pool.map(taken_apart, words, 2) == std::vector<std::size_t>{1, 2, 3});
    REQUIRE(pool.apply(taken_apart, "four") == 4);
    REQUIRE(pool.apply_async(taken_apart, "fives").get() == 5);
    int runs = 0;
    REQUIRE_THROWS_AS(pool.apply([&] { ++runs, throw Busy("for ever"); }), Busy);
    REQUIRE(runs == 3);
    REQUIRE_THROWS_AS(pool.apply([&] { ++runs, throw std::logic_error("other"); }),
                      std::logic_error);
    REQUIRE(runs == 4);
    // What can only be moved cannot be given twice.
    REQUIRE_THROWS_AS(pool.apply([&](std::unique_ptr<int>) { ++runs, throw Busy("once"); },
                                 std::make_unique<int>(1)),
                      Busy);
    REQUIRE(runs == 5);
    std::size_t place = 0;
    for (const auto& index : pool.imap(place_in_call, numbers(100), 3)) REQUIRE(index == place++);
}

TEST_CASE("A thread that waits for the next try ends its wait with its pool", "[pool]") {
    const Tidy tidy;
    mp::ThreadPool pool(mp::PoolOptions{
        .processes = 1, .retries = 2, .retry_on = mp::retry_on<Busy>(), .retry_delay = 600});
    std::atomic<int> runs{0};
    const auto late = pool.apply_async([&] { ++runs, throw Busy("for ever"); });
    REQUIRE(support::eventually([&] { return runs == 1; }));
    pool.terminate();
    REQUIRE_THROWS_AS(late.get(), mp::CancelledError);
    pool.join();
}

TEST_CASE("Options of retries that make no sense are refused", "[pool]") {
    const Tidy tidy;
    REQUIRE_THROWS_AS(mp::Pool({.processes = 1, .retry_delay = std::nullopt}), mp::ValueError);
    REQUIRE_THROWS_AS(mp::Pool({.processes = 1, .retry_backoff = 0.5}), mp::ValueError);
    REQUIRE_THROWS_AS(mp::Pool({.processes = 1, .retry_backoff = NAN}), mp::ValueError);
    REQUIRE(!mp::PoolOptions().retry_on);
}

TEMPLATE_TEST_CASE("stats counts what was tried again after exceptions, and each item once",
                   "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2,
                                  .retries = 2,
                                  .retry_on = mp::retry_on<Busy>(),
                                  .retry_delay = GENERATE(0.0, 0.01)});
    const InHeap<Tries> tries;
    REQUIRE(pool.map(task(tries, 3), numbers(20), 4) == texts(20));
    // A moment after the results are there, the workers have written it all down.
    REQUIRE(support::eventually([&] { return tasks_in(pool.stats()) >= 20; }));
    ::usleep(50'000);
    REQUIRE(tasks_in(pool.stats()) == 20);
    REQUIRE((pool.stats().retries == 40 && pool.stats().lost == 0));
}

TEST_CASE("stats of a pool within this process counts retries too", "[pool][threads]") {
    const Tidy tidy;
    const mp::PoolOptions options{
        .processes = 2, .retries = 2, .retry_on = mp::retry_on<Busy>(), .retry_delay = 0.001};
    const auto check = [](auto pool) {
        const InHeap<Tries> tries;
        REQUIRE(pool->map(task(tries, 3), numbers(20), 4) == texts(20));
        pool->close();
        pool->join();
        REQUIRE(pool->stats().retries == 40);
    };
    check(std::make_unique<mp::ThreadPool>(options));
    check(std::make_unique<mp::BasicPool<mp::start_method::serial>>(options));
}
