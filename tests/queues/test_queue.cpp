// queues.hpp under every start method: what Queue and SimpleQueue do with items of every kind.
// SPDX-License-Identifier: MIT
#include <multiprocessing/pool.hpp>
#include <multiprocessing/queues.hpp>

#include <array>
#include <cereal/types/string.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <string>
#include <variant>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

constexpr int rounds = support::sanitized ? 1'000 : 50'000;

struct Job {
    int number;
    std::string text;
    mp::Queue<Job> reply;  // a type may hold a queue of itself
    std::vector<mp::Lock> locks;
};
struct Unmovable {  // for lack of memory, say
    Unmovable() = default;
    Unmovable(const Unmovable&) = default;
    Unmovable(Unmovable&&) { throw std::bad_alloc(); }
    ~Unmovable() {}
    template <class Archive>
    void serialize(Archive& archive) {
        archive(value);
    }
    int value = 0;
};
struct NoDefault {
    explicit NoDefault(int x) : value(x) {}
    template <class Archive>
    void serialize(Archive& archive) {
        archive(value);
    }
    int value;

  private:
    friend class cereal::access;
    NoDefault() : value(0) {}
};
struct Empty {
    friend bool operator==(Empty, Empty) = default;
};
struct Plain {
    std::int64_t a;
    double b;
    std::array<char, 48> text;
    friend bool operator==(const Plain&, const Plain&) = default;
};
static_assert(sizeof(Plain) == 64);

static_assert(mp::picklable<mp::Queue<int>> && mp::picklable<mp::JoinableQueue<Job>> &&
              mp::picklable<mp::SimpleQueue<std::string>>);
static_assert(std::input_iterator<mp::Queue<Job>::iterator>);

template <class T>
T through(const T& item) {
    const mp::Queue<T> queue;
    queue.put(item);
    return queue.get();
}

void take_six(mp::Queue<int> queue, mp::Event start, mp::Event done) {
    start.wait();
    for (int i = 0; i < 6; ++i) queue.get();
    done.set();
}
void put_range(mp::Queue<int> queue, int first, int last) {
    for (int i = first; i < last; ++i) queue.put(i);
}
void put_strings(mp::Queue<std::string> queue, int count, std::size_t size) {
    for (int i = 0; i < count; ++i) {
        queue.put(std::string(size, static_cast<char>('a' + i % 26)));
    }
}
void add_up(mp::Queue<int> queue, mp::Queue<long> sums) {
    long sum = 0;
    for (const int item : queue) sum += item;
    sums.put(sum);
}
void echo(mp::Queue<std::vector<int>> in, mp::Queue<std::vector<int>> out) {
    for (auto& item : in) out.put(item);
    out.shutdown();
}
void answer(mp::Queue<Job> jobs) {
    Job job = jobs.get();
    job.text += "!";
    job.locks.at(1).acquire();
    job.reply.put({job.number + 1, job.text, mp::Queue<Job>(), {}});
}
mp::Queue<std::string> queue_with_greeting(const std::string& name) {
    mp::Queue<std::string> queue;
    queue.put("hello " + name);
    return queue;
}
void send_new_queue(mp::Queue<mp::Queue<int>> queues) {
    const mp::Queue<int> made_here;
    made_here.put(42);
    queues.put(made_here);
}
void use_what_parent_closed(mp::Queue<int> queue) { queue.put(queue.get() + 1); }

}  // namespace

TEST_CASE("Queue.put does not fail for an item that is in the queue", "[queues]") {
    const mp::Queue<Unmovable> queue;
    Unmovable item;
    REQUIRE_NOTHROW(queue.put(std::move(item)));
    REQUIRE(queue.qsize() == 1);
    REQUIRE_NOTHROW(queue.put(std::move(item), false));
    REQUIRE(queue.qsize() == 2);
}

TEST_CASE("Queue.put raises Full when a bounded queue stays full", "[queues]") {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue(6);
    REQUIRE(queue.empty());
    REQUIRE_FALSE(queue.full());
    queue.put(1);
    queue.put(2, true);
    queue.put(3, true, std::nullopt);
    queue.put(4, false);
    queue.put(5, false, std::nullopt);
    queue.put_nowait(6);
    REQUIRE_FALSE(queue.empty());
    REQUIRE(queue.full());
    REQUIRE(queue.qsize() == 6);
    REQUIRE_THROWS_AS(queue.put(7, false), mp::Full);
    REQUIRE_THROWS_AS(queue.put(7, false, 100), mp::Full);
    REQUIRE_THROWS_AS(queue.put_nowait(7), mp::Full);
    REQUIRE_THROWS_AS(queue.put(7, true, -1), mp::Full);
    const double start = support::now();
    REQUIRE_THROWS_AS(queue.put(7, true, std::chrono::milliseconds(200)), mp::Full);
    REQUIRE(support::now() - start >= 0.2);
    for (int i = 1; i <= 6; ++i) REQUIRE(queue.get() == i);
    REQUIRE(queue.empty());
    queue.put(8);
    REQUIRE(queue.get() == 8);
}

