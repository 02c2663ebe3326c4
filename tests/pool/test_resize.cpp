// Pools that grow and shrink: by resize, and with the work.
// SPDX-License-Identifier: MIT
#include <multiprocessing/futures.hpp>

#include "tests/pool/support.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

std::size_t children() { return mp::active_children().size(); }
bool eventually_children(std::size_t count) {
    return support::eventually([&] { return children() == count; });
}
std::set<pid_t> pids_at_work(auto& pool, int tasks) {
    std::set<pid_t> pids;
    for (const pid_t pid : pool.map(worker_pid_slowly, numbers(tasks), 1)) pids.insert(pid);
    return pids;
}
int count_task(std::uint64_t counters, int x) {
    in_heap<Counters>(counters).of[x].fetch_add(1);
    return x;
}
/// Kills its worker the first time that it runs.
int die_once(std::uint64_t counters, int x) {
    if (in_heap<Counters>(counters).of[x].fetch_add(1) == 0) std::raise(SIGKILL);
    return x;
}

struct NotYet : std::runtime_error {
    using std::runtime_error::runtime_error;
};
int fail_twice(std::uint64_t counters, int x) {
    if (in_heap<Counters>(counters).of[x].fetch_add(1) < 2) throw NotYet("not yet");
    return x;
}
int run_until_asked(std::uint64_t counters, int x) {
    in_heap<Counters>(counters).of[0].fetch_add(1);
    while (!mp::this_task::stop_requested()) ::usleep(1'000);
    in_heap<Counters>(counters).of[1].fetch_add(1);
    return x;
}
int count_if_not_asked(int) { return mp::this_task::stop_requested() ? 0 : 1; }
std::vector<int> range(int first, int end) {
    std::vector<int> items;
    for (int i = first; i < end; ++i) items.push_back(i);
    return items;
}

/// Calls a pool from a thread until the end of its scope, and checks that each task runs once.
template <class Pool>
class Load {
  public:
    Load(Pool& pool, int chunk) : thread_([this, &pool, chunk] { run(pool, chunk); }) {}
    ~Load() {
        done_ = true;
        thread_.join();
        CHECK(right_);
        CHECK(rounds_ > 0);
    }

  private:
    void run(Pool& pool, int chunk) {
        while (!done_) {
            InHeap<Counters> runs;
            const auto results =
                pool.map(mp::partial(count_task, runs.offset()), numbers(100), chunk);
            right_ = right_ && results == numbers(100);
            for (const auto& count : runs->of) right_ = right_ && count == 1;
            ++rounds_;
        }
    }

    std::atomic<bool> done_{false};
    bool right_ = true;
    int rounds_ = 0;
    std::thread thread_;
};

}  // namespace

TEMPLATE_TEST_CASE("A pool grows, and the new workers work", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    REQUIRE(pids_at_work(pool, 10).size() == 1);
    pool.resize(4);
    REQUIRE(eventually_children(4));
    REQUIRE(support::eventually([&] { return pids_at_work(pool, 80).size() == 4; }));
    pool.resize(9);  // another block of places
    REQUIRE(support::eventually([&] { return pids_at_work(pool, 200).size() == 9; }));
    REQUIRE(pool.stats().workers.size() >= 9);
    REQUIRE(support::eventually([&] {
        const auto stats = pool.stats();
        return std::all_of(stats.workers.begin(), stats.workers.begin() + 9,
                           [](const mp::WorkerStats& worker) { return worker.starts == 1; });
    }));
}

TEMPLATE_TEST_CASE("A pool shrinks to the workers of its first places", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(5);
    (void)pool.map(square, numbers(100), 1);
    pool.resize(2);
    REQUIRE(eventually_children(2));
    REQUIRE(pool.map(square, numbers(100), 1)[99] == 99 * 99);
    pool.resize(1);
    REQUIRE(eventually_children(1));
    REQUIRE(pids_at_work(pool, 20).size() == 1);
    REQUIRE(pool.stats().workers.size() == 5);
    REQUIRE(support::eventually([&] { return pool.stats().workers[4].pid == 0; }));
    pool.resize(3);
    REQUIRE(eventually_children(3));
    pool.close();
    pool.join();
}

