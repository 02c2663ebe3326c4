// shared_objects.hpp under every start method: Shared, and what becomes of its object when
// processes die.
// SPDX-License-Identifier: MIT
#include <multiprocessing/connection.hpp>
#include <multiprocessing/managers.hpp>
#include <multiprocessing/pool.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/shared_objects.hpp>

#include <sys/resource.h>

#include <atomic>
#include <numeric>
#include <sstream>
#include <string>

#include "tests/nothing_left.hpp"
#include "tests/synchronize/support.hpp"

using mp::Shared;
using mp::shared::string;
using support::NothingLeft;
using support::Watchdog;

namespace {

using Table = mp::shared::map<string, mp::shared::vector<double>>;
using Numbers = mp::shared::vector<int>;

struct Point {
    int x;
    int y;
};
static_assert(mp::picklable<Shared<Table>> && sizeof(Shared<Table>) <= 24);

/// Notes in the heap where and how often its destructor was called.
struct Traces {
    std::atomic<int> destroyed{0};
    std::atomic<pid_t> by{0};
};
struct Traced {
    std::uint64_t traces;
    Numbers numbers;
    ~Traced() {
        auto& noted = support::in_heap<Traces>(traces);
        noted.destroyed += numbers.size() == 3 ? 1 : 1000;
        noted.by = ::getpid();
    }
};
/// @returns the only handle on a new object
Shared<Traced> make_traced(const support::InHeap<Traces>& traces) {
    Shared<Traced> traced;
    traced->traces = traces.offset();
    traced->numbers.assign({1, 2, 3});
    return traced;
}

void add_row(const Shared<Table>& table, std::string name, double value) {
    table.with([&](Table& t) { t[string(std::string_view(name))].push_back(value); });
}
double sum_of(const Shared<Table>& table) {
    return table.with([](const Table& t) {
        double sum = 0;
        for (const auto& [name, row] : t) sum = std::accumulate(row.begin(), row.end(), sum);
        return sum;
    });
}
std::size_t count_frozen(const Shared<Table>& table, std::string name) {
    return table.frozen().at(name.c_str()).size();
}
Shared<Numbers> made_elsewhere(int count) {
    Shared<Numbers> numbers;
    for (int i = 0; i < count; ++i) numbers->push_back(i);
    return numbers;
}

constexpr int rounds = support::sanitized ? 100 : 1'000;
void count_in_threads(const Shared<mp::shared::unordered_map<string, int>>& counts) {
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 3; ++thread) {
        threads.emplace_back([&counts, thread] {
            for (int i = 0; i < rounds; ++i) {
                counts->operator[]("all") += 1;
                counts.with([&](auto& m) {
                    m[string(std::string_view("key " + std::to_string(i)))] += thread;
                });
                counts.lock()->at("all") += 1;
            }
        });
    }
    for (auto& thread : threads) thread.join();
}

void change_until_killed(const Shared<Traced>& traced, mp::Event inside) {
    traced.with([&](Traced& t) {
        t.numbers.push_back(4);
        inside.set();
        support::sleep_on();
    });
}
void hold_until(const Shared<Numbers>& numbers, mp::Event held, mp::Event release) {
    const auto guard = numbers.lock();
    held.set();
    release.wait();
    guard->push_back(5);
}
void drop_one(mp::Queue<Shared<Traced>> queue, mp::Event is_alone) {
    is_alone.wait();
    queue.get();
}

/// A stray write. A core file would only take time.
void write_to(const double& number) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    const_cast<volatile double&>(number) = 1;
}
using Doubles = mp::shared::vector<double>;
using Block = std::array<double, 40'000>;
constexpr std::size_t large = 40'000;
void write_to_frozen(const Shared<Doubles>& numbers, std::size_t index) {
    write_to(numbers.frozen()[index]);
}
void write_to_frozen_block(const Shared<Block>& block, std::size_t index) {
    write_to(block.frozen()[index]);
}
void look_and_end(const Shared<Doubles>& numbers, mp::Event looked, mp::Event end) {
    if (numbers.frozen()[0] != 1.5) mp::exit(1);
    looked.set();
    end.wait();
}
void expect_frozen(const Shared<Numbers>& numbers) {
    const bool refused = support::throws<mp::ValueError>([&] { numbers->clear(); }) &&
                         support::throws<mp::ValueError>([&] { (void)numbers.get_obj(); });
    mp::exit(refused && numbers.frozen().size() == 3 ? 0 : 1);
}

