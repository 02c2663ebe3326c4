// ThreadPool: the interface of Pool on threads.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <algorithm>
#include <latch>
#include <list>
#include <numeric>
#include <ranges>
#include <stdexcept>

namespace {

/// Not known to any other process, and not copyable to one.
struct OwnError : std::runtime_error {
    OwnError(const void* which) : std::runtime_error("its own"), place(which) {}
    const void* place;
};

}  // namespace

TEST_CASE("ThreadPool has the calls of Pool, for any callable", "[pool][threads]") {
    const Tidy tidy;
    mp::ThreadPool pool(3);
    int factor = 3;  // captured
    REQUIRE(pool.map([&](int x) { return x * factor; }, {1, 2}) == std::vector{3, 6});
    for (const int chunk : {1, 7, 5000}) {
        const auto squares = pool.map(square, numbers(1000), chunk);
        for (int i = 0; i < 1000; ++i) REQUIRE(squares[static_cast<std::size_t>(i)] == i * i);
    }
    REQUIRE(pool.map(square, std::views::iota(0, 9) | std::views::filter(is_even)).size() == 5);
    REQUIRE(pool.starmap(multiply, {{1, 2}, {3, 4}}) == std::vector{2, 12});
    REQUIRE(pool.starmap(describe, {{"n", 1}}) == std::vector<std::string>{"n1"});
    REQUIRE(pool.map(is_even, std::list{1, 2}) == std::vector<bool>{false, true});
    REQUIRE(pool.apply(std::function<int(int)>(square), 4) == 16);
    std::atomic<int> calls{0};
    pool.apply([&] { ++calls; });
    pool.map([&](int) { ++calls; }, numbers(10));
    REQUIRE(calls == 11);
    REQUIRE(pool.map(square, std::vector<int>()).empty());
    REQUIRE(pool.map_async(square, numbers(10)).get().back() == 81);
    REQUIRE(pool.starmap_async(multiply, {{5, 6}}).get() == std::vector{30});
    REQUIRE(pool.apply_async(describe, "n", 3).get() == "n3");
    std::vector<int> results;
    for (const int x : pool.imap(square, numbers(100), 3)) results.push_back(x);
    REQUIRE(results == pool.map(square, numbers(100)));
    int sum = 0;
    for (const int x : pool.imap_unordered([](int y) { return y; }, std::views::iota(0), 1, 9)) {
        sum += x;
        if (sum > 5000) break;
    }
    std::set<std::thread::id> threads;
    std::latch all(3);
    for (const auto& id : pool.map(
             [&](int) {
                 all.arrive_and_wait();
                 return std::this_thread::get_id();
             },
             numbers(3), 1)) {
        threads.insert(id);
    }
    REQUIRE(threads.size() == 3);
}

TEST_CASE("Threads use items where they lie, and may change them", "[pool][threads]") {
    const Tidy tidy;
    mp::ThreadPool pool(2);
    std::vector<std::unique_ptr<int>> owners;
    owners.push_back(std::make_unique<int>(4));
    REQUIRE(pool.map([](const std::unique_ptr<int>& x) { return x.get(); }, owners)[0] ==
            owners[0].get());
    std::vector<std::string> words(50, "x");
    pool.map([](std::string& word) { word += "y"; }, words);
    REQUIRE(words == std::vector<std::string>(50, "xy"));
    pool.map([](std::string word) { return word.size(); }, words);
    REQUIRE(words == std::vector<std::string>(50, "xy"));
    REQUIRE(*pool.apply_async([](std::unique_ptr<int> x) { return x; }, std::make_unique<int>(7))
                 .get() == 7);
}