TEST_CASE("Queue.get raises Empty when the queue stays empty", "[queues]") {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue;
    REQUIRE_THROWS_AS(queue.get(false), mp::Empty);
    REQUIRE_THROWS_AS(queue.get(false, 100), mp::Empty);
    REQUIRE_THROWS_AS(queue.get_nowait(), mp::Empty);
    REQUIRE_THROWS_AS(queue.get(true, 0), mp::Empty);
    REQUIRE(queue.try_get() == std::nullopt);
    const double start = support::now();
    REQUIRE_THROWS_AS(queue.get(true, 0.2), mp::Empty);
    REQUIRE(support::now() - start >= 0.2);
    queue.put(1);
    REQUIRE(queue.try_get() == 1);
}

TEMPLATE_TEST_CASE("A child makes room in a queue, and its parent notices", "[queues]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue(6);
    const mp::Event start;
    const mp::Event done;
    Child<TestType> child(take_six, queue, start, done);
    put_range(queue, 0, 6);
    REQUIRE(queue.full());
    start.set();
    queue.put(6);  // waits for room
    done.wait();
    REQUIRE(queue.qsize() == 1);
    REQUIRE(child.join() == 0);
}

TEMPLATE_TEST_CASE("Items that one process puts are taken in that order", "[queues]",
                   START_METHODS) {
    const Watchdog watchdog(120);
    const mp::Queue<int> queue(GENERATE(0, 1, 7));
    const int count = queue.maxsize() == 1 ? rounds / 50 : rounds;
    Child<TestType> child(put_range, queue, 0, count);
    bool in_order = true;
    for (int i = 0; i < count; ++i) in_order &= queue.get() == i;
    REQUIRE(in_order);
    REQUIRE(queue.empty());
    REQUIRE(child.join() == 0);
}

TEST_CASE("Queue.qsize counts the items", "[queues]") {
    const mp::Queue<std::string> queue;
    REQUIRE(queue.qsize() == 0);
    for (std::size_t i = 1; i <= 1000; ++i) {
        queue.put(std::string(i, 'x'));
        REQUIRE(queue.qsize() == i);
    }
    for (std::size_t i = 1000; i > 0; --i) {
        REQUIRE(queue.get().size() == 1001 - i);
        REQUIRE(queue.qsize() == i - 1);
    }
    REQUIRE_FALSE(queue.full());
    REQUIRE(mp::Queue<int>(-1).maxsize() == 0);
}

TEST_CASE("Queue carries items of every kind", "[queues]") {
    const Watchdog watchdog(60);
    REQUIRE(through(true));
    REQUIRE(through('x') == 'x');
    REQUIRE(through(std::numeric_limits<std::int64_t>::min()) ==
            std::numeric_limits<std::int64_t>::min());
    REQUIRE(std::isnan(through(std::numeric_limits<double>::quiet_NaN())));
    REQUIRE(through(Empty{}) == Empty{});
    const Plain plain{1, 2.5, {"text"}};
    REQUIRE(through(plain) == plain);
    REQUIRE(through(std::string()).empty());
    REQUIRE(through(std::string("text\0more", 9)).size() == 9);
    REQUIRE(through(std::vector<std::string>{"a", "", std::string(5000, 'b')})[2].size() == 5000);
    REQUIRE(through(std::map<std::string, std::vector<int>>{{"k", {1, 2}}}).at("k")[1] == 2);
    REQUIRE(through(std::optional<std::string>()) == std::nullopt);
    REQUIRE(std::get<1>(through(std::variant<int, std::string>("v"))) == "v");
    REQUIRE(through(NoDefault(7)).value == 7);
    REQUIRE(through(std::array<double, 500>{1, 2})[1] == 2);  // plain, larger than a record
    const mp::Queue<std::unique_ptr<int>> pointers;
    pointers.put(std::make_unique<int>(5));
    pointers.put(nullptr);
    REQUIRE(*pointers.get() == 5);
    REQUIRE(pointers.get() == nullptr);
    auto given = std::make_unique<int>(6);
    auto kept = std::make_unique<int>(7);
    pointers.put(std::move(given));
    pointers.put(kept);
    REQUIRE(given == nullptr);
    REQUIRE(*kept == 7);
    REQUIRE(*pointers.get() == 6);
    const mp::Queue<std::pair<int, std::string>> pairs;
    pairs.put({1, "one"});
    REQUIRE(pairs.get().second == "one");
}

TEMPLATE_TEST_CASE("Items of all sizes arrive unchanged", "[queues]", START_METHODS) {
    const Watchdog watchdog(120);
    const mp::Queue<std::vector<int>> in;
    const mp::Queue<std::vector<int>> out;
    Child<TestType> child(echo, in, out);
    std::vector<std::vector<int>> sent;
    for (const int size : {0, 1, 2, 3, 4, 230, 238, 239, 240, 241, 253, 254, 255, 256, 1000, 16'380,
                           16'384, 100'000, 3'000'000}) {
        std::vector<int> item(static_cast<std::size_t>(size));
        std::iota(item.begin(), item.end(), size);
        in.put(item);
        sent.push_back(std::move(item));
    }
    in.shutdown();
    for (const auto& item : sent) REQUIRE(out.get() == item);
    REQUIRE_THROWS_AS(out.get(), mp::ShutDown);
    REQUIRE(child.join() == 0);
}

