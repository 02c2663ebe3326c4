// Tasks that throw and workers that die.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <sys/resource.h>

#include <list>
#include <map>
#include <ranges>

namespace {

struct Unknown : std::runtime_error {
    using std::runtime_error::runtime_error;
};
int throw_unknown(int) { throw Unknown("of a type of its own"); }

enum class End { none, sigkill, sigsegv, exit_3, mp_exit, exit_0 };
int end_at(int x, int victim, End end) {
    if (x == victim) {
        switch (end) {
            case End::none:
                break;
            case End::sigkill:
                std::raise(SIGKILL);
                break;
            case End::sigsegv:
                std::signal(SIGSEGV, SIG_DFL);
                std::raise(SIGSEGV);
                break;
            case End::exit_3:
                ::_exit(3);
            case End::mp_exit:
                mp::exit(4);
            case End::exit_0:
                ::_exit(0);
        }
    }
    return x;
}
std::string end_once(int x, std::uint64_t counters) {
    // Every tenth task kills its worker the first time that it runs.
    if (x % 10 == 0 && in_heap<Counters>(counters).of[x].fetch_add(1) == 0) {
        std::raise(SIGKILL);
    }
    return std::to_string(x);
}
int count_run(int x, std::uint64_t counters, int victim) {
    in_heap<Counters>(counters).of[x].fetch_add(1);
    if (x == victim) std::raise(SIGKILL);
    return x;
}
void fail_to_initialize(const std::string& why) { throw std::runtime_error(why); }
void die_at_start() { ::_exit(5); }

}  // namespace

TEMPLATE_TEST_CASE("An exception comes back as its own type, and the others are finished", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    for (const int chunk : {1, 3, 50}) {
        try {
            pool.map(fail_at_odd, numbers(50), chunk);
            FAIL("no exception");
        } catch (const std::out_of_range& error) {
            REQUIRE(std::string(error.what())
                        .starts_with("odd: 1 (item 1 of call "));  // the first, not the fastest
        }
    }
    REQUIRE(pool.map(square, {3}) == std::vector{9});
}

TEMPLATE_TEST_CASE("An exception of an unknown type is a RemoteError that says all", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    try {
        pool.apply(throw_unknown, 0);
        FAIL("no exception");
    } catch (const mp::RemoteError& error) {
        REQUIRE(error.type_name().find("Unknown") != std::string::npos);
        REQUIRE(error.process_name().starts_with("PoolWorker-"));
        REQUIRE(error.pid() != ::getpid());
        REQUIRE(std::string(error.what()).find("of a type of its own") != std::string::npos);
    }
}

TEMPLATE_TEST_CASE("A worker that dies fails its task alone", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const auto [end, exitcode] =
        GENERATE(std::pair(End::sigkill, -SIGKILL), std::pair(End::sigsegv, -SIGSEGV),
                 std::pair(End::exit_3, 3), std::pair(End::mp_exit, 4), std::pair(End::exit_0, 0));
    for (const int chunk : {1, 7}) {
        try {
            pool.map(mp::partial([](int victim, End how, int x) { return end_at(x, victim, how); },
                                 13, end),
                     numbers(40), chunk);
            FAIL("no exception");
        } catch (const mp::WorkerLost& error) {
            REQUIRE(error.exitcode() == exitcode);
            REQUIRE(error.pid() > 0);
            const std::string what = error.what();
            REQUIRE(what.find("item 13 ") != std::string::npos);
            if (exitcode == -SIGKILL) REQUIRE(what.find("SIGKILL") != std::string::npos);
        }
    }
    REQUIRE(pool.map(square, numbers(3)) == std::vector{0, 1, 4});
}

TEMPLATE_TEST_CASE("The tasks beside a lost one run, and run once", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    InHeap<Counters> runs;
    REQUIRE_THROWS_AS(
        pool.starmap(count_run, std::views::iota(0, 100) | std::views::transform([&](int x) {
                                    return std::tuple(x, runs.offset(), 42);
                                })),
        mp::WorkerLost);
    for (int x = 0; x < 100; ++x) REQUIRE(runs->of[x] == 1);
}