TEMPLATE_TEST_CASE("A worker that is to leave finishes its task first", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(3);
    Gate gate;
    auto held = pool.map_async(gate.task(), numbers(3), {.chunksize = 1});
    gate.wait_for(3);
    pool.resize(1);
    ::usleep(50'000);
    REQUIRE(eventually_children(3));
    REQUIRE_FALSE(held.ready());
    gate.open();
    REQUIRE(held.get() == numbers(3));
    REQUIRE(eventually_children(1));
}

TEMPLATE_TEST_CASE("Under load a pool of 2 grows to 64 and shrinks to 1, 100 times: each task once",
                   "[pool][storm]", START_METHODS) {
    const Tidy tidy;
    constexpr int rounds = support::sanitized ? 10 : 100;
    mp::BasicPool<TestType> pool(2);
    {
        const Load load(pool, 1);
        const Load another(pool, 7);
        for (int round = 0; round < rounds; ++round) {
            pool.resize(64);
            // The point in the starting of 62 workers at which it shrinks differs.
            const auto enough = static_cast<std::size_t>(round % 10 == 9 ? 64 : 3 + round % 10);
            REQUIRE(support::eventually([&] { return children() >= enough; }));
            pool.resize(1);
            if (round % 5 == 0) REQUIRE(eventually_children(1));
            pool.resize(2);
        }
    }
    REQUIRE(eventually_children(2));
    REQUIRE(pool.map(square, numbers(10)).size() == 10);
}

TEMPLATE_TEST_CASE("A kill storm in a pool that is resized costs no result", "[pool][storm]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(
        {.processes = 2, .maxtasksperchild = 50, .task_timeout = 60, .retries = 20});
    int kills = 0;
    bool right = true;
    {
        const support::RandomKiller killer(10'000, 100, kills);
        support::Random random(7);
        for (int round = 0; round < 40; ++round) {
            pool.resize(1 + static_cast<int>(random() % 12));
            const auto squares = pool.map(square, numbers(500), 1 + round % 3);
            for (int i = 0; i < 500; ++i) right &= squares[static_cast<std::size_t>(i)] == i * i;
        }
    }
    REQUIRE(right);
    pool.resize(2);
    REQUIRE(eventually_children(2));
}

TEMPLATE_TEST_CASE("Idle workers leave after idle_timeout, and come back for work", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 3, .idle_timeout = 100ms});
    for (int round = 0; round < 3; ++round) {
        REQUIRE(pool.map(square, numbers(50), 1)[49] == 49 * 49);
        REQUIRE(pool.apply(square, 5) == 25);
        REQUIRE(eventually_children(0));
    }
    REQUIRE(support::eventually([&] { return pool.stats().workers[0].pid == 0; }));
    // With as many workers as there is work for.
    Gate gate;
    auto held = pool.map_async(gate.task(), numbers(3), {.chunksize = 1});
    gate.wait_for(3);
    ::usleep(300'000);
    REQUIRE(children() == 3);  // they are not idle
    gate.open();
    REQUIRE(held.get() == numbers(3));
    REQUIRE(eventually_children(0));
    pool.close();
    pool.join();
}

TEMPLATE_TEST_CASE("Workers that come on demand are no more than the work needs", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 4, .start = mp::PoolStart::on_demand});
    REQUIRE(children() == 0);
    for (int i = 0; i < 5; ++i) REQUIRE(pool.apply(square, i) == i * i);
    REQUIRE(support::eventually([] { return children() >= 1; }));
    REQUIRE(children() <= 2);  // at worst one too many, see Roster::hires
    Gate gate;
    auto held = pool.map_async(gate.task(), numbers(3), {.chunksize = 1});
    gate.wait_for(3);
    auto more = pool.map_async(gate.task(), numbers(20), {.chunksize = 1});
    gate.wait_for(4);
    REQUIRE(eventually_children(4));
    gate.open();
    REQUIRE(held.get() == numbers(3));
    REQUIRE(more.get() == numbers(20));
}

TEMPLATE_TEST_CASE("A pool whose workers come on demand ends without any", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    { mp::BasicPool<TestType> pool({.processes = 2, .start = mp::PoolStart::on_demand}); }
    {
        mp::BasicPool<TestType> pool({.processes = 2, .start = mp::PoolStart::on_demand});
        pool.close();
        pool.join();
        REQUIRE_THROWS_AS(pool.apply(square, 1), mp::ValueError);
    }
    mp::BasicPool<TestType> pool({.processes = 2, .start = mp::PoolStart::on_demand});
    auto late = pool.map_async(square, numbers(100), {.chunksize = 1});
    pool.close();
    pool.join();
    REQUIRE(late.get()[99] == 99 * 99);
}