TEMPLATE_TEST_CASE("Queues travel through queues, with the handles in their items", "[queues]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Queue<Job> jobs;
    const mp::Queue<Job> reply;
    const mp::Lock lock;
    Child<TestType> child(answer, jobs);
    jobs.put({1, "one", reply, {mp::Lock(), lock}});
    const Job job = reply.get();
    REQUIRE(job.number == 2);
    REQUIRE(job.text == "one!");
    REQUIRE(job.reply.empty());
    REQUIRE(lock.locked());
    REQUIRE(child.join() == 0);
}

TEMPLATE_TEST_CASE("A queue made in a child outlives it when it was sent back", "[queues]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Queue<mp::Queue<int>> queues;
    Child<TestType> child(send_new_queue, queues);
    REQUIRE(child.join() == 0);
    REQUIRE(queues.get().get() == 42);
    mp::BasicPool<TestType> pool(1);
    REQUIRE(pool.apply(queue_with_greeting, "bob").get() == "hello bob");
}

TEMPLATE_TEST_CASE("A child that has put 100 MB can be joined before anything is taken", "[queues]",
                   START_METHODS) {
    const Watchdog watchdog(120);
    const int count = support::sanitized ? 10 : 100;
    const mp::Queue<std::string> queue;
    Child<TestType> child(put_strings, queue, count, std::size_t{1'000'000});
    REQUIRE(child.join() == 0);
    REQUIRE(queue.qsize() == static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        const std::string item = queue.get();
        REQUIRE(item == std::string(1'000'000, static_cast<char>('a' + i % 26)));
    }
}

TEMPLATE_TEST_CASE("What many processes put, many take, each item once", "[queues]",
                   START_METHODS) {
    const Watchdog watchdog(120);
    const mp::Queue<int> queue(GENERATE(0, 100));
    const mp::Queue<long> sums;
    const int each = rounds / 4;
    std::list<Child<TestType>> consumers;
    std::list<Child<TestType>> producers;
    for (int i = 0; i < 3; ++i) consumers.emplace_back(add_up, queue, sums);
    for (int i = 0; i < 3; ++i) producers.emplace_back(put_range, queue, i * each, (i + 1) * each);
    for (auto& producer : producers) REQUIRE(producer.join() == 0);
    queue.shutdown();
    for (auto& consumer : consumers) REQUIRE(consumer.join() == 0);
    const long all = 3L * each;
    REQUIRE(sums.get() + sums.get() + sums.get() == all * (all - 1) / 2);
}

TEST_CASE("Eight threads of a process use one queue", "[queues]") {
    const Watchdog watchdog(120);
    const mp::Queue<std::string> queue(50);
    std::atomic<long> sum{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int k = 0; k < rounds / 10; ++k) queue.put(std::to_string(k));
        });
        threads.emplace_back([&] {
            for (int k = 0; k < rounds / 10; ++k) sum += std::stol(queue.get());
        });
    }
    for (std::thread& thread : threads) thread.join();
    REQUIRE(sum == 4L * (rounds / 10) * (rounds / 10 - 1) / 2);
    REQUIRE(queue.empty());
}

TEMPLATE_TEST_CASE("Queue.close is of one process", "[queues]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue;
    const mp::Queue<int> copy = queue;
    queue.put(1);
    REQUIRE_THROWS_AS(queue.join_thread(), mp::AssertionError);
    queue.close();
    queue.close();
    queue.join_thread();
    queue.cancel_join_thread();
    REQUIRE_THROWS_AS(queue.put(2), mp::ValueError);
    REQUIRE_THROWS_AS(queue.get(), mp::ValueError);
    REQUIRE_THROWS_AS(queue.try_get(), mp::ValueError);
    REQUIRE_THROWS_AS(copy.put(2), mp::ValueError);
    REQUIRE(queue.qsize() == 1);
    REQUIRE_FALSE(queue.empty());
    Child<TestType> child(use_what_parent_closed, queue);
    REQUIRE(child.join() == 0);
    REQUIRE(queue.qsize() == 1);
}

TEST_CASE("SimpleQueue has what Python's has, and the rest", "[queues]") {
    const mp::SimpleQueue<std::string> queue;
    REQUIRE(queue.empty());
    queue.put("a");
    queue.put("b");
    REQUIRE_FALSE(queue.empty());
    REQUIRE(queue.get() == "a");
    REQUIRE(through(queue) == queue);
    queue.close();
    REQUIRE_THROWS_AS(queue.put("c"), mp::ValueError);
}

TEST_CASE("fmt prints a queue", "[queues]") {
    const mp::Queue<int> queue(3);
    queue.put(1);
    REQUIRE(fmt::format("{}", queue) == "<Queue size=1 maxsize=3>");
    REQUIRE(fmt::format("{}", mp::JoinableQueue<int>()) == "<JoinableQueue size=0>");
    REQUIRE(fmt::format("{}", mp::SimpleQueue<int>()) == "<SimpleQueue size=0>");
}
