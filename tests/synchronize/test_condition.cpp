// synchronize/condition.hpp under every start method.
// SPDX-License-Identifier: MIT
#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

/// What the waiters report.
struct Report {
    mp::Condition condition;
    mp::Semaphore sleeping{0};
    mp::Semaphore woken{0};
    mp::RawValue<int> timeouts{0};
};

void wait_once(const Report& report, double timeout) {
    const std::scoped_lock guard(report.condition);
    report.sleeping.release();
    const bool notified = timeout < 0 ? report.condition.wait() : report.condition.wait(timeout);
    if (!notified) report.timeouts.value += 1;
    report.woken.release();
}
void wait_often(const Report& report) {
    for (;;) {
        try {
            const std::scoped_lock guard(report.condition);
            for (;;) {
                if (report.condition.wait()) report.woken.release();
            }
        } catch (const mp::AbandonedError&) {
            report.condition.recover();
            report.condition.release();
        }
    }
}
void wait_for_value(mp::Value<int> value, mp::Condition condition, int target) {
    const std::scoped_lock guard(condition);
    condition.wait_for([&] { return value.get_obj() == target; });
    value.get_obj() += 1;
    condition.notify_all();
}
void acquire_and_die(mp::Condition condition, mp::Event held) {
    condition.acquire();
    held.set();
    support::sleep_on();
}
void wait_and_report(mp::Condition condition, mp::Event waiting, mp::Value<int> result) {
    const std::scoped_lock guard(condition);
    waiting.set();
    try {
        condition.wait();
        result.value = 1;
    } catch (const mp::AbandonedError&) {
        result.value = 2;
    }
}

template <class Method>
struct Waiters {
    std::list<Child<Method>> children;

    explicit Waiters(const Report& report, int count, double timeout = -1) {
        for (int i = 0; i < count; ++i) children.emplace_back(wait_once, report, timeout);
        for (int i = 0; i < count; ++i) report.sleeping.acquire();
        report.condition.acquire();  // all have released it, so all wait
        report.condition.release();
    }
};

void notify(const Report& report, int count) {
    const std::scoped_lock guard(report.condition);
    report.condition.notify(count);
}

bool woken_is(const Report& report, int count) {
    if (!support::eventually([&] { return report.woken.get_value() >= count; })) return false;
    ::usleep(50'000);  // and no more than that
    return report.woken.get_value() == count;
}

}  // namespace

TEMPLATE_TEST_CASE("Condition.notify wakes as many as it is told", "[synchronize][condition]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const bool recursive = GENERATE(true, false);
    const Report report{.condition = recursive ? mp::Condition() : mp::Condition(mp::Lock())};
    Waiters<TestType> waiters(report, 6);
    REQUIRE(report.woken.get_value() == 0);
    notify(report, 1);
    REQUIRE(woken_is(report, 1));
    notify(report, 2);
    REQUIRE(woken_is(report, 3));
    notify(report, 0);
    REQUIRE(woken_is(report, 3));
    {
        const std::scoped_lock guard(report.condition);
        report.condition.notify_all();
    }
    REQUIRE(woken_is(report, 6));
    notify(report, 5);  // nobody is there
    for (auto& child : waiters.children) REQUIRE(child.join() == 0);
    REQUIRE(report.timeouts.value == 0);
}

TEMPLATE_TEST_CASE("Condition.wait returns false after its timeout", "[synchronize][condition]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const Report report;
    const double start = support::now();
    Waiters<TestType> waiters(report, 3, 0.2);
    for (auto& child : waiters.children) REQUIRE(child.join() == 0);
    REQUIRE(report.timeouts.value == 3);
    REQUIRE(support::now() - start >= 0.2);
    // Those who gave up do not count: the next one gets the next notification.
    Waiters<TestType> next(report, 1);
    notify(report, 1);
    REQUIRE(woken_is(report, 4));
}

