// Batches of a queue's items: put_many, get_many, get_many_into, batches().
// SPDX-License-Identifier: MIT
#include <cereal/cereal.hpp>
#include <multiprocessing/queues.hpp>

#include <list>
#include <memory>
#include <numeric>
#include <ranges>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

constexpr int rounds = support::sanitized ? 2'000 : 40'000;

std::vector<int> numbers(int first, int last) {
    std::vector<int> items(static_cast<std::size_t>(last - first));
    std::iota(items.begin(), items.end(), first);
    return items;
}

template <class T>
std::vector<T> through(const std::vector<T>& items) {
    const mp::Queue<T> queue;
    queue.put_many(items);
    REQUIRE(queue.qsize() == items.size());
    return queue.get_many(items.size());
}

/// A value that cannot be written, or cannot be read.
struct Moody {
    int mood = 0;
    template <class Archive>
    void save(Archive& archive) const {
        if (mood == 1) throw std::runtime_error("not written");
        archive(mood);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(mood);
        if (mood == 2) throw std::runtime_error("not read");
    }
};

struct alignas(32) Wide {
    double values[4];
};

std::size_t heap_memory() { return mp::detail::heap().segment().memory(); }

void put_numbers(mp::Queue<int> queue, int first, int last, int length) {
    for (int i = first; i < last; i += length) queue.put_many(numbers(i, i + length));
}
void put_texts(mp::Queue<std::string> queue, std::vector<std::string> texts) {
    queue.put_many(texts);
}
void add_up(mp::Queue<int> queue, mp::Queue<long> sums) {
    long sum = 0;
    for (const std::vector<int>& batch : queue.batches(50)) {
        sum = std::accumulate(batch.begin(), batch.end(), sum);
    }
    sums.put(sum);
}
void take_one(mp::Queue<int> queue, mp::Event ready, mp::Value<int> taken) {
    ready.set();
    queue.get();
    taken.value += 1;
}
void put_one(mp::Queue<int> queue, mp::Event ready, mp::Value<int> put) {
    ready.set();
    queue.put(1);
    put.value += 1;
}
void take_slowly(mp::Queue<int> queue, int count, mp::Value<int> in_order) {
    for (int i = 0; i < count; ++i) {
        if (queue.get() == i) in_order.value += 1;
    }
}

}  // namespace