std::string shown(const auto& object) {
    std::ostringstream text;
    text << object;
    return text.str();
}

}  // namespace

TEST_CASE("Shared makes its object of any arguments", "[shared_objects]") {
    REQUIRE(Shared<Numbers>()->empty());
    REQUIRE(Shared<Numbers>({1, 2, 3})->size() == 3);
    REQUIRE(Shared<Numbers>(5, 7)->at(4) == 7);
    REQUIRE(Shared<Numbers>(Numbers{1, 2})->size() == 2);
    const std::vector<int> source{1, 2, 3};
    REQUIRE(Shared<Numbers>(source.begin(), source.end())->back() == 3);
    REQUIRE(Shared<Point>()->x == 0);
    REQUIRE(Shared<Point>(1, 2)->y == 2);
    REQUIRE(Shared<Point>(Point{1, 2})->y == 2);
    REQUIRE(*Shared<int>(3).lock() == 3);
    REQUIRE(*Shared<string>("text").lock() == "text");
    REQUIRE(Shared<std::atomic<int>>(4)->load() == 4);
    const Shared<Table> table({{"a", {1.0, 2.0}}, {"b", {}}});
    REQUIRE(table->at("a").size() == 2);
    REQUIRE_THROWS_AS(Shared<Doubles>(std::size_t{1} << 58), std::bad_alloc);
}

TEST_CASE("Shared is a handle: a copy is the same object", "[shared_objects]") {
    Shared<Numbers> a({1});
    const Shared<Numbers> b = a;
    b->push_back(2);
    REQUIRE(a->size() == 2);
    REQUIRE(a == b);
    Shared<Numbers> c = std::move(a);
    REQUIRE(c == b);
    c = Shared<Numbers>({7});
    REQUIRE_FALSE(c == b);
    REQUIRE(c->front() == 7);
    a = b;
    REQUIRE(a->size() == 2);
}

TEST_CASE("Shared.with is one step, and returns a copy", "[shared_objects]") {
    const Shared<Numbers> s({1, 2, 3});
    auto back = s.with([](Numbers& v) -> int& { return v.back(); });
    static_assert(std::is_same_v<decltype(back), int>);
    back = 5;
    REQUIRE(s->back() == 3);
    const auto copy = s.with([](Numbers& v) -> const Numbers& { return v; });
    s->clear();
    REQUIRE(copy.size() == 3);
    static_assert(std::is_void_v<decltype(s.with([](Numbers& v) { v.clear(); }))>);
    REQUIRE_THROWS_AS(s.with([](Numbers&) -> int { throw mp::Empty(); }), mp::Empty);
    REQUIRE_FALSE(s.get_lock().locked());
    REQUIRE(s.with(&Numbers::size) == 0);
}

TEST_CASE("Shared.lock holds the lock until the end of the scope", "[shared_objects]") {
    const Shared<Numbers> s({1});
    const auto is_locked_for_others = [&s] {
        bool had = false;
        std::thread([&] {
            had = s.acquire(false);
            if (had) s.release();
        }).join();
        return !had;
    };
    {
        auto guard = s.lock();
        guard->push_back(2);
        *guard = Numbers{4, 5, 6};
        for (int& x : *guard) ++x;
        REQUIRE(is_locked_for_others());
        auto moved = std::move(guard);
        REQUIRE(is_locked_for_others());
        REQUIRE(s->size() == 3);  // the lock is recursive
        const Shared<Numbers> other;
        moved = other.lock();
        REQUIRE_FALSE(is_locked_for_others());
        REQUIRE(other.get_lock().locked());
    }
    REQUIRE(s.get_obj()[0] == 5);
    {
        const std::scoped_lock guard(s.get_lock());
        s->push_back(1);
        REQUIRE(is_locked_for_others());
    }
    REQUIRE(s.acquire());
    s.release();
    REQUIRE_FALSE(s.get_lock().locked());
    const mp::RLock kept = s.get_lock();
    REQUIRE(kept == s.get_lock());
    const auto last = [] { return Shared<Numbers>({3}).lock(); }();  // the only handle
    REQUIRE(last->front() == 3);
}