TEST_CASE("Condition needs its lock for wait and notify", "[synchronize][condition]") {
    const mp::Lock lock;
    const mp::Condition condition(lock);
    REQUIRE_THROWS_AS(condition.wait(), mp::AssertionError);
    REQUIRE_THROWS_AS(condition.wait(0), mp::AssertionError);
    REQUIRE_THROWS_AS(condition.notify(), mp::AssertionError);
    REQUIRE_THROWS_AS(condition.notify_all(), mp::AssertionError);
    lock.acquire();
    std::thread([&] { CHECK_THROWS_AS(condition.notify(), mp::AssertionError); }).join();
    condition.notify();
    REQUIRE(condition.locked());
    REQUIRE(condition.get_lock() == lock);
    condition.release();
    REQUIRE_FALSE(lock.locked());
    REQUIRE_THROWS_AS(mp::Condition().release(), mp::AssertionError);
}

TEST_CASE("Condition.wait releases an RLock however often it was acquired",
          "[synchronize][condition]") {
    const Watchdog watchdog(60);
    const mp::Condition condition;
    for (int i = 0; i < 3; ++i) condition.acquire();
    std::thread other([&] {
        const std::scoped_lock guard(condition);
        condition.notify();
    });
    REQUIRE(condition.wait());
    other.join();
    for (int i = 0; i < 3; ++i) {
        REQUIRE(condition.locked());
        condition.release();
    }
    REQUIRE_FALSE(condition.locked());
}

TEST_CASE("Condition.wait_for returns what its predicate said last", "[synchronize][condition]") {
    const Watchdog watchdog(60);
    const mp::Condition condition;
    const std::scoped_lock guard(condition);
    int calls = 0;
    REQUIRE(condition.wait_for([&] { return ++calls > 0; }, 0));
    REQUIRE(calls == 1);
    REQUIRE_FALSE(condition.wait_for([&] { return ++calls > 5; }, -1));
    REQUIRE(calls == 2);
    const double start = support::now();
    REQUIRE_FALSE(condition.wait_for([] { return false; }, 0.2));
    REQUIRE(support::now() - start >= 0.2);
    calls = 0;
    REQUIRE(condition.wait_for([&] { return ++calls == 2; }, 0.1));  // asked once more at the end
}

TEMPLATE_TEST_CASE("Condition.wait_for passes a number back and forth", "[synchronize][condition]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Condition condition;
    const mp::Value<int> value(0);
    std::list<Child<TestType>> children;
    for (const int target : {3, 1, 2, 0}) {
        children.emplace_back(wait_for_value, value, condition, target);
    }
    {
        const std::scoped_lock guard(condition);
        REQUIRE(condition.wait_for([&] { return value.get_obj() == 4; }));
    }
    for (auto& child : children) REQUIRE(child.join() == 0);
}

TEMPLATE_TEST_CASE("Condition.notify passes over waiters that were killed",
                   "[synchronize][condition]", START_METHODS) {
    const Watchdog watchdog(60);
    const Report report;
    std::list<Child<TestType>> dead;
    for (int i = 0; i < 3; ++i) dead.emplace_back(wait_once, report, -1.0);
    for (int i = 0; i < 3; ++i) report.sleeping.acquire();
    report.condition.acquire();
    report.condition.release();
    Waiters<TestType> living(report, 2);
    SECTION("and collected") {
        for (auto& child : dead) child.kill();
    }
    SECTION("and are zombies") {
        for (auto& child : dead) child.kill_only();
    }
    notify(report, 1);
    REQUIRE(woken_is(report, 1));
    notify(report, 1);
    REQUIRE(woken_is(report, 2));
    for (auto& child : living.children) REQUIRE(child.join() == 0);
}

TEMPLATE_TEST_CASE("A notification whose receiver was killed goes to another",
                   "[synchronize][condition]", START_METHODS) {
    const Watchdog watchdog(60);
    const Report report;
    Child<TestType> first(wait_once, report, -1.0);
    report.sleeping.acquire();
    report.condition.acquire();  // the first one waits
    report.condition.release();
    Waiters<TestType> second(report, 1);
    {
        const std::scoped_lock guard(report.condition);
        report.condition.notify();
        first.kill_only();  // woken, but it cannot return while the lock is held
    }
    REQUIRE(woken_is(report, 1));
}