TEST_CASE("Queue.put_many puts items of every kind, and get_many takes them in order",
          "[queues][batches]") {
    const Watchdog watchdog(60);
    REQUIRE(through(numbers(0, 1'000)) == numbers(0, 1'000));
    REQUIRE(through(std::vector<bool>{true, false, true}) == std::vector<bool>{true, false, true});
    const std::vector<std::string> texts{
        "a", "", std::string(900, 'b'), std::string(1'500, 'c'), std::string(300'000, 'd'), "e"};
    REQUIRE(through(texts) == texts);
    REQUIRE(through(std::vector<std::vector<int>>(300, numbers(0, 200))).at(299)[199] == 199);
    REQUIRE(through(std::vector<Wide>(7, Wide{{1, 2, 3, 4}}))[6].values[3] == 4);
    const mp::Lock lock;
    const auto locks = through(std::vector<mp::Lock>{lock, mp::Lock(), lock});
    REQUIRE(locks[0] == lock);
    REQUIRE_FALSE(locks[1] == lock);
    REQUIRE(locks[2] == lock);
    const mp::SimpleQueue<double> simple;
    simple.put_many({1, 2.5});
    REQUIRE(simple.get_many(5) == std::vector<double>{1, 2.5});
}

TEST_CASE("Queue.put_many takes any range", "[queues][batches]") {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue;
    const int array[] = {1, 2};
    std::istringstream input("3 4 5");
    const std::vector<short> narrow{6, 7};
    const std::set<int> tree{9, 8};
    queue.put_many(array);
    queue.put_many(std::ranges::istream_view<int>(input));
    queue.put_many(narrow);
    queue.put_many(tree);
    queue.put_many(std::views::iota(10, 12));
    queue.put_many(std::vector<int>{12} | std::views::transform([](int i) { return i + 0L; }) |
                   std::views::transform([](long i) { return static_cast<int>(i); }));
    queue.put_many({13, 14});
    queue.put_many(std::vector<int>());
    queue.put_many(std::list<int>());
    REQUIRE(queue.get_many(100) == numbers(1, 15));
    REQUIRE(queue.empty());
    const mp::Queue<std::unique_ptr<int>> pointers;
    pointers.put_many(std::views::iota(0, 3) |
                      std::views::transform([](int i) { return std::make_unique<int>(i); }));
    REQUIRE(*pointers.get_many(3)[2] == 2);
}

TEST_CASE("Queue.put_many takes what is given away once it is in the queue", "[queues][batches]") {
    const mp::Queue<std::unique_ptr<int>> queue(2);
    std::vector<std::unique_ptr<int>> given;
    for (int i = 0; i < 3; ++i) given.push_back(std::make_unique<int>(i));
    REQUIRE(queue.put_many(given, 0) == 2);
    REQUIRE(given[0] != nullptr);  // it was not given
    (void)queue.get_many(2);
    REQUIRE(queue.put_many(std::move(given), 0) == 2);
    REQUIRE(given[0] == nullptr);
    REQUIRE(given[1] == nullptr);
    REQUIRE(*given[2] == 2);  // for which there was no room
    REQUIRE(*queue.get_many(2)[1] == 1);
}

TEST_CASE("Queue.put_many with a timeout says how many there was room for", "[queues][batches]") {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue(5);
    REQUIRE(queue.put_many(numbers(0, 3), 0) == 3);
    const double start = support::now();
    REQUIRE(queue.put_many(numbers(3, 9), 0.2) == 2);
    REQUIRE(support::now() - start >= 0.2);
    REQUIRE(queue.full());
    REQUIRE_THROWS_AS(queue.put_many(numbers(5, 9), 0), mp::Full);
    REQUIRE_THROWS_AS(queue.put_many({5}, std::chrono::milliseconds(20)), mp::Full);
    REQUIRE(queue.put_many(std::vector<int>(), 0) == 0);
    REQUIRE(queue.get_many(2) == numbers(0, 2));
    REQUIRE(queue.put_many(std::list<int>{5, 6, 7}, 0) == 2);
    REQUIRE(queue.get_many(9) == numbers(2, 7));
}

TEST_CASE("Queue.get_many waits for the first item only", "[queues][batches]") {
    const Watchdog watchdog(60);
    const mp::Queue<std::string> queue;
    REQUIRE_THROWS_AS(queue.get_many(3, 0), mp::Empty);
    const double start = support::now();
    REQUIRE_THROWS_AS(queue.get_many(3, 0.2), mp::Empty);
    REQUIRE(support::now() - start >= 0.2);
    REQUIRE(queue.get_many(0).empty());
    std::thread producer([&] {
        ::usleep(20'000);
        queue.put_many({"a", "b", "c"});
    });
    REQUIRE(queue.get_many(2) == std::vector<std::string>{"a", "b"});
    producer.join();
    std::vector<std::string> items{"z"};
    REQUIRE(queue.get_many_into(items, 7) == 1);
    REQUIRE(items == std::vector<std::string>{"z", "c"});
}

TEST_CASE("Batches end with the queue", "[queues][batches]") {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue;
    queue.put_many(numbers(0, 10));
    queue.shutdown();
    REQUIRE_THROWS_AS(queue.put_many({1}), mp::ShutDown);
    REQUIRE_THROWS_AS(queue.put_many({1}, 1), mp::ShutDown);
    std::vector<std::size_t> sizes;
    for (const auto& batch : queue.batches(4)) sizes.push_back(batch.size());
    REQUIRE(sizes == std::vector<std::size_t>{4, 4, 2});
    REQUIRE_THROWS_AS(queue.get_many(4), mp::ShutDown);
    REQUIRE_THROWS_AS(queue.batches(0), mp::ValueError);
    queue.close();
    REQUIRE_THROWS_AS(queue.put_many({1}), mp::ValueError);
    REQUIRE_THROWS_AS(queue.put_many(std::list<int>{1}, 0), mp::ValueError);
    REQUIRE_THROWS_AS(queue.get_many(1), mp::ValueError);
}

TEST_CASE("A shutdown ends a put_many that waits for room", "[queues][batches]") {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue(3);
    const bool counts = GENERATE(false, true);
    std::thread closer([&] {
        while (!queue.full()) ::usleep(1'000);
        ::usleep(20'000);
        queue.shutdown();
    });
    if (counts) {
        REQUIRE(queue.put_many(numbers(0, 5), 50) == 3);
    } else {
        REQUIRE_THROWS_AS(queue.put_many(numbers(0, 5)), mp::ShutDown);
    }
    closer.join();
    REQUIRE(queue.get_many(9) == numbers(0, 3));
}

TEST_CASE("Of items one of which cannot be written, none is put", "[queues][batches]") {
    const mp::Queue<Moody> queue;
    REQUIRE_THROWS_WITH(queue.put_many({Moody{0}, Moody{0}, Moody{1}}), "not written");
    REQUIRE_THROWS_WITH(queue.put_many(std::vector<Moody>{{0}, {1}}, 1), "not written");
    REQUIRE(queue.empty());
    const mp::Queue<int> plain;
    const auto failing = std::views::iota(0, 9) | std::views::transform([](int i) {
                             return i < 5 ? i : throw std::runtime_error("no more");
                         });
    REQUIRE_THROWS_WITH(plain.put_many(failing), "no more");
    REQUIRE(plain.empty());
}

TEST_CASE("Of items one of which cannot be read, get_many_into keeps the others",
          "[queues][batches]") {
    const mp::Queue<Moody> queue;
    queue.put_many({Moody{3}, Moody{2}, Moody{4}, Moody{5}});
    std::vector<Moody> items;
    REQUIRE_THROWS_WITH(queue.get_many_into(items, 3), "not read");
    REQUIRE(items.size() == 2);
    REQUIRE(items[1].mood == 4);
    REQUIRE(queue.get_many(3).at(0).mood == 5);
}

TEMPLATE_TEST_CASE("What put_many has no room for follows as others make room", "[queues][batches]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue(GENERATE(1, 7));
    const mp::Value<int> in_order(0);
    Child<TestType> child(take_slowly, queue, 500, in_order);
    queue.put_many(numbers(0, 300));
    REQUIRE(queue.put_many(std::views::iota(300, 500), 50) == 200);
    REQUIRE(child.join() == 0);
    REQUIRE(in_order.value == 500);
}

TEMPLATE_TEST_CASE("Texts of all sizes that one process puts at once arrive in another",
                   "[queues][batches]", START_METHODS) {
    const Watchdog watchdog(60);
    std::vector<std::string> texts;
    for (int i = 0; i < 300; ++i) {
        texts.emplace_back(static_cast<std::size_t>(i * i % 3'000),
                           static_cast<char>('a' + i % 26));
    }
    const mp::Queue<std::string> queue(GENERATE(0, 11));
    Child<TestType> child(put_texts, queue, texts);
    std::vector<std::string> arrived;
    while (arrived.size() < texts.size()) queue.get_many_into(arrived, 40);
    REQUIRE(arrived == texts);
    REQUIRE(child.join() == 0);
}

TEMPLATE_TEST_CASE("One put_many wakes as many as it has items for", "[queues][batches]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue;
    const mp::Value<int> taken(0);
    std::list<Child<TestType>> waiters;
    for (int i = 0; i < 6; ++i) {
        const mp::Event ready;
        waiters.emplace_back(take_one, queue, ready, taken);
        ready.wait();
    }
    ::usleep(50'000);                                 // most of them sleep by then
    for (int i = 0; i < 2; ++i) waiters.pop_front();  // kills
    queue.put_many(numbers(0, 4));
    for (auto& waiter : waiters) REQUIRE(waiter.join() == 0);
    REQUIRE(taken.value == 4);
}

TEMPLATE_TEST_CASE("One get_many wakes as many as it makes room for", "[queues][batches]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue(4);
    queue.put_many(numbers(0, 4));
    const mp::Value<int> put(0);
    std::list<Child<TestType>> waiters;
    for (int i = 0; i < 6; ++i) {
        const mp::Event ready;
        waiters.emplace_back(put_one, queue, ready, put);
        ready.wait();
    }
    ::usleep(50'000);
    for (int i = 0; i < 2; ++i) waiters.pop_front();
    REQUIRE(queue.get_many(9) == numbers(0, 4));
    for (auto& waiter : waiters) REQUIRE(waiter.join() == 0);
    REQUIRE(put.value == 4);
    REQUIRE(queue.full());
}

TEMPLATE_TEST_CASE("What many processes put in batches, many take, each item once",
                   "[queues][batches]", START_METHODS) {
    const Watchdog watchdog(120);
    const mp::Queue<int> queue(GENERATE(0, 130));
    const mp::Queue<long> sums;
    std::list<Child<TestType>> consumers;
    std::list<Child<TestType>> producers;
    for (int i = 0; i < 3; ++i) consumers.emplace_back(add_up, queue, sums);
    for (int i = 0; i < 3; ++i) {
        producers.emplace_back(put_numbers, queue, i * rounds, (i + 1) * rounds, 100);
    }
    for (auto& producer : producers) REQUIRE(producer.join() == 0);
    queue.shutdown();
    for (auto& consumer : consumers) REQUIRE(consumer.join() == 0);
    const long all = 3L * rounds;
    REQUIRE(sums.get() + sums.get() + sums.get() == all * (all - 1) / 2);
}

TEST_CASE("Eight threads put and take, one by one and in batches", "[queues][batches]") {
    const Watchdog watchdog(120);
    const mp::Queue<int> queue(GENERATE(0, 60));
    constexpr int each = rounds / 4;
    std::atomic<long> sum{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            for (int k = 0; k < each; k += 20) {
                if (i % 2 == 0) queue.put_many(numbers(k, k + 20));
                for (int n = k; i % 2 != 0 && n < k + 20; ++n) queue.put(n);
            }
        });
        threads.emplace_back([&, i] {
            for (std::size_t left = each; left != 0;) {
                if (i % 2 == 0) {
                    sum += queue.get();
                    --left;
                } else {
                    const auto batch = queue.get_many(std::min<std::size_t>(left, 30));
                    sum += std::accumulate(batch.begin(), batch.end(), 0L);
                    left -= batch.size();
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    REQUIRE(sum == 4L * each * (each - 1) / 2);
    REQUIRE(queue.empty());
}

TEST_CASE("Items that are put together are taken one behind the other", "[queues][batches]") {
    const Watchdog watchdog(120);
    const mp::Queue<int> queue;
    constexpr int length = 300;  // more than fits into what is left of most chunks
    std::vector<std::thread> producers;
    for (int i = 0; i < 4; ++i) {
        producers.emplace_back([&, i] {
            for (int k = 0; k < rounds / length; ++k) {
                const int first = (k * 4 + i) * length;
                queue.put_many(numbers(first, first + length));
            }
        });
    }
    bool together = true;
    for (int k = 0; k < rounds / length * 4; ++k) {
        const int first = queue.get();
        together &= first % length == 0;
        for (int n = 1; n < length; ++n) together &= queue.get() == first + n;
    }
    for (std::thread& thread : producers) thread.join();
    REQUIRE(together);
    REQUIRE(queue.empty());
}

TEST_CASE("Hundreds of thousands of items are put at once, and leave no memory behind",
          "[queues][batches]") {
    const Watchdog watchdog(120);
    const int count = support::sanitized ? 70'000 : 300'000;
    const mp::Queue<int> queue;
    const auto fill_and_drain = [&] {
        queue.put_many(numbers(0, count));
        REQUIRE(queue.qsize() == static_cast<std::size_t>(count));
        REQUIRE(queue.get() == 0);
        REQUIRE(queue.get_many(static_cast<std::size_t>(count)) == numbers(1, count));
        REQUIRE(queue.empty());
        queue.put(1);
        REQUIRE(queue.get() == 1);
    };
    fill_and_drain();
    const std::size_t before = heap_memory();
    for (int i = 0; i < 5; ++i) fill_and_drain();
    REQUIRE(heap_memory() <= before + (std::size_t{1} << 20));
}

TEST_CASE("A batch that is not put, or not read, frees its items", "[queues][batches]") {
    const auto fill_and_drop = [] {
        const mp::Lock lock;
        const std::vector<std::pair<std::string, mp::Lock>> items(
            20, {std::string(1'000'000, 'x'), lock});
        const mp::Queue<std::pair<std::string, mp::Lock>> queue(5);
        REQUIRE(queue.put_many(items, 0) == 5);
        REQUIRE_THROWS_AS(queue.put_many(items, 0), mp::Full);
        REQUIRE(queue.get_many(2).size() == 2);
    };
    fill_and_drop();
    const std::size_t before = heap_memory();
    fill_and_drop();
    REQUIRE(heap_memory() <= before + (std::size_t{1} << 20));
}

TEST_CASE("JoinableQueue counts what is put in batches", "[queues][batches]") {
    const Watchdog watchdog(60);
    const mp::JoinableQueue<int> queue;
    queue.put_many(numbers(0, 40));
    for (std::size_t left = 40; left != 0;) {
        REQUIRE_THROWS_AS(queue.join(0), mp::TimeoutError);
        for (const int item : queue.get_many(7)) {
            REQUIRE(item == 40 - static_cast<int>(left));
            queue.task_done();
            --left;
        }
    }
    queue.join(1);
    REQUIRE_THROWS_AS(queue.task_done(), mp::ValueError);
}
