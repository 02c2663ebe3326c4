// pool.hpp under every start method.
// SPDX-License-Identifier: MIT
#include <multiprocessing/pool.hpp>

#include <sys/resource.h>

#include <csignal>
#include <list>
#include <map>
#include <memory>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using support::in_heap;
using support::InHeap;

#define START_METHODS mp::start_method::fork, mp::start_method::spawn

namespace {

struct Point {
    int x;
    std::string label;
    friend bool operator==(const Point&, const Point&) = default;
};

int square(int x) { return x * x; }  // of numbers up to 46,340
int negate(int x) { return -x; }
int multiply(int a, int b) { return a * b; }
std::string describe(const std::string& text, int number) { return text + std::to_string(number); }
Point mirror(Point point) { return {-point.x, point.label + "'"}; }
bool is_even(long n) { return n % 2 == 0; }
int value_of(const std::unique_ptr<int>& owner) { return *owner; }
pid_t worker_pid(int) { return ::getpid(); }
pid_t worker_pid_slowly(int) {
    ::usleep(2'000);
    return ::getpid();
}
std::string worker_name(int) { return mp::current_process().name(); }
void count(std::uint64_t counter) { in_heap<std::atomic<int>>(counter).fetch_add(1); }
int fail_at_odd(int x) {
    if (x % 2 != 0) throw std::out_of_range("odd: " + std::to_string(x));
    return x;
}
struct Unknown : std::runtime_error {
    using std::runtime_error::runtime_error;
};
int throw_unknown(int) { throw Unknown("of a type of its own"); }

struct Counters {
    std::atomic<int> of[100];
};

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
int sleep_for_seconds(int seconds) {
    ::sleep(static_cast<unsigned>(seconds));
    return seconds;
}
int block_and_sleep(int seconds) {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    ::sleep(static_cast<unsigned>(seconds));
    return seconds;
}
int stop_itself(int) { return ::raise(SIGSTOP); }

int added = 0;
void set_added(int value) { added = value; }
int add_it(int x) { return x + added; }
void fail_to_initialize(const std::string& why) { throw std::runtime_error(why); }
void die_at_start() { ::_exit(5); }

template <class Method>
int nested_sum(int n) {
    mp::BasicPool<Method> pool(2);
    int sum = 0;
    for (const int x : pool.map(square, std::views::iota(0, n))) sum += x;
    return sum;
}

struct Scale {
    double factor;
    double operator()(double x) const { return factor * x; }
};

std::vector<int> numbers(int n) {
    std::vector<int> items(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) items[static_cast<std::size_t>(i)] = i;
    return items;
}

}  // namespace

TEMPLATE_TEST_CASE("Pool.map returns the results in input order", "[pool]", START_METHODS) {
    mp::BasicPool<TestType> pool(4);
    for (const int n : {1, 2, 7, 1000}) {
        std::vector<int> expected;
        for (int i = 0; i < n; ++i) expected.push_back(i * i);
        REQUIRE(pool.map(square, numbers(n)) == expected);
        REQUIRE(pool.map(square, numbers(n), 1) == expected);
        REQUIRE(pool.map(square, numbers(n), 3) == expected);
        REQUIRE(pool.map(square, numbers(n), 5'000) == expected);
    }
}

TEMPLATE_TEST_CASE("Pool.map takes any range", "[pool]", START_METHODS) {
    mp::BasicPool<TestType> pool(2);
    REQUIRE(pool.map(square, {1, 2, 3}) == std::vector{1, 4, 9});
    REQUIRE(pool.map(square, std::list{1, 2, 3}) == std::vector{1, 4, 9});
    REQUIRE(pool.map(square, std::views::iota(1, 4)) == std::vector{1, 4, 9});
    REQUIRE(pool.map(square, std::views::iota(0, 10) | std::views::filter(is_even)).size() == 5);
    const std::array<short, 2> shorts{4, 5};  // converted to the parameter's type
    REQUIRE(pool.map(square, shorts) == std::vector{16, 25});
    REQUIRE(pool.map(is_even, numbers(3)) == std::vector<bool>{true, false, true});
    REQUIRE(pool.map(square, std::vector<int>()).empty());
    const std::map<std::string, int> named{{"a", 1}, {"b", 2}};  // items with a const key
    REQUIRE(pool.map([](const auto& item) { return item.second; }, named) == std::vector{1, 2});
}

TEMPLATE_TEST_CASE("Pool.map carries structs, strings and callables with state", "[pool]",
                   START_METHODS) {
    mp::BasicPool<TestType> pool(2);
    const std::vector<Point> points{{1, "a"}, {2, std::string(100'000, 'b')}, {3, ""}};
    const std::vector<Point> mirrored = pool.map(mirror, points);
    for (std::size_t i = 0; i < points.size(); ++i) REQUIRE(mirrored[i] == mirror(points[i]));
    REQUIRE(pool.map(mirror, points, 1) == mirrored);
    REQUIRE(pool.map(Scale{2.5}, std::vector{2.0, 4.0}) == std::vector{5.0, 10.0});
    REQUIRE(pool.map(mp::partial(multiply, 3), numbers(4)) == std::vector{0, 3, 6, 9});
    REQUIRE(pool.map([](int x) { return x + 1; }, numbers(3)) == std::vector{1, 2, 3});
}

TEMPLATE_TEST_CASE("Pool.starmap spreads the tuples", "[pool]", START_METHODS) {
    mp::BasicPool<TestType> pool(2);
    REQUIRE(pool.starmap(multiply, std::vector<std::pair<int, int>>{{1, 2}, {3, 4}}) ==
            std::vector{2, 12});
    REQUIRE(pool.starmap(describe, std::vector{std::tuple("n", 1), std::tuple("m", 2)}) ==
            std::vector<std::string>{"n1", "m2"});
    const std::map<std::string, int> named{{"a", 1}, {"b", 2}};
    REQUIRE(pool.starmap(describe, named) == std::vector<std::string>{"a1", "b2"});
}

TEMPLATE_TEST_CASE("Pool.apply calls once, with any arguments", "[pool]", START_METHODS) {
    mp::BasicPool<TestType> pool(2);
    REQUIRE(pool.apply(square, 7) == 49);
    REQUIRE(pool.apply(describe, "number ", 5) == "number 5");
    REQUIRE(pool.apply(mirror, Point{1, "p"}) == Point{-1, "p'"});
    InHeap<std::atomic<int>> counter;
    pool.apply(count, counter.offset());
    static_assert(std::is_void_v<decltype(pool.map(count, std::vector<std::uint64_t>()))>);
    pool.map(count, std::vector(10, counter.offset()));
    REQUIRE(*counter == 11);
}

TEMPLATE_TEST_CASE("Pool.apply of a predicate returns a bool, not vector<bool>'s proxy", "[pool]",
                   START_METHODS) {
    mp::BasicPool<TestType> pool(1);
    static_assert(std::is_same_v<decltype(pool.apply(is_even, 2)), bool>);
    REQUIRE(pool.apply(is_even, 2));
    REQUIRE(!pool.apply(is_even, 3));
}

TEMPLATE_TEST_CASE("Items that can only be moved are read where they are", "[pool]",
                   START_METHODS) {
    mp::BasicPool<TestType> pool(1);
    std::vector<std::unique_ptr<int>> owners;
    owners.push_back(std::make_unique<int>(4));
    REQUIRE(pool.map(value_of, owners) == std::vector{4});
    REQUIRE(*owners[0] == 4);
}

TEMPLATE_TEST_CASE("A braced list takes its items' type from the function", "[pool]",
                   START_METHODS) {
    mp::BasicPool<TestType> pool(1);
    REQUIRE(pool.starmap(multiply, {{1, 2}, {3, 4}}) == std::vector{2, 12});
    REQUIRE(pool.starmap(describe, {{"n", 1}}) == std::vector<std::string>{"n1"});
    REQUIRE(pool.map(mirror, {{1, "a"}})[0] == Point{-1, "a'"});
    REQUIRE(pool.map(square, {}).empty());
}

TEMPLATE_TEST_CASE("Tasks run in the pool's workers, all of them", "[pool]", START_METHODS) {
    mp::BasicPool<TestType> pool(3);
    std::set<pid_t> pids;
    for (const pid_t pid : pool.map(worker_pid_slowly, numbers(60), 1)) pids.insert(pid);
    REQUIRE(pids.size() == 3);
    REQUIRE(pids.count(::getpid()) == 0);
    REQUIRE(pool.apply(worker_name, 0).starts_with("PoolWorker-"));
    REQUIRE(mp::active_children().size() == 3);
}

TEMPLATE_TEST_CASE("A pool calls its initializer in each worker", "[pool]", START_METHODS) {
    mp::BasicPool<TestType> pool(2, set_added, 10);
    REQUIRE(pool.map(add_it, {1, 2, 3}) == std::vector{11, 12, 13});
    mp::BasicPool<TestType> with_options({.processes = 1, .maxtasksperchild = 1}, set_added, 20);
    REQUIRE(with_options.map(add_it, {1, 2, 3}, 1) == std::vector{21, 22, 23});
}

TEMPLATE_TEST_CASE("An exception comes back as its own type, and the others are finished", "[pool]",
                   START_METHODS) {
    mp::BasicPool<TestType> pool(2);
    for (const int chunk : {1, 3, 50}) {
        try {
            pool.map(fail_at_odd, numbers(50), chunk);
            FAIL("no exception");
        } catch (const std::out_of_range& error) {
            REQUIRE(std::string(error.what()) == "odd: 1");  // the first, not the fastest
        }
    }
    REQUIRE(pool.map(square, {3}) == std::vector{9});
}

TEMPLATE_TEST_CASE("An exception of an unknown type is a RemoteError that says all", "[pool]",
                   START_METHODS) {
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
    mp::BasicPool<TestType> pool(2);
    const pid_t victim = pool.apply(worker_pid, 0);
    ::kill(victim, SIGKILL);
    REQUIRE(support::eventually([&] {
        const auto active = mp::active_children();
        return active.size() == 2 && active[0].pid() != victim && active[1].pid() != victim;
    }));
    REQUIRE(pool.map(square, numbers(3)) == std::vector{0, 1, 4});
}

TEMPLATE_TEST_CASE("Workers are replaced after maxtasksperchild chunks", "[pool]", START_METHODS) {
    mp::BasicPool<TestType> pool({.processes = 1, .maxtasksperchild = 2});
    std::map<pid_t, int> tasks;
    for (const pid_t pid : pool.map(worker_pid, numbers(10), 1)) ++tasks[pid];
    REQUIRE(tasks.size() == 5);
    for (const auto& [pid, number] : tasks) REQUIRE(number == 2);
}

TEMPLATE_TEST_CASE("An initializer that throws breaks the pool with its message", "[pool]",
                   START_METHODS) {
    mp::BasicPool<TestType> pool(2, fail_to_initialize, "no licence");
    REQUIRE_THROWS_WITH(pool.map(square, numbers(10)), Catch::Contains("no licence"));
    REQUIRE_THROWS_AS(pool.map(square, numbers(10)), mp::BrokenProcessPool);
}

TEMPLATE_TEST_CASE("Workers that end before they are ready break the pool", "[pool]",
                   START_METHODS) {
    mp::BasicPool<TestType> pool(2, die_at_start);
    REQUIRE_THROWS_AS(pool.map(square, numbers(10)), mp::BrokenProcessPool);
}

TEMPLATE_TEST_CASE("Bad arguments of a pool are ValueErrors", "[pool]", START_METHODS) {
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
    mp::BasicPool<TestType> pool(2);
    REQUIRE(pool.map(nested_sum<TestType>, {3, 4, 5, 6}) == std::vector{5, 14, 30, 55});
}

TEMPLATE_TEST_CASE("A pool made while another runs", "[pool]", START_METHODS) {
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
    const double before = busy();
    ::sleep(1);
    REQUIRE(busy() - before < 0.01);
}

TEMPLATE_TEST_CASE("Pools leave no memory behind", "[pool]", START_METHODS) {
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
    InHeap<std::atomic<int>> sleepers;
    {
        mp::BasicPool<TestType> pool(1);
        std::thread caller([&] {
            REQUIRE_THROWS_AS(pool.apply(nested_sleep<TestType>, sleepers.offset()),
                              mp::CancelledError);
        });
        REQUIRE(support::eventually([&] { return *sleepers == 1; }));
        pool.terminate();
        caller.join();
    }
    // The orphans go to init, so that this process cannot wait for them: it looks for their names.
    REQUIRE(support::eventually([] { return support::processes_of_this_program() == 1; }));
}

namespace {

/// Kills a random child every now and then, from a thread, until the end of its scope.
class RandomKiller {
  public:
    /// @param most after so many kills it stops, so that on a slow machine, where a worker takes
    /// longer
    ///        to start than it lives, the work comes to an end
    RandomKiller(unsigned microseconds, int most, int& kills)
        : thread_([this, microseconds, most, &kills] {
              support::Random random(3);
              while (!done_ && kills < most) {
                  ::usleep(microseconds);
                  const auto active = mp::active_children();
                  if (active.empty()) continue;
                  active[random() % active.size()].kill();
                  ++kills;
              }
          }) {}
    ~RandomKiller() {
        done_ = true;
        thread_.join();
    }

  private:
    std::atomic<bool> done_{false};
    std::thread thread_;
};

}  // namespace

TEMPLATE_TEST_CASE("What a large call held goes back when it returns", "[pool]", START_METHODS) {
    mp::BasicPool<TestType> pool(2);
    pool.map(square, numbers(10));
    const std::size_t before = mp::detail::heap().segment().memory();
    constexpr int many = support::sanitized ? 500'000 : 4'000'000;
    REQUIRE(pool.map(negate, numbers(many)).back() == 1 - many);
    REQUIRE(pool.map(mirror, std::vector<Point>(40, Point{1, std::string(500'000, 'x')})).size() ==
            40);
    REQUIRE(mp::detail::heap().segment().memory() <= before + (8 << 20));
}

TEMPLATE_TEST_CASE("A kill storm costs no result that can be had", "[pool][storm]", START_METHODS) {
    const support::Watchdog watchdog(280);
    mp::BasicPool<TestType> pool({.processes = 4, .retries = 50});
    bool right = true;
    int kills = 0;
    {
        const RandomKiller killer(support::sanitized ? 50'000 : 5'000,
                                  support::sanitized ? 20 : 500, kills);
        const int rounds = support::sanitized ? 2 : 10;
        for (int round = 0; round < rounds; ++round) {
            right &= pool.map(worker_pid_slowly, numbers(200), 1).size() == 200;
            const auto squares = pool.map(square, numbers(20'000), 1 + round);
            for (int i = 0; i < 20'000; ++i) right &= squares[static_cast<std::size_t>(i)] == i * i;
        }
    }
    REQUIRE(right);
    REQUIRE(kills > 0);
}