TEMPLATE_TEST_CASE("Workers on demand are lost, time out and are replaced like others", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    InHeap<Counters> runs;
    mp::BasicPool<TestType> pool({.processes = 3,
                                  .maxtasksperchild = 2,
                                  .task_timeout = 0.5,
                                  .retries = 1,
                                  .idle_timeout = 50ms,
                                  .start = mp::PoolStart::on_demand});
    REQUIRE(pool.map(mp::partial(die_once, runs.offset()), numbers(20), 1) == numbers(20));
    for (int x = 0; x < 20; ++x) REQUIRE(runs->of[x] == 2);
    REQUIRE_THROWS_AS(pool.apply(sleep_for_seconds, 600), mp::TimeoutError);
    REQUIRE(eventually_children(0));
    int sum = 0;
    for (const int x : pool.imap(square, numbers(100), 3)) sum += x;
    REQUIRE(sum == 328'350);
    auto cancelled = pool.apply_async(sleep_for_seconds, 600);
    REQUIRE(support::eventually([&] { return children() >= 1; }));
    (void)cancelled.cancel(true);
    REQUIRE_THROWS_AS(cancelled.get(), mp::CancelledError);
    REQUIRE(pool.map(square, numbers(10), 1)[9] == 81);
    REQUIRE(eventually_children(0));
}

TEMPLATE_TEST_CASE("Calls that meet workers on their way out are not forgotten", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .idle_timeout = 1ms});
    const int rounds = support::sanitized ? 50 : 200;
    for (int i = 0; i < rounds; ++i) {
        ::usleep(static_cast<unsigned>(i % 20) * 100);
        REQUIRE(pool.apply(square, i) == i * i);
    }
}

TEST_CASE("An idle_timeout of 0 seconds keeps no worker", "[pool]") {
    const Tidy tidy;
    mp::Pool pool({.processes = 2, .idle_timeout = 0});
    for (int i = 0; i < 20; ++i) REQUIRE(pool.map(square, numbers(10), 1)[9] == 81);
    REQUIRE(eventually_children(0));
}

TEMPLATE_TEST_CASE("An executor is resized, and starts workers on demand", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicProcessPoolExecutor<TestType> executor(
        mp::PoolOptions{.processes = 1, .idle_timeout = 100ms, .start = mp::PoolStart::on_demand});
    REQUIRE(children() == 0);
    executor.resize(3);
    Gate gate;
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 3; ++i) futures.push_back(executor.submit(gate.task(), i));
    gate.wait_for(3);
    REQUIRE(eventually_children(3));
    gate.open();
    for (int i = 0; i < 3; ++i) REQUIRE(futures[static_cast<std::size_t>(i)].result() == i);
    REQUIRE(eventually_children(0));
    executor.shutdown();
    REQUIRE_THROWS_AS(executor.resize(2), mp::RuntimeError);
}

TEMPLATE_TEST_CASE("resize refuses fewer than one worker, and a closed pool", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    REQUIRE_THROWS_AS(pool.resize(0), mp::ValueError);
    REQUIRE_THROWS_AS(pool.resize(-3), mp::ValueError);
    pool.close();
    REQUIRE_THROWS_AS(pool.resize(3), mp::ValueError);
    pool.join();
    REQUIRE_THROWS_AS(pool.resize(3), mp::ValueError);
}

TEST_CASE("Eight threads resize a pool that eight others call", "[pool][storm]") {
    const Tidy tidy;
    mp::Pool pool(2);
    std::atomic<bool> right{true};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&, i] {
            for (int round = 0; round < 20; ++round) pool.resize(1 + (i * 7 + round) % 10);
        });
        threads.emplace_back([&, i] {
            for (int round = 0; round < 50; ++round)
                right = right && pool.apply(square, i) == i * i;
        });
    }
    for (std::thread& thread : threads) thread.join();
    REQUIRE(right);
}