TEMPLATE_TEST_CASE("Shared travels as argument, item, message and value", "[shared_objects]",
                   START_METHODS) {
    const Watchdog watchdog(120);
    const NothingLeft nothing_left;
    const Shared<Table> table;
    {
        Child<TestType> child(add_row, table, "a", 1.5);
        REQUIRE(child.join() == 0);
        REQUIRE(table->at("a").front() == 1.5);
        mp::BasicPool<TestType> pool(2);
        const std::vector<std::tuple<Shared<Table>, std::string, double>> rows(10,
                                                                               {table, "b", 0.25});
        pool.starmap(add_row, rows);
        REQUIRE(pool.apply(sum_of, table) == 4.0);
        const auto made = pool.apply(made_elsewhere, 4);
        REQUIRE(made->size() == 4);
        REQUIRE(made->back() == 3);
    }
    const mp::Queue<Shared<Table>> queue;
    queue.put(table);
    REQUIRE(queue.get() == table);
    auto [a, b] = mp::Pipe();
    a.send(table);
    REQUIRE(b.recv<Shared<Table>>() == table);
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, Shared<Table>>();
    dict["table"] = table;
    REQUIRE(dict.at("table") == table);
}

TEMPLATE_TEST_CASE("Shared loses no change of eight processes with threads", "[shared_objects]",
                   START_METHODS) {
    const Watchdog watchdog(240);
    const Shared<mp::shared::unordered_map<string, int>> counts({{"all", 0}});
    {
        std::list<Child<TestType>> children;
        for (int i = 0; i < 8; ++i) children.emplace_back(count_in_threads, counts);
        for (auto& child : children) REQUIRE(child.join() == 0);
    }
    REQUIRE(counts->at("all") == 8 * 3 * rounds * 2);
    REQUIRE(counts->size() == static_cast<std::size_t>(rounds) + 1);
    int sum = 0;
    for (const auto& [key, value] : *counts.lock()) sum += key == "all" ? 0 : value;
    REQUIRE(sum == 8 * (0 + 1 + 2) * rounds);
}

TEMPLATE_TEST_CASE("Shared is an AbandonedError when a process was killed within a change",
                   "[shared_objects][abandoned]", START_METHODS) {
    const Watchdog watchdog(60);
    const support::InHeap<Traces> traces;
    const bool is_mended = GENERATE(true, false);
    {
        const Shared<Traced> traced = make_traced(traces);
        const mp::Event inside;
        Child<TestType> child(change_until_killed, traced, inside);
        inside.wait();
        child.kill();
        REQUIRE_THROWS_AS(traced->numbers.size(), mp::AbandonedError);
        REQUIRE_THROWS_AS(traced.with([](Traced&) {}), mp::AbandonedError);
        REQUIRE_THROWS_AS(traced.lock(), mp::AbandonedError);
        REQUIRE_THROWS_AS(traced.freeze(), mp::AbandonedError);
        REQUIRE(traced.get_obj().numbers.size() == 4);
        REQUIRE(shown(traced).find("; abandoned>") != std::string::npos);
        if (is_mended) {
            REQUIRE(traced.get_lock().recover());
            traced->numbers.pop_back();
            traced.release();
            REQUIRE(traced->numbers.size() == 3);
        }
    }
    // What is half changed is not destroyed. A handle of the killed process may outlive it.
    REQUIRE(traces->destroyed <= (is_mended ? 1 : 0));
    if constexpr (TestType::inherits_memory) REQUIRE(traces->destroyed == (is_mended ? 1 : 0));
}

TEST_CASE("Shared destroys its object with the last handle", "[shared_objects]") {
    const support::InHeap<Traces> traces;
    {
        const Shared<Traced> traced = make_traced(traces);
        const mp::RLock lock = traced.get_lock();
        const auto copy = std::make_unique<Shared<Traced>>(traced);
    }
    REQUIRE(traces->destroyed == 1);
    {
        const mp::Queue<Shared<Traced>> queue;
        queue.put(make_traced(traces));
        REQUIRE(traces->destroyed == 1);
    }  // a message that nobody reads
    REQUIRE(traces->destroyed == 2);
    {
        const Shared<Traced> traced = make_traced(traces);
        traced.acquire();
    }  // still locked, by this process: nothing is half done
    REQUIRE(traces->destroyed == 3);
    REQUIRE(traces->by == ::getpid());
}

