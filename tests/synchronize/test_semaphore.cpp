// synchronize/semaphore.hpp under every start method.
// SPDX-License-Identifier: MIT
#include <climits>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

void take_and_sleep(mp::Semaphore semaphore, mp::Event taken) {
    semaphore.acquire();
    taken.set();
    support::sleep_on();
}
void take(mp::Semaphore semaphore, mp::Value<int> taken) {
    semaphore.acquire();
    taken.value += 1;
}
void announce_and_take(mp::BoundedSemaphore semaphore, mp::Event waiting) {
    waiting.set();
    semaphore.acquire();
}
void release_often(mp::BoundedSemaphore semaphore, mp::Value<int> exceeded, int times) {
    for (int i = 0; i < times; ++i) {
        semaphore.acquire(false);
        try {
            semaphore.release();
        } catch (const mp::ValueError&) {  // the other one has
        }
        if (semaphore.get_value() > 1) exceeded.value += 1;
    }
}
template <class Semaphore>
void check_values(const Semaphore& semaphore) {
    REQUIRE(semaphore.get_value() == 2);
    REQUIRE(semaphore.acquire());
    REQUIRE(semaphore.get_value() == 1);
    REQUIRE_FALSE(semaphore.locked());
    REQUIRE(semaphore.acquire());
    REQUIRE(semaphore.get_value() == 0);
    REQUIRE(semaphore.locked());
    REQUIRE_FALSE(semaphore.acquire(false));
    REQUIRE_FALSE(semaphore.acquire(false, 3600));
    REQUIRE_FALSE(semaphore.acquire(true, -1));
    const double start = support::now();
    REQUIRE_FALSE(semaphore.acquire(true, 0.1));
    REQUIRE(support::now() - start >= 0.1);
    REQUIRE(semaphore.get_value() == 0);
    semaphore.release();
    REQUIRE(semaphore.get_value() == 1);
    semaphore.release();
    REQUIRE(semaphore.get_value() == 2);
}

}  // namespace

TEST_CASE("Semaphore.acquire takes units until none is left", "[synchronize][semaphore]") {
    const mp::Semaphore semaphore(2);
    check_values(semaphore);
    semaphore.release();
    semaphore.release();
    REQUIRE(semaphore.get_value() == 4);
    REQUIRE(mp::Semaphore().get_value() == 1);
    REQUIRE(mp::Semaphore(0).locked());
}

TEST_CASE("BoundedSemaphore refuses to be released more often than it was acquired",
          "[synchronize][semaphore]") {
    const mp::BoundedSemaphore semaphore(2);
    check_values(semaphore);
    REQUIRE_THROWS_AS(semaphore.release(), mp::ValueError);
    REQUIRE(semaphore.get_value() == 2);
    REQUIRE_THROWS_AS(mp::BoundedSemaphore(0).release(), mp::ValueError);
}

TEST_CASE("A semaphore's value is between 0 and that of an int", "[synchronize][semaphore]") {
    REQUIRE_THROWS_AS(mp::Semaphore(-1), mp::ValueError);
    REQUIRE_THROWS_AS(mp::BoundedSemaphore(-1), mp::ValueError);
    const mp::Semaphore semaphore(INT_MAX);
    REQUIRE_THROWS_AS(semaphore.release(), mp::ValueError);
    REQUIRE(semaphore.acquire());
    REQUIRE(semaphore.get_value() == INT_MAX - 1);
}

TEMPLATE_TEST_CASE("Units released wake as many that wait", "[synchronize][semaphore]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Semaphore semaphore(0);
    const mp::Value<int> taken(0);
    std::list<Child<TestType>> children;
    for (int i = 0; i < 5; ++i) children.emplace_back(take, semaphore, taken);
    ::usleep(100'000);  // most of them sleep by then
    REQUIRE(taken.value == 0);
    for (int i = 0; i < 3; ++i) semaphore.release();
    REQUIRE(support::eventually([&] { return taken.value == 3; }));
    semaphore.release();
    semaphore.release();
    for (auto& child : children) REQUIRE(child.join() == 0);
    REQUIRE(taken.value == 5);
    REQUIRE(semaphore.get_value() == 0);
}

TEMPLATE_TEST_CASE("A unit dies with the process that took it, as in Python",
                   "[synchronize][semaphore]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Semaphore semaphore(2);
    const mp::Event taken;
    Child<TestType> child(take_and_sleep, semaphore, taken);
    taken.wait();
    child.kill();
    REQUIRE(semaphore.get_value() == 1);
    REQUIRE(semaphore.acquire());
    REQUIRE_FALSE(semaphore.acquire(true, 0.1));
    semaphore.release();
}

TEMPLATE_TEST_CASE("A process killed as it waits for a semaphore takes no unit along",
                   "[synchronize][semaphore]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::BoundedSemaphore semaphore(1);
    for (int i = 0; i < 5; ++i) {
        semaphore.acquire();
        const mp::Event waiting;
        Child<TestType> child(announce_and_take, semaphore, waiting);
        waiting.wait();
        ::usleep(20'000);
        child.kill();
        semaphore.release();
        REQUIRE(semaphore.get_value() == 1);
    }
}

TEMPLATE_TEST_CASE("BoundedSemaphore keeps its bound among processes that release at once",
                   "[synchronize][semaphore]", START_METHODS) {
    const Watchdog watchdog(120);
    constexpr int times = support::sanitized ? 1'000 : 20'000;
    const mp::BoundedSemaphore semaphore(1);
    const mp::Value<int> exceeded(0);
    Child<TestType> child(release_often, semaphore, exceeded, times);
    release_often(semaphore, exceeded, times);
    REQUIRE(child.join() == 0);
    REQUIRE(exceeded.value == 0);
}

TEST_CASE("Signals neither end nor prolong the wait for a semaphore", "[synchronize][semaphore]") {
    const Watchdog watchdog(60);
    const mp::Semaphore semaphore(0);
    const support::SignalRain rain;
    const double start = support::now();
    REQUIRE_FALSE(semaphore.acquire(true, 0.3));
    REQUIRE(support::now() - start >= 0.3);
}
