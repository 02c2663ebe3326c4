// Where and how workers run: their cores, their niceness, the signals that they ignore, and what
// they do before they end.
// SPDX-License-Identifier: MIT
#include <multiprocessing/detail/affinity.hpp>
#include <multiprocessing/futures.hpp>
#include <multiprocessing/queues.hpp>

#include "tests/pool/support.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

namespace {

using namespace std::chrono_literals;

std::vector<int> cores_of_worker(int) {
    ::usleep(1'000);
    return mp::detail::cores_of_this_thread();
}
int niceness(int) { return ::getpriority(PRIO_PROCESS, 0); }
bool survives(int number) {
    ::raise(number);
    return true;
}
void say_goodbye(const mp::Queue<std::string>& queue, const std::string& word) {
    mp::Queue<std::string>(queue).put(word + " " + std::to_string(::getpid()));
}
void count_exit(std::uint64_t counters) { in_heap<Counters>(counters).of[0].fetch_add(1); }
void fail_at_exit() { throw std::runtime_error("no goodbye"); }
void stop_core_dumps() {}
int leave_with(int status) { mp::exit(status); }
int die(int) { return ::raise(SIGKILL); }
int slow(int x) {
    ::usleep(20'000);
    return x;
}

}  // namespace

TEMPLATE_TEST_CASE("Each worker runs on its set of cores, also a replaced one", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const auto each = mp::pin_each();
    REQUIRE(static_cast<int>(each.size()) == mp::detail::affinity_cpu_count());
    mp::BasicPool<TestType> pool({.processes = 3, .maxtasksperchild = 3, .cpus = each});
    for (int round = 0; round < 3; ++round) {
        for (const auto& cores : pool.map(cores_of_worker, numbers(12), 1)) {
            REQUIRE(cores.size() == 1);
            REQUIRE(std::ranges::count(each, cores) == 1);
        }
    }
    // The pool's own thread is not bound.
    REQUIRE(mp::detail::cores_of_this_thread().size() == each.size());
}

TEMPLATE_TEST_CASE("Sets of cores are given out in turn, also to workers that come later", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const auto all = mp::detail::cores_of_this_thread();
    const std::vector<int> first{all.front()};
    mp::BasicPool<TestType> pool({.processes = 1, .cpus = {first, all}});
    REQUIRE(pool.apply(cores_of_worker, 0) == first);
    pool.resize(3);
    std::set<std::vector<int>> seen;
    REQUIRE(support::eventually([&] {
        for (const auto& cores : pool.map(cores_of_worker, numbers(30), 1)) seen.insert(cores);
        return seen.count(all) == 1;
    }));
    REQUIRE(seen.size() == std::set{first, all}.size());
}

TEMPLATE_TEST_CASE("Workers have the niceness that is asked for", "[pool]", START_METHODS) {
    const Tidy tidy;
    const int own = niceness(0);
    mp::BasicPool<TestType> pool({.processes = 2, .maxtasksperchild = 1, .nice = 3});
    for (const int nice : pool.map(niceness, numbers(6), 1)) {
        REQUIRE(nice == (std::min)(own + 3, 19));
    }
    REQUIRE(niceness(0) == own);
}

TEMPLATE_TEST_CASE("A setting that the system refuses breaks the pool, and says so", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    if (::geteuid() != 0) {
        mp::BasicPool<TestType> pool({.processes = 2, .nice = -10});
        REQUIRE_THROWS_AS(pool.map(square, numbers(10)), mp::BrokenProcessPool);
        REQUIRE_THROWS_WITH(pool.apply(square, 1), Catch::Matchers::ContainsSubstring("nice"));
    }
    // Root may do that, but no core beyond those of the machine.
    REQUIRE_THROWS_AS(mp::BasicPool<TestType>({.processes = 1, .cpus = {{0}, {}}}), mp::ValueError);
    REQUIRE_THROWS_AS(mp::BasicPool<TestType>({.processes = 1, .cpus = {{-1}}}), mp::ValueError);
    REQUIRE_THROWS_WITH(mp::BasicPool<TestType>({.processes = 1, .cpus = {{0}, {1 << 20}}}),
                        Catch::Matchers::ContainsSubstring("cpus[1]"));
    REQUIRE_THROWS_AS(mp::BasicPool<TestType>({.processes = 1, .nice = 100}), mp::ValueError);
    for (const int number : {0, -1, SIGKILL, SIGSTOP, 1000}) {
        REQUIRE_THROWS_AS(mp::BasicPool<TestType>({.processes = 1, .ignore_signals = {number}}),
                          mp::ValueError);
    }
}

TEMPLATE_TEST_CASE("A pool that ignores SIGTERM drains when the service is told to end", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2,
                                  .maxtasksperchild = 5,
                                  .idle_timeout = 1,
                                  .ignore_signals = {SIGINT, SIGTERM, SIGHUP}});
    REQUIRE(pool.apply(survives, SIGTERM));
    REQUIRE(pool.apply(survives, SIGHUP));
    auto results = pool.map_async(slow, numbers(40), {.chunksize = 1});
    for (int i = 0; i < 10; ++i) {
        for (const auto& child : mp::active_children()) child.terminate();
        ::usleep(20'000);
    }
    pool.close();
    pool.join();
    REQUIRE(results.get() == numbers(40));
}

TEMPLATE_TEST_CASE("A pool that ignores SIGTERM is terminated all the same", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .ignore_signals = {SIGTERM}});
    Gate gate;
    auto held = pool.map_async(gate.task(), numbers(2), {.chunksize = 1});
    gate.wait_for(2);
    pool.terminate();
    pool.join();
    REQUIRE_THROWS_AS(held.get(), mp::CancelledError);
    REQUIRE(mp::active_children().empty());
}