TEST_CASE("ThreadPool throws the very object that was thrown", "[pool][threads]") {
    const Tidy tidy;
    mp::ThreadPool pool(2);
    int here = 0;
    const auto result = pool.apply_async([&]() -> int { throw OwnError(&here); });
    for (int i = 0; i < 2; ++i) {
        try {
            result.get();
            FAIL("no exception");
        } catch (const OwnError& error) {
            REQUIRE(error.place == &here);
        }
    }
    REQUIRE(!result.successful());
    REQUIRE_THROWS_WITH(pool.map(fail_at_odd, numbers(20), 3), "odd: 1");
    auto stream = pool.imap(fail_at_odd, numbers(4), 2);
    REQUIRE(stream.next() == 0);
    REQUIRE_THROWS_AS(stream.next(), std::out_of_range);
    REQUIRE(stream.next() == 2);
    REQUIRE_THROWS_AS(stream.next(), std::out_of_range);
    REQUIRE(!stream.next());
}

TEST_CASE("ThreadPool runs callbacks in order, before results are ready", "[pool][threads]") {
    const Tidy tidy;
    mp::ThreadPool pool(2);
    std::vector<int> seen;
    for (int i = 0; i < 100; ++i) {
        pool.apply_async({.callback =
                              [&](int x) {
                                  seen.push_back(x);
                                  if (x == 0) throw std::runtime_error("stops nothing");
                              }},
                         negate, i)
            .wait();
        REQUIRE(seen.back() == -i);
    }
    int errors = 0;
    pool.map_async(fail_at_odd, numbers(9),
                   {.error_callback = [&](const std::exception_ptr&) { ++errors; }})
        .wait();
    REQUIRE(errors == 1);
}

TEST_CASE("ThreadPool waits no longer than told, and cancels what has not begun",
          "[pool][threads]") {
    const Tidy tidy;
    mp::ThreadPool pool(1);
    Gate gate;
    const auto running = pool.apply_async(gate.task(), 1);
    gate.wait_for(1);
    const auto waiting = pool.map_async(square, numbers(10));
    REQUIRE_THROWS_AS(waiting.get(0.01), mp::TimeoutError);
    REQUIRE_THROWS_AS(waiting.successful(), mp::ValueError);
    REQUIRE(waiting.cancel());
    REQUIRE(!running.cancel(true));
    REQUIRE_THROWS_AS(waiting.get(), mp::CancelledError);
    gate.open();
    REQUIRE(running.get() == 1);
    REQUIRE(pool.apply(square, 3) == 9);
}

TEST_CASE("ThreadPool closes, terminates and joins as Pool does", "[pool][threads]") {
    const Tidy tidy;
    REQUIRE_THROWS_AS(mp::ThreadPool(0), mp::ValueError);
    {
        mp::ThreadPool pool(2);
        REQUIRE_THROWS_AS(pool.join(), mp::ValueError);
        const auto result = pool.map_async(square, numbers(1000), {.chunksize = 1});
        auto stream = pool.imap(square, numbers(300), 1);
        pool.close();
        REQUIRE_THROWS_WITH(pool.apply(square, 1), "Pool not running");
        pool.join();
        pool.join();
        REQUIRE(result.get().size() == 1000);
        int count = 0;
        while (stream.next()) ++count;
        REQUIRE(count == 300);
    }
    Gate gate;
    mp::ThreadPool pool(1);
    const auto running = pool.apply_async(gate.task(), 1);
    gate.wait_for(1);
    const auto waiting = pool.apply_async(square, 2);
    pool.terminate();  // at once
    REQUIRE_THROWS_AS(waiting.get(), mp::CancelledError);
    REQUIRE_THROWS_AS(running.get(), mp::CancelledError);
    REQUIRE_THROWS_AS(pool.map(square, numbers(3)), mp::ValueError);
    gate.open();
    pool.join();
}

