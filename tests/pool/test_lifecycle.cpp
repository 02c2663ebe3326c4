// A pool from its start to its end, and beside others.
// SPDX-License-Identifier: MIT
// ALONE: it counts the processes of its program
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include "tests/pool/support.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <list>
#include <map>
#include <optional>
#include <ranges>
#include <set>
#include <sstream>

namespace {

std::string worker_name(int) { return mp::current_process().name(); }
int added = 0;
void set_added(int value) { added = value; }
int add_it(int x) { return x + added; }
template <class Method>
int nested_sum(int n) {
    mp::BasicPool<Method> pool(2);
    int sum = 0;
    for (const int x : pool.map(square, std::views::iota(0, n))) sum += x;
    return sum;
}

}  // namespace

TEMPLATE_TEST_CASE("Tasks run in the pool's workers, all of them", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(3);
    std::set<pid_t> pids;
    // On a busy machine two may have done all of a call before the third has started.
    REQUIRE(support::eventually([&] {
        for (const pid_t pid : pool.map(worker_pid_slowly, numbers(60), 1)) pids.insert(pid);
        return pids.size() >= 3;
    }));
    REQUIRE(pids.size() == 3);
    REQUIRE(pids.count(::getpid()) == 0);
    REQUIRE(pool.apply(worker_name, 0).starts_with("PoolWorker-"));
    REQUIRE(mp::active_children().size() == 3);
}

TEMPLATE_TEST_CASE("A pool calls its initializer in each worker", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2, set_added, 10);
    REQUIRE(pool.map(add_it, {1, 2, 3}) == std::vector{11, 12, 13});
    mp::BasicPool<TestType> with_options({.processes = 1, .maxtasksperchild = 1}, set_added, 20);
    REQUIRE(with_options.map(add_it, {1, 2, 3}, 1) == std::vector{21, 22, 23});
}

TEMPLATE_TEST_CASE("Workers are replaced after maxtasksperchild chunks", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 1, .maxtasksperchild = 2});
    std::map<pid_t, int> tasks;
    for (const pid_t pid : pool.map(worker_pid, numbers(10), 1)) ++tasks[pid];
    REQUIRE(tasks.size() == 5);
    for (const auto& [pid, number] : tasks) REQUIRE(number == 2);
}

TEMPLATE_TEST_CASE("Bad arguments of a pool are ValueErrors", "[pool]", START_METHODS) {
    const Tidy tidy;
    REQUIRE_THROWS_AS(mp::BasicPool<TestType>(0), mp::ValueError);
    REQUIRE_THROWS_AS(mp::BasicPool<TestType>(-1), mp::ValueError);
    REQUIRE_THROWS_AS(mp::BasicPool<TestType>({.processes = 1, .maxtasksperchild = -1}),
                      mp::ValueError);
    REQUIRE_THROWS_AS(mp::BasicPool<TestType>({.processes = 1, .retries = -1}), mp::ValueError);
    mp::BasicPool<TestType> pool(1);
    REQUIRE_THROWS_AS(pool.map(square, numbers(3), 0), mp::ValueError);
    REQUIRE_THROWS_AS(pool.map(square, std::vector<int>(), -1), mp::ValueError);
    REQUIRE_THROWS_AS(pool.join(), mp::ValueError);
}