TEMPLATE_TEST_CASE("Each worker of a pool that is closed says goodbye, once", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::Queue<std::string> goodbyes;
    {
        mp::BasicPool<TestType> pool(3);
        pool.on_exit(say_goodbye, goodbyes, "never");  // replaced by the next
        pool.on_exit(say_goodbye, goodbyes, "bye");
        std::set<pid_t> pids;
        REQUIRE(support::eventually([&] {
            for (const pid_t pid : pool.map(worker_pid_slowly, numbers(20), 1)) pids.insert(pid);
            return pids.size() == 3;
        }));
        pool.close();
        pool.join();
        for (int i = 0; i < 3; ++i) {
            const std::string text = goodbyes.get(true, 5);
            REQUIRE(text.starts_with("bye "));
            REQUIRE(pids.erase(std::stoi(text.substr(4))) == 1);
        }
        REQUIRE_THROWS_AS(pool.on_exit(stop_core_dumps), mp::ValueError);
    }
    REQUIRE(goodbyes.empty());
}

TEMPLATE_TEST_CASE("A worker that is replaced, idle, too many or told to exit says goodbye",
                   "[pool]", START_METHODS) {
    const Tidy tidy;
    InHeap<Counters> exits;
    const auto count = [&] { return exits->of[0].load(); };
    {
        mp::BasicPool<TestType> pool({.processes = 1, .maxtasksperchild = 2});
        pool.on_exit(count_exit, exits.offset());
        (void)pool.map(square, numbers(10), 1);
        REQUIRE(support::eventually([&] { return count() == 5; }));
        pool.close();
        pool.join();
    }
    int before = count();
    {
        mp::BasicPool<TestType> pool({.processes = 2, .idle_timeout = 50ms});
        pool.on_exit(count_exit, exits.offset());
        // One may have left before it was told what to say; it comes back for a task.
        REQUIRE(support::eventually([&] {
            REQUIRE(pool.apply(square, 2) == 4);
            ::usleep(100'000);
            return count() >= before + 2;
        }));
    }
    before = count();
    {
        mp::BasicPool<TestType> pool(3);
        pool.on_exit(count_exit, exits.offset());
        pool.resize(1);
        REQUIRE(support::eventually([&] { return count() == before + 2; }));
        REQUIRE_THROWS_AS(pool.apply(leave_with, 3), mp::WorkerLost);
        REQUIRE(count() == before + 3);
        REQUIRE_THROWS_AS(pool.apply(die, 0), mp::WorkerLost);
        REQUIRE(pool.apply(square, 3) == 9);
        REQUIRE(count() == before + 3);  // not one that is killed
    }
}

TEMPLATE_TEST_CASE("A goodbye that throws costs no task, and breaks no pool", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .maxtasksperchild = 1});
    pool.on_exit(fail_at_exit);
    for (int round = 0; round < 3; ++round) {
        REQUIRE(pool.map(square, numbers(10), 1)[9] == 81);
    }
    pool.on_exit(die, 0);  // nor one that kills its worker
    for (int round = 0; round < 3; ++round) {
        REQUIRE(pool.map(square, numbers(10), 1)[9] == 81);
    }
    pool.close();
    pool.join();
}

TEMPLATE_TEST_CASE("A pool is terminated while a goodbye takes for ever", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    Gate gate;
    pool.on_exit(gate.task(), 0);
    REQUIRE(pool.apply(square, 3) == 9);
    pool.resize(1);
    gate.wait_for(1);
    REQUIRE(pool.apply(square, 3) == 9);
}

TEMPLATE_TEST_CASE("No worker of a pool that is terminated says goodbye", "[pool]", START_METHODS) {
    const Tidy tidy;
    InHeap<Counters> exits;
    for (int round = 0; round < 30; ++round) {
        mp::BasicPool<TestType> pool(3);
        pool.on_exit(count_exit, exits.offset());
        REQUIRE(pool.apply(square, 3) == 9);
        if (round % 3 == 0) (void)pool.map_async(slow, numbers(10), {.chunksize = 1});
        if (round % 3 == 1) continue;  // the end of the scope
        pool.terminate();
    }
    REQUIRE(exits->of[0] == 0);
}

TEMPLATE_TEST_CASE("An executor has goodbyes too", "[pool]", START_METHODS) {
    const Tidy tidy;
    InHeap<Counters> exits;
    mp::BasicProcessPoolExecutor<TestType> executor(
        mp::PoolOptions{.processes = 2, .cpus = mp::pin_each(), .nice = 1});
    executor.on_exit(count_exit, exits.offset());
    REQUIRE(executor.submit(square, 4).result() == 16);
    REQUIRE(executor.submit(cores_of_worker, 0).result().size() == 1);
    executor.shutdown();
    REQUIRE(exits->of[0] == 2);
    REQUIRE_THROWS_AS(executor.on_exit(count_exit, exits.offset()), mp::RuntimeError);
}

TEST_CASE("A pool within this process refuses placement", "[pool][threads]") {
    const Tidy tidy;
    using Serial = mp::BasicPool<mp::start_method::serial>;
    const std::vector<mp::PoolOptions> refused{
        {.processes = 1, .cpus = {{0}}},
        {.processes = 1, .nice = 1},
        {.processes = 1, .ignore_signals = {SIGTERM}},
    };
    for (const auto& options : refused) {
        REQUIRE_THROWS_WITH(mp::ThreadPool(options),
                            Catch::Matchers::ContainsSubstring("needs worker processes"));
        REQUIRE_THROWS_AS(Serial(options), mp::ValueError);
    }
}
