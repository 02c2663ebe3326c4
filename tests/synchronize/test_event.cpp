// synchronize/event.hpp under every start method.
// SPDX-License-Identifier: MIT
#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

void wait_and_count(mp::Event ready, mp::Event event, mp::Value<int> count) {
    ready.set();
    if (event.wait()) count.value += 1;
}
void set_later(mp::Event event, mp::RawValue<int> data) {
    ::usleep(50'000);
    data.value = 7;
    event.set();
}
void ping(mp::Event there, mp::Event back, int times) {
    for (int i = 0; i < times; ++i) {
        there.wait();
        there.clear();
        back.set();
    }
}

}  // namespace

TEST_CASE("Event.wait returns the flag", "[synchronize][event]") {
    const Watchdog watchdog(60);
    const mp::Event event;
    REQUIRE_FALSE(event.is_set());
    REQUIRE_FALSE(event.wait(0));
    REQUIRE_FALSE(event.wait(-1));
    const double start = support::now();
    REQUIRE_FALSE(event.wait(0.2));
    REQUIRE(support::now() - start >= 0.2);
    event.set();
    REQUIRE(event.is_set());
    REQUIRE(event.wait());
    REQUIRE(event.wait(0));
    event.set();
    REQUIRE(event.is_set());
    event.clear();
    event.clear();
    REQUIRE_FALSE(event.is_set());
    REQUIRE_FALSE(event.wait(0));
}

TEMPLATE_TEST_CASE("Event.set in a child ends the wait, and shows what was done before",
                   "[synchronize][event]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Event event;
    const mp::RawValue<int> data(0);
    Child<TestType> child(set_later, event, data);
    REQUIRE(event.wait());
    REQUIRE(data.value == 7);
}

TEMPLATE_TEST_CASE("Event.set wakes all who wait, even when it is cleared at once",
                   "[synchronize][event]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Event event;
    const mp::Value<int> count(0);
    std::list<Child<TestType>> children;
    for (int i = 0; i < 4; ++i) {
        const mp::Event ready;
        children.emplace_back(wait_and_count, ready, event, count);
        ready.wait();
    }
    ::usleep(100'000);  // all are inside wait by then
    children.front().kill();
    event.set();
    event.clear();
    children.pop_front();
    for (auto& child : children) REQUIRE(child.join() == 0);
    REQUIRE(count.value == 3);
}

TEMPLATE_TEST_CASE("Events pass a turn back and forth", "[synchronize][event]", START_METHODS) {
    const Watchdog watchdog(60);
    constexpr int times = support::sanitized ? 200 : 5'000;
    const mp::Event there;
    const mp::Event back;
    Child<TestType> child(ping, there, back, times);
    for (int i = 0; i < times; ++i) {
        there.set();
        back.wait();
        back.clear();
    }
    REQUIRE(child.join() == 0);
}

TEST_CASE("Signals neither end nor prolong Event.wait", "[synchronize][event]") {
    const Watchdog watchdog(60);
    const mp::Event event;
    const support::SignalRain rain;
    const double start = support::now();
    REQUIRE_FALSE(event.wait(0.3));
    REQUIRE(support::now() - start >= 0.3);
}
