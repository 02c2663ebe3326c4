// The ends of queues: waiting for items and for room, shutting down, counting what is done, errors
// in the middle, and what is given back. SPDX-License-Identifier: MIT
#include <cereal/cereal.hpp>
#include <multiprocessing/context.hpp>
#include <multiprocessing/queues.hpp>

#include <stdexcept>
#include <string>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

void take_and_count(mp::Queue<int> queue, mp::Event ready, mp::Value<int> taken) {
    ready.set();
    queue.get();
    taken.value += 1;
}
void put_and_count(mp::Queue<int> queue, mp::Event ready, mp::Value<int> put) {
    ready.set();
    queue.put(1);
    put.value += 1;
}
void wait_for_shutdown(mp::Queue<int> queue, mp::Event ready, mp::Value<int> told) {
    ready.set();
    try {
        queue.get();
    } catch (const mp::ShutDown&) {
        told.value += 1;
    }
}
void wait_for_room_until_shutdown(mp::Queue<int> queue, mp::Event ready, mp::Value<int> told) {
    ready.set();
    try {
        queue.put(1);
    } catch (const mp::ShutDown&) {
        told.value += 1;
    }
}
void work_until_zero(mp::JoinableQueue<int> queue, mp::Value<int> sum) {
    while (const int item = queue.get()) {
        ::usleep(1'000);
        sum.value += item;
        queue.task_done();
    }
    queue.task_done();
}

/// A value that cannot be written, or cannot be read.
struct Moody {
    int mood = 0;
    template <class Archive>
    void save(Archive& archive) const {
        if (mood == 1) throw std::runtime_error("not written");
        archive(mood, std::string(mood == 2 ? 5'000 : 1, 'x'));
        // Asking for more than there is comes before it is read.
        if (mood == 3) archive(cereal::binary_data(&mood, std::size_t{1} << 45));
    }
    template <class Archive>
    void load(Archive& archive) {
        std::string text;
        archive(mood, text);
        if (mood == 2 || mood == 4) throw std::runtime_error("not read");
    }
};

std::size_t heap_memory() { return mp::detail::heap().segment().memory(); }

}  // namespace

TEMPLATE_TEST_CASE("A put wakes one who waits, whoever else of those was killed", "[queues]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue;
    const mp::Value<int> taken(0);
    std::list<Child<TestType>> waiters;
    for (int i = 0; i < 6; ++i) {
        const mp::Event ready;
        waiters.emplace_back(take_and_count, queue, ready, taken);
        ready.wait();
    }
    ::usleep(50'000);                                 // most of them sleep by then
    for (int i = 0; i < 3; ++i) waiters.pop_front();  // kills
    for (int i = 0; i < 3; ++i) queue.put(i);
    for (auto& waiter : waiters) REQUIRE(waiter.join() == 0);
    REQUIRE(taken.value == 3);
    REQUIRE(queue.empty());
}

TEMPLATE_TEST_CASE("Room wakes one who waits, whoever else of those was killed", "[queues]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue(1);
    queue.put(0);
    const mp::Value<int> put(0);
    std::list<Child<TestType>> waiters;
    for (int i = 0; i < 6; ++i) {
        const mp::Event ready;
        waiters.emplace_back(put_and_count, queue, ready, put);
        ready.wait();
    }
    ::usleep(50'000);
    for (int i = 0; i < 3; ++i) waiters.pop_front();  // kills
    for (int i = 0; i < 4; ++i) queue.get();
    for (auto& waiter : waiters) REQUIRE(waiter.join() == 0);
    REQUIRE(put.value == 3);
    REQUIRE(queue.empty());
}

TEST_CASE("Who waits for an item or for room uses no processor time", "[queues]") {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue(1);
    const double before = support::cpu_seconds();
    REQUIRE_THROWS_AS(queue.get(true, 1), mp::Empty);
    queue.put(1);
    REQUIRE_THROWS_AS(queue.put(2, true, 1), mp::Full);
    REQUIRE(support::cpu_seconds() - before < 0.05);
}

TEST_CASE("A signal neither ends nor prolongs a wait", "[queues]") {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue;
    const support::SignalRain rain;
    const double start = support::now();
    REQUIRE_THROWS_AS(queue.get(true, 0.3), mp::Empty);
    const double waited = support::now() - start;
    REQUIRE(waited >= 0.3);
    REQUIRE(waited < 5);
}

TEST_CASE("A queue that is shut down is drained first", "[queues]") {
    const mp::Queue<std::string> queue;
    queue.put("a");
    queue.put("b");
    queue.shutdown();
    REQUIRE_THROWS_AS(queue.put("c"), mp::ShutDown);
    REQUIRE_THROWS_AS(queue.put_nowait("c"), mp::ShutDown);
    REQUIRE(queue.get() == "a");
    REQUIRE(queue.get(false) == "b");
    REQUIRE_THROWS_AS(queue.get(), mp::ShutDown);
    REQUIRE_THROWS_AS(queue.get_nowait(), mp::ShutDown);
    REQUIRE(queue.try_get() == std::nullopt);
    queue.shutdown();
}

TEST_CASE("A queue that is shut down immediately drops its items", "[queues]") {
    const mp::JoinableQueue<std::string> queue;
    queue.put("a");
    queue.put(std::string(100'000, 'b'));
    queue.get();
    queue.shutdown();
    queue.shutdown(true);
    REQUIRE(queue.qsize() == 0);
    REQUIRE_THROWS_AS(queue.get(), mp::ShutDown);
    REQUIRE_THROWS_AS(queue.put("c"), mp::ShutDown);
    REQUIRE_THROWS_AS(queue.join(0), mp::TimeoutError);  // the one that was taken is not done
    queue.task_done();
    queue.join();
    queue.shutdown();  // not less than before
    REQUIRE_THROWS_AS(queue.get(), mp::ShutDown);
}

TEMPLATE_TEST_CASE("Who waits for an item or for room is told of the shutdown", "[queues]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const bool immediate = GENERATE(false, true);
    const mp::Queue<int> empty;
    const mp::Queue<int> full(1);
    full.put(1);
    const mp::Value<int> told(0);
    std::list<Child<TestType>> waiters;
    for (int i = 0; i < 4; ++i) {
        const mp::Event ready;
        if (i % 2 == 0) {
            waiters.emplace_back(wait_for_shutdown, empty, ready, told);
        } else {
            waiters.emplace_back(wait_for_room_until_shutdown, full, ready, told);
        }
        ready.wait();
    }
    ::usleep(20'000);
    empty.shutdown(immediate);
    full.shutdown(immediate);
    for (auto& waiter : waiters) REQUIRE(waiter.join() == 0);
    REQUIRE(told.value == 4);
}

TEST_CASE("A loop over a queue ends when it is shut down and drained", "[queues]") {
    const Watchdog watchdog(60);
    const mp::Queue<std::string> queue;
    std::thread producer([queue] {
        for (int i = 0; i < 100; ++i) queue.put(std::to_string(i));
        queue.shutdown();
    });
    int expected = 0;
    for (std::string item : queue) REQUIRE(item == std::to_string(expected++));
    producer.join();
    REQUIRE(expected == 100);
    for (const std::string& item : queue) FAIL(item);
}

TEMPLATE_TEST_CASE("JoinableQueue.join waits until all that was put is done", "[queues]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::JoinableQueue<int> queue;
    const mp::Value<int> sum(0);
    queue.join();
    REQUIRE_THROWS_AS(queue.task_done(), mp::ValueError);
    std::list<Child<TestType>> workers;
    for (int i = 0; i < 4; ++i) workers.emplace_back(work_until_zero, queue, sum);
    for (int i = 1; i <= 10; ++i) queue.put(i);
    queue.join();
    REQUIRE(sum.value == 55);
    for (int i = 0; i < 4; ++i) queue.put(0);
    queue.join(30);
    for (auto& worker : workers) REQUIRE(worker.join() == 0);
    REQUIRE_THROWS_AS(queue.task_done(), mp::ValueError);
    queue.put(1);
    const double start = support::now();
    REQUIRE_THROWS_AS(queue.join(0.1), mp::TimeoutError);
    REQUIRE(support::now() - start >= 0.1);
}

TEST_CASE("An item that cannot be written, or read, costs itself alone", "[queues]") {
    const Watchdog watchdog(60);
    const mp::Queue<Moody> queue(2);
    REQUIRE_THROWS_WITH(queue.put({1}), "not written");
    REQUIRE_THROWS_AS(queue.put({3}), std::bad_alloc);
    REQUIRE(queue.empty());
    queue.put({2});
    queue.put({4});
    REQUIRE_THROWS_WITH(queue.get(), "not read");
    queue.put({0});
    REQUIRE_THROWS_WITH(queue.get(), "not read");
    REQUIRE(queue.get().mood == 0);
    REQUIRE(queue.empty());
}

TEST_CASE("A million small items leave no memory behind", "[queues]") {
    const Watchdog watchdog(120);
    const int count = support::sanitized ? 20'000 : 1'000'000;
    const mp::Queue<std::int64_t> queue;
    queue.put(0);
    queue.get();
    const std::size_t before = heap_memory();
    for (int i = 0; i < count; ++i) queue.put(i);
    const std::size_t full = heap_memory();
    std::int64_t sum = 0;
    for (int i = 0; i < count; ++i) sum += queue.get();
    REQUIRE(sum == std::int64_t{count} * (count - 1) / 2);
    REQUIRE(full >= before + static_cast<std::size_t>(count) * 16);
    REQUIRE(heap_memory() <= before + (std::size_t{1} << 20));
}

TEST_CASE("A queue that is dropped frees what is in it", "[queues]") {
    const auto fill_and_drop = [] {
        const mp::Queue<std::pair<std::string, mp::Lock>> queue;
        for (int i = 0; i < 20; ++i) queue.put({std::string(1'000'000, 'x'), mp::Lock()});
        const mp::Queue<std::string> small;
        for (int i = 0; i < 50'000; ++i) small.put("small enough to lie in a record");
    };
    fill_and_drop();
    const std::size_t before = heap_memory();
    fill_and_drop();
    REQUIRE(heap_memory() <= before + (std::size_t{1} << 20));
}

TEST_CASE("Thousands of queues need no descriptor, and little memory", "[queues]") {
    const auto descriptors = support::descriptors();
    const std::size_t before = heap_memory();
    std::vector<mp::Queue<int>> queues;
    for (int i = 0; i < 5'000; ++i) queues.emplace_back().put(i);
    REQUIRE(support::descriptors() == descriptors);
    REQUIRE(heap_memory() - before <= 5'000 * 2'048);
    for (int i = 0; i < 5'000; ++i) REQUIRE(queues[static_cast<std::size_t>(i)].get() == i);
}

TEST_CASE("A context makes queues", "[queues]") {
    constexpr auto context = mp::get_context<"spawn">();
    const auto queue = context.Queue<int>(1);
    queue.put(1);
    REQUIRE(queue.full());
    const auto joinable = context.JoinableQueue<std::string>();
    joinable.put("x");
    REQUIRE_THROWS_AS(joinable.join(0), mp::TimeoutError);
    REQUIRE(context.SimpleQueue<double>().empty());
}