TEST_CASE("A ThreadPool grows and shrinks: each task once", "[pool][threads]") {
    const Tidy tidy;
    mp::ThreadPool pool(2);
    const auto threads_at_work = [&](int tasks) {
        std::set<std::thread::id> ids;
        const auto task = [](int) {
            ::usleep(1'000);
            return std::this_thread::get_id();
        };
        for (const auto id : pool.map(task, numbers(tasks), 1)) ids.insert(id);
        return ids.size();
    };
    {
        const Load load(pool, 1);
        for (int round = 0; round < 100; ++round) {
            pool.resize(64);
            if (round % 3 == 0) ::usleep(1'000);
            pool.resize(1);
            pool.resize(2);
        }
    }
    REQUIRE(threads_at_work(50) <= 2);
    pool.resize(5);
    REQUIRE(support::eventually([&] { return threads_at_work(100) == 5; }));
    pool.resize(1);
    REQUIRE(support::eventually([&] { return threads_at_work(10) == 1; }));
    REQUIRE(pool.stats().workers.size() == 64);
    REQUIRE_THROWS_AS(pool.resize(0), mp::ValueError);
    pool.close();
    REQUIRE_THROWS_AS(pool.resize(2), mp::ValueError);
    pool.join();
}

TEST_CASE("A pool within this process refuses what only worker processes have", "[pool][threads]") {
    const Tidy tidy;
    using Serial = mp::BasicPool<mp::start_method::serial>;
    const mp::PoolOptions idle{.processes = 1, .idle_timeout = 1};
    const mp::PoolOptions on_demand{.processes = 1, .start = mp::PoolStart::on_demand};
    for (const auto* options : {&idle, &on_demand}) {
        REQUIRE_THROWS_AS(mp::ThreadPool(*options), mp::ValueError);
        REQUIRE_THROWS_AS(Serial(*options), mp::ValueError);
    }
    REQUIRE_THROWS_WITH(mp::ThreadPool(idle), Catch::Matchers::ContainsSubstring("idle_timeout"));
    Serial serial(2);
    serial.resize(5);
    REQUIRE(serial.map(square, numbers(10))[9] == 81);
}

TEMPLATE_TEST_CASE("A task that rests brings a worker when it is due", "[pool]", START_METHODS) {
    const Tidy tidy;
    const InHeap<Counters> runs;
    mp::BasicPool<TestType> pool({.processes = 3,
                                  .retries = 2,
                                  .retry_on = mp::retry_on<NotYet>(),
                                  .retry_delay = 0.3,
                                  .idle_timeout = 20ms,
                                  .start = mp::PoolStart::on_demand});
    const auto late =
        pool.map_async(mp::partial(fail_twice, runs.offset()), numbers(6), {.chunksize = 2});
    REQUIRE(support::eventually([&] { return runs->of[0] == 1 && children() == 0; }));
    REQUIRE_FALSE(late.ready());
    REQUIRE(late.get() == numbers(6));
    for (int x = 0; x < 6; ++x) REQUIRE(runs->of[x] == 3);
    REQUIRE(eventually_children(0));
}

TEMPLATE_TEST_CASE("Workers on demand come for calls of every priority", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 4, .start = mp::PoolStart::on_demand});
    Gate gate;
    std::vector<mp::AsyncResult<int>> held;
    for (const int priority : {-3, 7, 0, 2}) {
        held.push_back(pool.apply_async({.priority = priority}, gate.task(), priority));
    }
    gate.wait_for(4);
    gate.open();
    REQUIRE((held[0].get() == -3 && held[1].get() == 7 && held[3].get() == 2));
}

TEMPLATE_TEST_CASE("Tasks of places that came later, or are to go, can be asked to stop", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const InHeap<Counters> runs;
    mp::BasicPool<TestType> pool({.processes = 1, .grace = 30});
    pool.resize(6);
    const auto stuck =
        pool.map_async(mp::partial(run_until_asked, runs.offset()), numbers(6), {.chunksize = 1});
    REQUIRE(support::eventually([&] { return runs->of[0] == 6; }));
    pool.resize(2);
    (void)stuck.cancel(true);
    REQUIRE_THROWS_AS(stuck.get(), mp::CancelledError);
    REQUIRE(support::eventually([&] { return runs->of[1] == 6; }));
    REQUIRE(eventually_children(2));
    pool.resize(6);  // new workers, of whom nobody has asked anything
    REQUIRE(pool.map(count_if_not_asked, numbers(60), 1) == std::vector<int>(60, 1));
}

TEMPLATE_TEST_CASE("Priorities, retries and a grace hold while a pool is resized", "[pool][storm]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2,
                                  .grace = 0.01,
                                  .retries = 2,
                                  .retry_on = mp::retry_on<NotYet>(),
                                  .retry_delay = 0.002});
    for (int round = 0; round < 20; ++round) {
        const InHeap<Counters> runs;
        std::vector<mp::AsyncResult<std::vector<int>>> results;
        for (int i = 0; i < 4; ++i) {
            results.push_back(pool.map_async(mp::partial(fail_twice, runs.offset()),
                                             range(i * 16, i * 16 + 16),
                                             {.chunksize = 1 + i, .priority = i % 3}));
            pool.resize(1 + (round * 5 + i * 3) % 12);
        }
        for (int i = 0; i < 4; ++i) {
            const auto place = static_cast<std::size_t>(i);
            REQUIRE(results[place].get() == range(i * 16, i * 16 + 16));
        }
        for (int x = 0; x < 64; ++x) REQUIRE(runs->of[x] == 3);
    }
}