TEMPLATE_TEST_CASE("With retries a task survives the loss of its worker", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .retries = 1});
    for (const int chunk : {1, 25}) {
        InHeap<Counters> runs;
        const auto items = std::views::iota(0, 100) | std::views::transform([&](int x) {
                               return std::tuple(x, runs.offset());
                           });
        const std::vector<std::string> results = pool.starmap(end_once, items, chunk);
        REQUIRE(results.size() == 100);
        for (int x = 0; x < 100; ++x)
            REQUIRE(results[static_cast<std::size_t>(x)] == std::to_string(x));
        for (int x = 0; x < 100; x += 10) REQUIRE(runs->of[x] == 2);
    }
}

TEMPLATE_TEST_CASE("An idle worker that is killed is replaced", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const pid_t victim = pool.apply(worker_pid, 0);
    ::kill(victim, SIGKILL);
    REQUIRE(support::eventually([&] {
        const auto active = mp::active_children();
        return active.size() == 2 && active[0].pid() != victim && active[1].pid() != victim;
    }));
    REQUIRE(pool.map(square, numbers(3)) == std::vector{0, 1, 4});
}

TEMPLATE_TEST_CASE("An initializer that throws breaks the pool with its message", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2, fail_to_initialize, "no licence");
    REQUIRE_THROWS_WITH(pool.map(square, numbers(10)),
                        Catch::Matchers::ContainsSubstring("no licence"));
    REQUIRE_THROWS_AS(pool.map(square, numbers(10)), mp::BrokenProcessPool);
}

TEMPLATE_TEST_CASE("Workers that end before they are ready break the pool", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2, die_at_start);
    REQUIRE_THROWS_AS(pool.map(square, numbers(10)), mp::BrokenProcessPool);
}

namespace {

constexpr unsigned storm_interval = support::sanitized ? 50'000 : 5'000;  // microseconds
constexpr int most_kills = support::sanitized ? 20 : 500;
constexpr int storm_tasks = support::sanitized ? 2'000 : 20'000;

/// Takes some time of a core.
int square_with_effort(int x) {
    const auto end = mp::detail::monotonic_now() + 20'000;
    while (mp::detail::monotonic_now() < end) mp::detail::spin_pause();
    return x * x;
}
std::string describe_with_effort(int x) { return std::to_string(square_with_effort(x)); }

}  // namespace

TEMPLATE_TEST_CASE("A kill storm costs no result that can be had", "[pool][storm]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 4, .retries = 10});
    int kills = 0;
    bool right = true;
    {
        const support::RandomKiller killer(storm_interval, most_kills, kills);
        const auto squares = pool.map(square_with_effort, numbers(storm_tasks), 1);
        for (int i = 0; i < storm_tasks; ++i)
            right &= squares[static_cast<std::size_t>(i)] == i * i;
        const auto texts = pool.map(describe_with_effort, numbers(storm_tasks), 13);
        for (int i = 0; i < storm_tasks; ++i) {
            right &= texts[static_cast<std::size_t>(i)] == std::to_string(i * i);
        }
        int next = 0;
        for (const int x : pool.imap(square_with_effort, numbers(storm_tasks / 4), 3)) {
            right &= x == next * next;
            ++next;
        }
        right &= next == storm_tasks / 4;
    }
    REQUIRE(right);
    REQUIRE(kills > 0);
}

TEMPLATE_TEST_CASE("In a kill storm without retries each task is right, or lost and said to be",
                   "[pool][storm]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(4);
    int kills = 0;
    int right = 0;
    int lost = 0;
    {
        const support::RandomKiller killer(storm_interval, most_kills, kills);
        auto stream = pool.imap(describe_with_effort, numbers(storm_tasks), 5);
        for (int i = 0; i < storm_tasks; ++i) {
            try {
                right += stream.next() == std::to_string(i * i);
            } catch (const mp::WorkerLost&) {
                ++lost;
            }
        }
        REQUIRE(!stream.next());
    }
    REQUIRE(right + lost == storm_tasks);
    REQUIRE(kills > 0);
    REQUIRE(lost <= kills);
}