TEMPLATE_TEST_CASE("Shared is destroyed in whichever process drops the last handle",
                   "[shared_objects]", START_METHODS) {
    const Watchdog watchdog(60);
    const support::InHeap<Traces> traces;
    const mp::Queue<Shared<Traced>> queue;
    const mp::Event is_alone;
    Child<TestType> child(drop_one, queue, is_alone);
    const pid_t pid = (*child).pid().value();
    queue.put(make_traced(traces));
    is_alone.set();  // this process has no handle any more
    REQUIRE(child.join() == 0);
    REQUIRE(traces->destroyed == 1);
    REQUIRE(traces->by == pid);
}

TEST_CASE("Shared gives back all memory that its object held", "[shared_objects]") {
    const auto make = [](int count) {
        const Shared<Table> table;
        for (int i = 0; i < count; ++i) {
            table.with([&](Table& t) {
                t[string(std::string_view("a key as long as " + std::to_string(i)))].resize(50);
            });
        }
    };
    make(2'000);
    const auto before = mp::detail::heap().segment().memory();
    for (int i = 0; i < 20; ++i) make(2'000);
    REQUIRE(mp::detail::heap().segment().memory() < before + (1 << 20));
}

TEST_CASE("Shared hands an object over without copying it", "[shared_objects]") {
    const Shared<Doubles> numbers(std::size_t{1} << 20, 1.5);
    mp::Pool pool(1);
    const auto before = mp::detail::heap().segment().memory();
    REQUIRE(pool.apply(
                +[](const Shared<Doubles>& n) { return n->at(12345) + n->back(); }, numbers) == 3);
    REQUIRE(mp::detail::heap().segment().memory() < before + (1 << 20));
}

TEST_CASE("Shared.freeze ends all changes", "[shared_objects]") {
    const Shared<Numbers> s({1, 2, 3});
    REQUIRE_THROWS_WITH(s.frozen(), Catch::Matchers::ContainsSubstring("call freeze() first"));
    s.freeze();
    s.freeze();
    REQUIRE(s.frozen().size() == 3);
    const std::string refusal =
        "the shared object is frozen: it can only be read, through frozen()";
    REQUIRE_THROWS_WITH(s->clear(), refusal);
    REQUIRE_THROWS_WITH(s.with([](Numbers& v) { v.clear(); }), refusal);
    REQUIRE_THROWS_WITH(s.lock(), refusal);
    REQUIRE_THROWS_WITH(s.get_lock(), refusal);
    REQUIRE_THROWS_WITH(s.get_obj(), refusal);
    REQUIRE_THROWS_WITH(s.acquire(), refusal);
    REQUIRE(shown(s) == "<Shared [1, 2, 3]>");
    static_assert(std::is_same_v<decltype(s.frozen()), const Numbers&>);
    const Shared<Numbers> copy = s;
    REQUIRE(&copy.frozen() == &s.frozen());
}

TEMPLATE_TEST_CASE("Shared.freeze ends them in every process, and frozen() reads there",
                   "[shared_objects]", START_METHODS) {
    const Watchdog watchdog(60);
    const Shared<Numbers> s({1, 2, 3});
    s.freeze();
    Child<TestType> child(expect_frozen, s);
    REQUIRE(child.join() == 0);
    const Shared<Table> table({{"a", {1.0, 2.0}}});
    table.freeze();
    mp::BasicPool<TestType> pool(2);
    REQUIRE(pool.apply(count_frozen, table, "a") == 2);
}

TEMPLATE_TEST_CASE("Shared.freeze waits for who has the lock", "[shared_objects]", START_METHODS) {
    const Watchdog watchdog(60);
    const Shared<Numbers> s({1});
    const mp::Event held;
    const mp::Event release;
    Child<TestType> child(hold_until, s, held, release);
    held.wait();
    REQUIRE(shown(s).find("; in use>") != std::string::npos);
    std::thread releaser([&] {
        ::usleep(50'000);
        release.set();
    });
    s.freeze();
    releaser.join();
    REQUIRE(s.frozen().size() == 2);
    REQUIRE(child.join() == 0);
}

TEMPLATE_TEST_CASE("A write to the pages of a frozen object ends the process that does it",
                   "[shared_objects]", START_METHODS) {
    const Watchdog watchdog(120);
    const Shared<Doubles> numbers(large, 1.5);
    numbers.freeze();
    const Shared<Block> block;
    block.freeze();
    for (const std::size_t index : {std::size_t{0}, large / 2, large - 1}) {
        Child<TestType> vector_writer(write_to_frozen, numbers, index);
        REQUIRE(vector_writer.join() == -SIGSEGV);
        Child<TestType> block_writer(write_to_frozen_block, block, index);
        REQUIRE(block_writer.join() == -SIGSEGV);
    }
    REQUIRE(numbers.frozen()[0] == 1.5);
}

TEMPLATE_TEST_CASE("Pages can be written again once no handle here has looked at them",
                   "[shared_objects]", START_METHODS) {
    const Watchdog watchdog(60);
    const auto mappings = support::mapping_count();
    {
        auto numbers = std::make_unique<Shared<Doubles>>(large, 1.5);
        numbers->freeze();
        REQUIRE(support::mapping_count() > mappings);
        const mp::Event looked;
        const mp::Event end;
        Child<TestType> child(look_and_end, *numbers, looked, end);
        looked.wait();
        auto second = std::make_unique<Shared<Doubles>>(*numbers);
        REQUIRE(second->frozen()[1] == 1.5);
        numbers.reset();
        REQUIRE(support::mapping_count() > mappings);
        *second = Shared<Doubles>();  // the last view here, while the child has one
        REQUIRE(support::mapping_count() <= mappings + 1);
        end.set();
        REQUIRE(child.join() == 0);
    }
    for (int i = 0; i < 20; ++i) {  // whoever gets the memory next
        Doubles again(large, 2.5);
        REQUIRE(again[large - 1] == 2.5);
    }
}

TEST_CASE("Frozen objects come and go in threads while others fork", "[shared_objects]") {
    const Watchdog watchdog(120);
    constexpr int times = support::sanitized ? 20 : 200;
    const Shared<Doubles> kept(large, 1.5);
    kept.freeze();
    std::atomic<bool> failed{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < times; ++i) {
                const Shared<Doubles> own(large, 2.5);
                own.freeze();
                const Shared<Doubles> again = kept;
                if (own.frozen()[7] != 2.5 || again.frozen()[7] != 1.5) failed = true;
            }
        });
    }
    for (int i = 0; i < times / 10; ++i) {
        mp::ForkProcess child([&kept] {
            const Shared<Doubles> here(large, 3.5);
            here.freeze();
            mp::exit(here.frozen()[5] == 3.5 && kept.frozen()[5] == 1.5 ? 0 : 1);
        });
        child.start();
        child.join();
        if (child.exitcode() != 0) failed = true;
    }
    for (auto& thread : threads) thread.join();
    REQUIRE_FALSE(failed);
}

TEST_CASE("Shared prints what it holds", "[shared_objects]") {
    REQUIRE(shown(Shared<Numbers>({1, 2, 3})) == "<Shared [1, 2, 3]>");
    REQUIRE(shown(Shared<mp::shared::map<string, int>>({{"a", 1}})) == "<Shared {'a': 1}>");
    REQUIRE(shown(Shared<string>("it's")) == "<Shared \"it's\">");
    REQUIRE(shown(Shared<double>(2.0)) == "<Shared 2.0>");
    REQUIRE(shown(Shared<mp::shared::set<int>>({2, 1})) == "<Shared {1, 2}>");
    REQUIRE(shown(Shared<mp::shared::vector<Point>>(2)) == "<Shared size=2>");
    REQUIRE(shown(Shared<Point>(1, 2)).find("Point object>>") != std::string::npos);
    const Shared<Numbers> held({1});
    const auto guard = held.lock();
    REQUIRE(shown(held) == "<Shared [1]>");
    std::thread([&] { CHECK(shown(held).find("; in use>") != std::string::npos); }).join();
}