TEMPLATE_TEST_CASE("close lets the work finish, then nothing more in", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    std::vector<int> results;
    std::thread caller([&] { results = pool.map(sleep_for_seconds, {1, 0, 1, 0}, 1); });
    REQUIRE(support::eventually([&] { return mp::active_children().size() == 2; }));
    ::usleep(200'000);
    pool.close();
    pool.close();
    REQUIRE_THROWS_AS(pool.map(square, numbers(3)), mp::ValueError);
    REQUIRE_THROWS_AS(pool.map(square, std::vector<int>()), mp::ValueError);
    pool.join();
    pool.join();
    caller.join();
    REQUIRE(results == std::vector{1, 0, 1, 0});
    REQUIRE(mp::active_children().empty());
    REQUIRE_THROWS_AS(pool.apply(square, 1), mp::ValueError);
}

TEMPLATE_TEST_CASE("terminate ends the workers whatever they do", "[pool]", START_METHODS) {
    const Tidy tidy;
    const support::Watchdog watchdog(120);
    mp::BasicPool<TestType> pool(3);
    const auto task = GENERATE(&sleep_for_seconds, &block_and_sleep, &stop_itself);
    std::atomic<int> cancelled{0};
    std::thread caller([&] {
        try {
            pool.map(task, {600, 600, 600}, 1);
        } catch (const mp::CancelledError&) {
            ++cancelled;
        }
    });
    ::usleep(200'000);
    pool.terminate();
    caller.join();
    REQUIRE(cancelled == 1);
    REQUIRE(mp::active_children().empty());
    pool.terminate();
    pool.join();
    REQUIRE_THROWS_AS(pool.map(square, numbers(3)), mp::ValueError);
}

TEMPLATE_TEST_CASE("Many threads may use one pool", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(4);
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            for (int round = 0; round < 50; ++round) {
                right += pool.apply(multiply, t, round) == t * round;
                right += pool.map(square, numbers(20)).back() == 361;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    REQUIRE(right == 800);
}

TEMPLATE_TEST_CASE("Pools may be nested", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    REQUIRE(pool.map(nested_sum<TestType>, {3, 4, 5, 6}) == std::vector{5, 14, 30, 55});
}

TEMPLATE_TEST_CASE("A pool made while another runs", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> first(2);
    std::vector<int> results;
    std::thread caller([&] { results = first.map(square, numbers(20'000), 1); });
    for (int i = 0; i < 5; ++i) {
        mp::BasicPool<TestType> other(2);
        REQUIRE(other.apply(square, i) == i * i);
    }
    caller.join();
    REQUIRE(results.back() == 19'999 * 19'999);
}

TEST_CASE("A forked child's copy of a pool says that it is not its own", "[pool]") {
    const Tidy tidy;
    mp::BasicPool<mp::start_method::fork> pool(1);
    InHeap<std::atomic<int>> errors;
    mp::ForkProcess process([&] {
        const auto count_errors = [&](auto call) {
            try {
                call();
            } catch (const mp::ValueError&) {
                ++*errors;
            }
        };
        count_errors([&] { pool.map(square, numbers(3)); });
        count_errors([&] { pool.close(); });
        count_errors([&] { pool.join(); });
    });
    process.start();
    process.join();
    REQUIRE(*errors == 3);
    REQUIRE(pool.apply(square, 3) == 9);
}

TEMPLATE_TEST_CASE("A forked child that destroys its copy of a pool takes nothing away", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    auto pool = std::make_unique<mp::BasicPool<TestType>>(2);
    pool->map(mirror, std::vector<Point>(10, Point{1, "p"}));
    mp::ForkProcess process([&] { pool.reset(); });
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 0);
    std::vector<InHeap<std::array<char, 4'000>>> blocks(50);  // would get what was freed twice
    REQUIRE(pool->map(square, numbers(100)).back() == 99 * 99);
    REQUIRE(mp::active_children().size() == 2);
}

TEMPLATE_TEST_CASE("Idle workers use no measurable time", "[pool][timing]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(4);
    pool.map(square, numbers(100), 1);
    ::usleep(100'000);
    const auto busy = [] {
        double seconds = 0;
        for (const auto& child : mp::active_children()) {
            clockid_t clock;
            timespec time{};
            ::clock_getcpuclockid(child.pid(), &clock);
            ::clock_gettime(clock, &time);
            seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
        }
        return seconds;
    };
    // One second of several: the first ones may still have to do with the pool's start.
    double least = 1;
    for (int second = 0; second < 10 && least >= 0.01; ++second) {
        const double before = busy();
        ::sleep(1);
        least = (std::min)(least, busy() - before);
    }
    REQUIRE(least < 0.01);
}

TEMPLATE_TEST_CASE("Pools leave no memory behind", "[pool]", START_METHODS) {
    const Tidy tidy;
    const auto use = [] {
        mp::BasicPool<TestType> pool(2);
        for (int i = 0; i < 50; ++i) {
            pool.map(square, numbers(2'000), 1);
            pool.map(mirror, std::vector<Point>(100, Point{1, std::string(3'000, 'x')}));
        }
    };
    use();
    const std::size_t before = mp::detail::heap().segment().memory();
    for (int i = 0; i < 3; ++i) use();
    REQUIRE(mp::detail::heap().segment().memory() <= before + (2 << 20));
}

namespace {

/// Owns a pool, with another one in each worker, all of the group that this process leads.
template <class Method>
int nested_sleep(std::uint64_t sleepers) {
    mp::BasicPool<Method> pool(2);
    in_heap<std::atomic<int>>(sleepers).fetch_add(1);
    return pool.map(sleep_for_seconds, {600, 600}, 1).front();
}
template <class Method>
void own_pools(std::uint64_t sleepers) {
    ::setpgid(0, 0);
    mp::BasicPool<Method> pool(2);
    pool.map(nested_sleep<Method>, {sleepers, sleepers}, 1);
}

}  // namespace

TEMPLATE_TEST_CASE("Workers and their own pools end when the owner is killed", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    InHeap<std::atomic<int>> sleepers;
    mp::BasicProcess<TestType> owner(own_pools<TestType>, sleepers.offset());
    owner.start();
    REQUIRE(support::eventually([&] { return *sleepers == 2; }));
    owner.kill();
    owner.join();
    REQUIRE(support::eventually([&] { return ::kill(-*owner.pid(), 0) != 0 && errno == ESRCH; }));
}

TEMPLATE_TEST_CASE("A worker's own pool ends when the worker is terminated", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    InHeap<std::atomic<int>> sleepers;
    {
        mp::BasicPool<TestType> pool(1);
        bool cancelled = false;
        std::thread caller([&] {
            cancelled = support::throws<mp::CancelledError>(
                [&] { pool.apply(nested_sleep<TestType>, sleepers.offset()); });
        });
        REQUIRE(support::eventually([&] { return *sleepers == 1; }));
        pool.terminate();
        caller.join();
        REQUIRE(cancelled);
    }
    // The orphans go to init, so that this process cannot wait for them: it looks for their names.
    REQUIRE(support::eventually(
        [] { return support::processes_of_this_program() == 1 + support::fork_servers(); }));
}

TEMPLATE_TEST_CASE("What a large call held goes back soon after it returns", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    pool.map(square, numbers(10));
    const std::size_t before = mp::detail::heap().segment().memory();
    constexpr int many = support::sanitized ? 500'000 : 4'000'000;
    REQUIRE(pool.map(negate, numbers(many)).back() == 1 - many);
    REQUIRE(pool.map(mirror, std::vector<Point>(40, Point{1, std::string(500'000, 'x')})).size() ==
            40);
    REQUIRE(support::heap_shrinks_to(before + (8 << 20)));
}

TEMPLATE_TEST_CASE("A pool that cannot start its workers leaves none behind", "[pool]",
                   START_METHODS) {
    if (support::sanitized)
        return;  // UBSan looks at objects by way of pipes, and needs descriptors
    const Tidy tidy;
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const int next = ::dup(0);
    ::close(next);
    // Room for some of the workers' pidfds, not for all.
    const rlimit few{static_cast<rlim_t>(next) + 8, before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
    try {
        mp::BasicPool<TestType> pool(30);
        ::setrlimit(RLIMIT_NOFILE, &before);
        FAIL("no exception");
    } catch (const std::system_error& error) {
        ::setrlimit(RLIMIT_NOFILE, &before);
        REQUIRE(error.code() == std::errc::too_many_files_open);
    }
    REQUIRE(mp::active_children().empty());
}

TEMPLATE_TEST_CASE("A closed pool replaces its workers until all is done", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 3, .maxtasksperchild = 1});
    std::vector<mp::AsyncResult<int>> results;
    for (int i = 0; i < 12; ++i) results.push_back(pool.apply_async(square, i));
    pool.close();
    pool.join();
    for (int i = 0; i < 12; ++i) REQUIRE(results[static_cast<std::size_t>(i)].get() == i * i);
}

namespace {

mp::Value<int> count_under(mp::Lock lock, mp::Value<int> value, int x) {
    const std::scoped_lock guard(lock);
    value.get_obj() += x;
    return value;
}

}  // namespace

TEMPLATE_TEST_CASE("Handles travel to workers and back", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const mp::Lock lock;
    mp::Value<int> value(0);
    const auto same = pool.map(mp::partial(count_under, lock, value), numbers(200), 7);
    REQUIRE(value.get_obj() == 199 * 100);
    same[5].get_obj() = 3;
    REQUIRE(value.get_obj() == 3);
    for (const auto& other : pool.imap(mp::partial(count_under, lock, value), numbers(5))) {
        REQUIRE(&other.get_obj() == &value.get_obj());
    }
    REQUIRE(&pool.apply_async(count_under, lock, value, 1).get().get_obj() == &value.get_obj());
}

TEMPLATE_TEST_CASE("A forked child's copies of results and streams take nothing away", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    std::optional done(pool.apply_async(mirror, Point{1, std::string(5'000, 'p')}));
    done->wait();
    Gate gate;
    std::optional pending(pool.apply_async(gate.task(), 5));
    std::optional stream(pool.imap(mirror, std::vector(40, Point{1, "s"})));
    (void)stream->next();
    mp::ForkProcess process([&] {
        done.reset();
        pending.reset();
        stream.reset();
    });
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 0);
    std::vector<InHeap<std::array<char, 4'000>>> blocks(50);  // would get what was freed twice
    REQUIRE(done->get().label.size() == 5'001);
    gate.open();
    REQUIRE(pending->get() == 5);
    for (int i = 1; i < 40; ++i) REQUIRE(stream->next() == Point{-1, "s'"});
}

namespace {

cpu_set_t affinity(pid_t pid) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    REQUIRE(::sched_getaffinity(pid, sizeof cores, &cores) == 0);
    return cores;
}

/// The core that a process runs on, or ran on last.
int core_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text{std::istreambuf_iterator<char>(file), {}};
    std::istringstream fields(text.substr(text.rfind(')') + 1));
    std::string field;
    for (int number = 3; number <= 39; ++number) fields >> field;  // "processor"
    return std::stoi(field);
}

}  // namespace

TEMPLATE_TEST_CASE("As many workers as cores sleep each on a core of its own", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const int cores = mp::process_cpu_count();
    if (cores < 2) return;
    mp::BasicPool<TestType> pool(cores);
    pool.map(square, numbers(100));
    REQUIRE(support::eventually([&] {
        std::set<int> used;
        for (const mp::WorkerStats& worker : pool.stats().workers) {
            if (worker.pid != 0) used.insert(core_of(worker.pid));
        }
        // They are woken for a moment, should another program have had the core.
        if (static_cast<int>(used.size()) != cores) pool.map(square, numbers(100));
        return static_cast<int>(used.size()) == cores;
    }));
    const cpu_set_t own = affinity(0);
    for (const mp::WorkerStats& worker : pool.stats().workers) {
        REQUIRE(support::eventually([&] {  // it may be on its way to its core
            const cpu_set_t cores_of_worker = affinity(worker.pid);
            return static_cast<bool>(CPU_EQUAL(&own, &cores_of_worker));
        }));
    }
}