TEMPLATE_TEST_CASE("Condition.wait tells of a holder that was killed", "[synchronize][condition]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Condition condition;
    const mp::Event waiting;
    const mp::Event held;
    const mp::Value<int> result(0);
    Child<TestType> waiter(wait_and_report, condition, waiting, result);
    waiting.wait();
    Child<TestType> holder(acquire_and_die, condition, held);
    held.wait();
    holder.kill();
    REQUIRE(waiter.join() == 0);
    REQUIRE(result.value == 2);
    // It had the lock, did not recover it, and released it: still abandoned.
    REQUIRE_THROWS_AS(condition.acquire(), mp::AbandonedError);
    REQUIRE(condition.recover());
    condition.notify_all();
    condition.release();
    REQUIRE(condition.acquire(false));
    condition.release();
}

TEST_CASE("Who holds an abandoned lock since Condition.wait can recover it",
          "[synchronize][condition]") {
    const Watchdog watchdog(60);
    const mp::Condition condition;
    const mp::Event held;
    condition.acquire();
    condition.acquire();
    Child<mp::start_method::fork> holder(acquire_and_die, condition, held);
    std::thread killer([&] {
        held.wait();
        holder.kill();
    });
    REQUIRE_THROWS_AS(condition.wait(), mp::AbandonedError);
    killer.join();
    REQUIRE(condition.recover());
    condition.release();
    condition.release();
    REQUIRE(condition.acquire(false));
    condition.release();
}

TEMPLATE_TEST_CASE("A storm of kills among waiters loses no notification of the next ones",
                   "[synchronize][condition][storm]", START_METHODS) {
    const Watchdog watchdog(240);
    const Report report;
    const int kills = support::sanitized ? 10 : 100;
    std::list<Child<TestType>> children;
    for (int i = 0; i < 4; ++i) children.emplace_back(wait_often, report);
    support::Random random(5);
    const auto acquire = [&] {
        try {
            report.condition.acquire();
        } catch (const mp::AbandonedError&) {
            report.condition.recover();
        }
    };
    for (int kill = 0; kill < kills; ++kill) {
        for (int i = 0; i < 20; ++i) {
            acquire();
            report.condition.notify();
            report.condition.release();
        }
        children.front().kill();
        children.pop_front();
        children.emplace_back(wait_often, report);
    }
    children.clear();
    acquire();
    report.condition.notify_all();
    report.condition.release();
    while (report.woken.acquire(false)) {
    }
    Waiters<TestType> waiters(report, 3);
    for (int i = 1; i <= 3; ++i) {
        notify(report, 1);
        REQUIRE(woken_is(report, i));
    }
}

TEST_CASE("Signals neither end nor prolong Condition.wait", "[synchronize][condition]") {
    const Watchdog watchdog(60);
    const mp::Condition condition;
    const support::SignalRain rain;
    const std::scoped_lock guard(condition);
    const double start = support::now();
    REQUIRE_FALSE(condition.wait(0.3));
    REQUIRE(support::now() - start >= 0.3);
}

TEST_CASE("Whoever waits for a condition, event or barrier uses no processor",
          "[synchronize][condition]") {
    const Watchdog watchdog(60);
    const mp::Condition condition;
    const std::scoped_lock guard(condition);
    const double before = support::cpu_seconds();
    REQUIRE_FALSE(condition.wait(1));
    REQUIRE_FALSE(mp::Event().wait(1));
    REQUIRE_THROWS_AS(mp::Barrier(2).wait(1), mp::BrokenBarrierError);
    REQUIRE(support::cpu_seconds() - before < 0.1);
}

TEST_CASE("A condition's lock lives as long as the condition", "[synchronize][condition]") {
    const mp::Condition condition = [] { return mp::Condition(mp::Lock()); }();
    const mp::AnyLock lock = condition.get_lock();
    REQUIRE(lock.state().references.load() == 2);
    condition.acquire();
    REQUIRE(lock.locked());
    condition.release();
}