TEST_CASE("A map that is cancelled waits for the threads that use its items", "[pool][threads]") {
    const Tidy tidy;
    mp::ThreadPool pool(1);
    Gate gate;
    std::atomic<bool> returned{false};
    bool cancelled = false;
    std::thread caller([&] {
        const std::vector<std::string> words(3, std::string(100, 'x'));
        const auto size_behind_gate = [&](const std::string& word) {
            pass_gate(gate.offset(), 0);
            return word.size();
        };
        cancelled =
            support::throws<mp::CancelledError>([&] { pool.map(size_behind_gate, words, 1); });
        returned = true;
    });
    gate.wait_for(1);
    pool.terminate();
    ::usleep(20'000);
    REQUIRE(!returned);
    gate.open();
    caller.join();
    REQUIRE(cancelled);
}

TEST_CASE("A thread pool's initializer runs in each thread; one that throws breaks it",
          "[pool][threads]") {
    const Tidy tidy;
    static thread_local int added = 0;
    mp::ThreadPool pool(
        2, [](int x) { added = x; }, 10);
    REQUIRE(pool.map([](int x) { return x + added; }, {1, 2, 3}) == std::vector{11, 12, 13});
    mp::ThreadPool broken(2, [] { throw std::runtime_error("no licence"); });
    REQUIRE_THROWS_WITH(broken.map(
                            [](int x) {
                                ::usleep(1000);
                                return x;
                            },
                            numbers(50), 1),
                        Catch::Matchers::ContainsSubstring("no licence"));
    REQUIRE_THROWS_AS(broken.apply(square, 1), mp::BrokenProcessPool);
}

TEST_CASE("Threads may use pools, and processes threads", "[pool][threads]") {
    const Tidy tidy;
    mp::ThreadPool threads(3);
    mp::Pool processes(2);
    REQUIRE(threads.map([&](int x) { return processes.apply(square, x); }, numbers(50)).back() ==
            49 * 49);
    const auto sum = [](int n) {
        mp::ThreadPool inner(2);
        const auto squares = inner.map(square, std::views::iota(0, n));
        return std::accumulate(squares.begin(), squares.end(), 0);
    };
    REQUIRE(processes.map(sum, {3, 4}) == std::vector{5, 14});
    mp::ForkProcess process([&] {
        try {
            threads.map(square, numbers(3));
        } catch (const mp::ValueError&) {
            mp::exit(7);
        }
    });
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 7);
}

TEST_CASE("ThreadPool lets go of a function when its call is over", "[pool][threads]") {
    const Tidy tidy;
    mp::ThreadPool pool(2);
    auto object = std::make_shared<int>(4);
    const std::weak_ptr<int> seen = object;
    const auto result = pool.apply_async([object] { return *object; });
    const auto several =
        pool.map_async([object](int x) { return *object + x; }, numbers(50), {.chunksize = 1});
    object.reset();
    REQUIRE(result.get() == 4);
    REQUIRE(several.get()[3] == 7);
    REQUIRE(seen.expired());
    Gate gate;
    const auto blocker = pool.map_async(gate.task(), numbers(2), {.chunksize = 1});
    gate.wait_for(2);
    object = std::make_shared<int>(5);
    const std::weak_ptr<int> other = object;
    const auto waiting = pool.apply_async([object] { return *object; });
    object.reset();
    REQUIRE(!other.expired());
    REQUIRE(waiting.cancel());
    REQUIRE(other.expired());
    gate.open();
}

/// Uses its pool when it is destroyed.
struct UsesPool {
    explicit UsesPool(mp::ThreadPool& used) : pool(&used) {}
    UsesPool(const UsesPool&) = delete;
    UsesPool& operator=(const UsesPool&) = delete;
    ~UsesPool() {
        try {
            (void)pool->apply_async([] {});
        } catch (const mp::ValueError&) {  // it is closed by now
        }
    }
    mp::ThreadPool* pool;
};

TEST_CASE("What a function holds may use the pool when it is destroyed", "[pool][threads]") {
    const Tidy tidy;
    mp::ThreadPool pool(2);
    for (int i = 0; i < 100; ++i) {
        pool.apply_async([last = std::make_shared<UsesPool>(pool)] {});
        pool.apply([] {});
    }
    pool.close();
    pool.join();
}
