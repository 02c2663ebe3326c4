// Calls of several priorities, and a bound to the calls that wait.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <multiprocessing/futures.hpp>

#include <algorithm>
#include <limits>
#include <mutex>

namespace {

/// The order in which tasks have begun.
struct Journal {
    std::atomic<int> count;
    std::atomic<int> entries[200'000];
};
int note(std::uint64_t journal, int x) {
    auto& known = in_heap<Journal>(journal);
    known.entries[known.count.fetch_add(1)] = x;
    return x;
}
std::vector<int> entries_of(const InHeap<Journal>& journal) {
    std::vector<int> all;
    for (int i = 0; i < journal->count; ++i) all.push_back(journal->entries[i]);
    return all;
}

}  // namespace

TEMPLATE_TEST_CASE("Workers begin calls of a higher priority first, in order within one", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const InHeap<Journal> journal;
    const auto task = mp::partial(note, journal.offset());
    mp::BasicPool<TestType> pool(1);
    Gate gate;
    const auto held = pool.apply_async(gate.task(), 0);
    gate.wait_for(1);
    std::vector<mp::AsyncResult<int>> results;
    std::vector<int> expected;
    for (int i = 0; i < 40; ++i) {
        const int priority = i % 5 - 2;
        results.push_back(pool.apply_async({.priority = priority}, task, 100 * priority + i));
        expected.push_back(100 * priority + i);
    }
    const auto map = pool.map_async(task, std::vector{1'001, 1'002, 1'003},
                                    {.chunksize = 1, .priority = std::numeric_limits<int>::max()});
    const auto last = pool.starmap_async(task, std::vector{std::tuple(-9'999)},
                                         {.priority = std::numeric_limits<int>::min()});
    std::stable_sort(expected.begin(), expected.end(), [](int a, int b) {
        const auto priority_of = [](int x) { return (x + 200) / 100; };
        return priority_of(a) > priority_of(b);
    });
    expected.insert(expected.begin(), {1'001, 1'002, 1'003});
    expected.push_back(-9'999);
    gate.open();
    pool.close();
    pool.join();
    REQUIRE(held.get() == 0);
    REQUIRE(map.get() == std::vector{1'001, 1'002, 1'003});
    REQUIRE(last.get() == std::vector{-9'999});
    REQUIRE(entries_of(journal) == expected);
}

TEMPLATE_TEST_CASE("An urgent call among 100,000 waiting ones is the next to run", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const InHeap<Journal> journal;
    const auto task = mp::partial(note, journal.offset());
    const int many = support::sanitized ? 5'000 : 100'000;
    mp::BasicPool<TestType> pool(1);
    Gate gate;
    const auto held = pool.apply_async(gate.task(), 0);
    gate.wait_for(1);
    std::vector<mp::AsyncResult<int>> waiting;
    for (int i = 0; i < many / 2; ++i) waiting.push_back(pool.apply_async(task, i));
    const auto map = pool.map_async(task, numbers(many / 2), {.chunksize = 1});
    const auto urgent = pool.apply_async({.priority = 1}, task, -1);
    const auto unhurried = pool.apply_async({.priority = -1}, task, -2);
    gate.open();
    REQUIRE(urgent.get() == -1);
    REQUIRE(journal->entries[0] == -1);
    REQUIRE(unhurried.get() == -2);
    REQUIRE(journal->count == many + 2);
    REQUIRE(map.ready());
    REQUIRE(waiting.back().get() == many / 2 - 1);
}

TEMPLATE_TEST_CASE("Priorities hold through kills, retries and maxtasksperchild", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    int kills = 0;
    mp::BasicPool<TestType> pool({.processes = 3, .maxtasksperchild = 9, .retries = 1000});
    const support::RandomKiller killer(3'000, 60, kills);
    for (int round = 0; round < 15; ++round) {
        std::vector<std::pair<int, mp::AsyncResult<int>>> calls;
        std::vector<mp::AsyncResult<std::vector<int>>> maps;
        for (int i = 0; i < 60; ++i) {
            calls.emplace_back(i, pool.apply_async({.priority = i % 7 - 3}, square, i));
            if (i % 20 == 0) {
                maps.push_back(pool.map_async(square, numbers(50), {.priority = i % 3 - 1}));
            }
        }
        if (round % 3 == 0) (void)calls[7].second.cancel();
        for (const auto& [i, call] : calls) {
            try {
                const int result = call.get();
                REQUIRE(result == i * i);
            } catch (const mp::CancelledError&) {
                REQUIRE(i == 7);
            }
        }
        for (const auto& map : maps) REQUIRE(map.get().back() == 49 * 49);
    }
    CHECK(kills > 0);
}

TEMPLATE_TEST_CASE("Callbacks of urgent calls do not wait for calls made before", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    Gate gate;
    const auto held = pool.map_async(gate.task(), numbers(2), {.chunksize = 1});
    gate.wait_for(2);
    std::mutex mutex;
    std::vector<int> order;
    const auto keep = [&](int x) {
        const std::lock_guard guard(mutex);
        order.push_back(x);
    };
    const auto kept = [&] {
        const std::lock_guard guard(mutex);
        return order;
    };
    Gate second;
    const auto slow = pool.apply_async({.callback = keep}, second.task(), 1);
    const auto urgent = pool.apply_async({.callback = keep, .priority = 5}, square, 5);
    gate.open();
    REQUIRE(urgent.get() == 25);
    REQUIRE(kept() == std::vector{25});
    second.open();
    REQUIRE(slow.get() == 1);
    REQUIRE(kept() == std::vector{25, 1});
}

TEST_CASE("A pool of threads has the same priorities", "[pool]") {
    const Tidy tidy;
    mp::ThreadPool pool(1);
    std::atomic<bool> open{false};
    std::atomic<bool> arrived{false};
    const auto held = pool.apply_async([&] {
        arrived = true;
        while (!open) ::usleep(100);
    });
    REQUIRE(support::eventually([&] { return arrived.load(); }));
    std::vector<int> order;
    const auto task = [&](int x) { order.push_back(x); };
    for (int i = 0; i < 12; ++i) (void)pool.apply_async({.priority = i % 3 - 1}, task, i);
    open = true;
    pool.close();
    pool.join();
    REQUIRE(order == std::vector{2, 5, 8, 11, 1, 4, 7, 10, 0, 3, 6, 9});
}

TEMPLATE_TEST_CASE("max_pending bounds the calls that wait, and Full says so", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 1, .max_pending = 3});
    Gate gate;
    std::vector<mp::AsyncResult<int>> results;
    results.push_back(pool.apply_async(gate.task(), 0));
    gate.wait_for(1);
    for (int i = 1; i <= 3; ++i) results.push_back(pool.apply_async(gate.task(), i));
    try {
        (void)pool.apply_async({.submit_timeout = 0.05}, square, 1);
        FAIL("no exception");
    } catch (const mp::Full& error) {
        REQUIRE(std::string(error.what()).find("max_pending allows (3)") != std::string::npos);
    }
    REQUIRE_THROWS_AS(pool.map_async(square, numbers(4), {.submit_timeout = 0}), mp::Full);
    // Calls that are waited for come in all the same; so do streams.
    auto stream = pool.imap(square, numbers(4));
    std::atomic<int> waited_for{0};
    std::thread caller([&] { waited_for = pool.apply(square, 6); });
    // A place becomes free when a waiting call is taken back, or begun.
    REQUIRE(results[2].cancel());
    results[2] = pool.apply_async({.submit_timeout = 60}, gate.task(), 7);
    std::atomic<bool> came_in{false};
    std::thread late([&] {
        results.push_back(pool.apply_async(gate.task(), 8));
        came_in = true;
    });
    ::usleep(20'000);
    CHECK(!came_in);
    gate.open();
    late.join();
    caller.join();
    REQUIRE(waited_for == 36);
    REQUIRE(stream.next() == 0);
    for (const auto& result : results) (void)result.get();
    REQUIRE(results.back().get() == 8);
}

TEMPLATE_TEST_CASE("Many threads get past max_pending, whatever is killed", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    int kills = 0;
    mp::BasicPool<TestType> pool({.processes = 2, .retries = 1000, .max_pending = 4});
    const support::RandomKiller killer(5'000, 30, kills);
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t) {
        threads.emplace_back([&pool, &right, t] {
            std::vector<mp::AsyncResult<int>> results;
            for (int i = 0; i < 200; ++i) {
                results.push_back(pool.apply_async({.priority = t % 3}, square, i));
            }
            for (int i = 0; i < 200; ++i) {
                right += results[static_cast<std::size_t>(i)].get() == i * i;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    REQUIRE(right == 6 * 200);
}

TEMPLATE_TEST_CASE("A thread that waits for a place ends its wait with the pool", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 1, .max_pending = 1});
    const Gate gate;  // never opened
    const auto running = pool.apply_async(gate.task(), 1);
    gate.wait_for(1);
    const auto waiting = pool.apply_async(gate.task(), 2);
    bool refused = false;
    std::thread waits([&] {
        try {
            (void)pool.apply_async(gate.task(), 3);
        } catch (const mp::ValueError&) {
            refused = true;
        }
    });
    ::usleep(20'000);
    pool.terminate();
    waits.join();
    REQUIRE(refused);
}

TEST_CASE("An executor and a pool of threads know max_pending too", "[pool]") {
    const Tidy tidy;
    {
        mp::ProcessPoolExecutor executor(mp::PoolOptions{.processes = 2, .max_pending = 2});
        std::vector<mp::Future<int>> futures;
        for (int i = 0; i < 200; ++i) futures.push_back(executor.submit(square, i));
        REQUIRE(futures.back().result() == 199 * 199);
    }
    mp::ThreadPool pool(mp::PoolOptions{.processes = 1, .max_pending = 1});
    std::atomic<bool> open{false};
    std::atomic<bool> arrived{false};
    const auto held = pool.apply_async([&] {
        arrived = true;
        while (!open) ::usleep(100);
        // A task of its own does not wait for a place.
        for (int i = 0; i < 5; ++i) (void)pool.apply_async(square, 1);
    });
    REQUIRE(support::eventually([&] { return arrived.load(); }));
    const auto waiting = pool.apply_async(square, 2);
    REQUIRE_THROWS_AS(pool.apply_async({.submit_timeout = 0.01}, square, 3), mp::Full);
    open = true;
    REQUIRE(pool.apply_async(square, 4).get() == 16);
    REQUIRE(waiting.get() == 4);
    REQUIRE_THROWS_AS(mp::Pool({.processes = 1, .max_pending = -1}), mp::ValueError);
}

TEMPLATE_TEST_CASE("No worker sleeps while a call of a lower priority waits", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(4);
    for (int round = 0; round < (support::sanitized ? 20 : 200); ++round) {
        Gate gate;
        std::vector<mp::AsyncResult<int>> held;
        for (const int priority : {3, 2, 0, -1}) {
            held.push_back(pool.apply_async({.priority = priority}, gate.task(), priority));
        }
        gate.wait_for(4);  // each of them needs a worker of its own
        gate.open();
        for (const auto& result : held) (void)result.get();
    }
}
