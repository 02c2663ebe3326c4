// synchronize/barrier.hpp under every start method.
// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <string>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

constexpr int parties = 4;

/// What happens at a barrier, by all who come to it.
struct Meeting {
    mp::Barrier barrier{parties};
    mp::Array<int> numbers = mp::Array<int>(parties);  // how often wait returned each number
    mp::Value<int> broken{0};                          // BrokenBarrierErrors
    mp::Value<int> other_errors{0};
    mp::Value<int> arrived{0};
    mp::Value<int> mistakes{0};
};

void meet(const Meeting& meeting, int times, double timeout = -1) {
    for (int i = 1; i <= times; ++i) {
        try {
            meeting.arrived.value += 1;
            const int number = timeout < 0 ? meeting.barrier.wait() : meeting.barrier.wait(timeout);
            if (meeting.arrived.value < parties * i) meeting.mistakes.value += 1;
            meeting.numbers[number] += 1;
        } catch (const mp::BrokenBarrierError&) {
            meeting.broken.value += 1;
        } catch (const std::runtime_error&) {
            meeting.other_errors.value += 1;
        }
    }
}
void meet_and_sleep(const Meeting& meeting, int times) {
    meet(meeting, times);
    support::sleep_on();
}
void abort_it(const mp::Barrier& barrier) { barrier.abort(); }

template <class Method>
class Crowd {
  public:
    Crowd(const Meeting& meeting, int count, int times, double timeout = -1) {
        for (int i = 0; i < count; ++i) children_.emplace_back(meet, meeting, times, timeout);
    }
    void join() {
        for (auto& child : children_) REQUIRE(child.join() == 0);
    }
    Child<Method>& front() { return children_.front(); }

  private:
    std::list<Child<Method>> children_;
};

bool waiting_is(const Meeting& meeting, int count) {
    return support::eventually([&] { return meeting.barrier.n_waiting() == count; });
}

void fail() { throw std::runtime_error("the action fails"); }
void leave_trace() {
    // In whichever process: its name says who ran it.
    ::setenv("BARRIER_ACTION_RAN", "1", 1);
}
void wait_and_look(mp::Barrier barrier, mp::Value<int> result) {
    const int number = barrier.wait();
    const bool ran = std::getenv("BARRIER_ACTION_RAN") != nullptr;
    result.value = 10 * number + ran;
}
void wait_without_action(mp::Barrier barrier, mp::Value<int> result) {
    try {
        barrier.wait();
        result.value = 1;
    } catch (const mp::RuntimeError&) {
        result.value = 2;
    }
}
void run_and_die() { ::raise(SIGKILL); }

void add(const mp::Value<int>& sum, int amount) { sum.value += amount; }
struct Add {
    mp::Value<int> sum;
    std::string text;
    int runs = 0;

    void operator()() { sum.value += ++runs * static_cast<int>(text.size()); }
};
void wait_often(const mp::Barrier& barrier, int times) {
    for (int i = 0; i < times; ++i) barrier.wait();
}
void wait_in_turn(mp::Barrier barrier, mp::Value<int> broken) {
    try {
        barrier.wait();
    } catch (const mp::BrokenBarrierError&) {
        broken.value += 1;
    }
}

}  // namespace

TEMPLATE_TEST_CASE("Barrier lets all go when all have come, round after round",
                   "[synchronize][barrier]", START_METHODS) {
    const Watchdog watchdog(120);
    constexpr int rounds = support::sanitized ? 50 : 1'000;
    const Meeting meeting;
    Crowd<TestType> crowd(meeting, parties - 1, rounds);
    meet(meeting, rounds);
    crowd.join();
    REQUIRE(meeting.mistakes.value == 0);
    REQUIRE(meeting.broken.value == 0);
    for (int i = 0; i < parties; ++i) REQUIRE(meeting.numbers[i] == rounds);
    REQUIRE(meeting.barrier.n_waiting() == 0);
    REQUIRE_FALSE(meeting.barrier.broken());
}

TEST_CASE("Barrier needs a party", "[synchronize][barrier]") {
    REQUIRE_THROWS_AS(mp::Barrier(0), mp::ValueError);
    REQUIRE_THROWS_AS(mp::Barrier(-1), mp::ValueError);
    const mp::Barrier alone(1);
    REQUIRE(alone.parties() == 1);
    for (int i = 0; i < 3; ++i) REQUIRE(alone.wait() == 0);
}

TEST_CASE("Barrier serves threads, more of them than parties too", "[synchronize][barrier]") {
    const Watchdog watchdog(60);
    const mp::Barrier barrier(2);
    std::atomic<int> numbers[2]{};
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t) {
        threads.emplace_back([&] {
            try {
                for (;;) {
                    // A thread alone would wait for ever for one to pair with.
                    if (++numbers[barrier.wait()] == 300) barrier.abort();
                }
            } catch (const mp::BrokenBarrierError&) {
            }
        });
    }
    for (auto& thread : threads) thread.join();
    // Those who were late to leave the last round find the barrier broken.
    REQUIRE(std::abs(numbers[0] - numbers[1]) <= 6);
}

TEMPLATE_TEST_CASE("Barrier.abort breaks it until it is reset", "[synchronize][barrier]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const Meeting meeting;
    Crowd<TestType> crowd(meeting, parties - 1, 1);
    REQUIRE(waiting_is(meeting, parties - 1));
    Child<TestType> aborter(abort_it, meeting.barrier);
    crowd.join();
    REQUIRE(meeting.broken.value == parties - 1);
    REQUIRE(meeting.barrier.broken());
    REQUIRE(meeting.barrier.n_waiting() == 0);
    REQUIRE_THROWS_AS(meeting.barrier.wait(), mp::BrokenBarrierError);
    REQUIRE_THROWS_AS(meeting.barrier.wait(0), mp::BrokenBarrierError);
    meeting.barrier.reset();
    REQUIRE_FALSE(meeting.barrier.broken());
    meeting.arrived.value = 0;
    Crowd<TestType> again(meeting, parties - 1, 1);
    meet(meeting, 1);
    again.join();
    REQUIRE(meeting.broken.value == parties - 1);
    REQUIRE(meeting.mistakes.value == 0);
}

TEMPLATE_TEST_CASE("Barrier.reset breaks those who wait, and it is usable again",
                   "[synchronize][barrier]", START_METHODS) {
    const Watchdog watchdog(60);
    const Meeting meeting;
    meeting.barrier.reset();  // nobody is there
    Crowd<TestType> crowd(meeting, parties - 1, 2);
    REQUIRE(waiting_is(meeting, parties - 1));
    meeting.barrier.reset();
    REQUIRE(support::eventually([&] { return meeting.broken.value == parties - 1; }));
    REQUIRE_FALSE(meeting.barrier.broken());
    meeting.barrier.wait();
    crowd.join();
    REQUIRE(meeting.broken.value == parties - 1);
}

TEST_CASE("Who is killed in Barrier.reset has done it for all who wait, or for none",
          "[synchronize][barrier]") {
    const Watchdog watchdog(200);
    const auto passes = [](const mp::Barrier& barrier, double timeout) {
        try {
            barrier.wait(timeout);
            return true;
        } catch (const mp::BrokenBarrierError&) {
            return false;
        }
    };
    for (int delay = 0; delay < 60; ++delay) {
        CAPTURE(delay);
        const mp::Barrier barrier(3);
        const mp::Event begins;
        const mp::Value<int> passed(0);
        const auto comes = [&](double timeout) {
            if (passes(barrier, timeout)) passed.value += 1;
        };
        mp::ForkProcess waiter([&] { comes(30); });
        waiter.start();
        REQUIRE(support::eventually([&] { return barrier.n_waiting() == 1; }));
        mp::ForkProcess victim([&] {
            begins.set();
            barrier.reset();
        });
        victim.start();
        begins.wait();
        for (int i = 0; i < delay * 20; ++i) {
            std::atomic_signal_fence(std::memory_order_seq_cst);
        }
        victim.kill();
        victim.join();
        mp::ForkProcess second([&] { comes(0.5); });
        second.start();
        comes(0.5);
        second.join();
        waiter.join();
        const int how_many = passed.value;
        REQUIRE((how_many == 3 || how_many == 0));
        barrier.reset();
        REQUIRE_FALSE(barrier.broken());
        REQUIRE(barrier.n_waiting() == 0);
    }
}

TEMPLATE_TEST_CASE("The timeout of one breaks a barrier for all", "[synchronize][barrier]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const Meeting meeting;
    Crowd<TestType> crowd(meeting, parties - 2, 1);
    REQUIRE(waiting_is(meeting, parties - 2));
    const double start = support::now();
    REQUIRE_THROWS_AS(meeting.barrier.wait(0.2), mp::BrokenBarrierError);
    REQUIRE(support::now() - start >= 0.2);
    crowd.join();
    REQUIRE(meeting.broken.value == parties - 2);
    REQUIRE(meeting.barrier.broken());
}

TEST_CASE("Barrier's own timeout is the default of wait", "[synchronize][barrier]") {
    const Watchdog watchdog(60);
    const mp::Barrier barrier(2, {}, 0.1);
    REQUIRE_THROWS_AS(barrier.wait(), mp::BrokenBarrierError);
    REQUIRE_THROWS_AS(mp::Barrier(2, nullptr, 0).wait(), mp::BrokenBarrierError);
    const double start = support::now();
    REQUIRE_THROWS_AS(mp::Barrier(2, {}, 0.01).wait(0.2), mp::BrokenBarrierError);
    REQUIRE(support::now() - start >= 0.2);
}

TEST_CASE("The last to come runs the action before anyone goes", "[synchronize][barrier]") {
    const Watchdog watchdog(60);
    std::atomic<int> runs{0};
    std::atomic<int> mistakes{0};
    const mp::Barrier barrier(3, [&] {
        ::usleep(1'000);
        ++runs;
    });
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            for (int i = 1; i <= 20; ++i) {
                barrier.wait();
                if (runs < i) ++mistakes;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    REQUIRE(runs == 20);
    REQUIRE(mistakes == 0);
}

TEMPLATE_TEST_CASE("An action that is a function or stateless lambda runs in any process",
                   "[synchronize][barrier]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Barrier barriers[] = {mp::Barrier(2, leave_trace), mp::Barrier(2, &leave_trace),
                                    mp::Barrier(2, [] { leave_trace(); })};
    for (const mp::Barrier& barrier : barriers) {
        const mp::Value<int> result(0);
        ::unsetenv("BARRIER_ACTION_RAN");
        std::thread first([&] { barrier.wait(); });
        REQUIRE(support::eventually([&] { return barrier.n_waiting() == 1; }));
        Child<TestType> child(wait_and_look, barrier, result);
        REQUIRE(child.join() == 0);
        first.join();
        REQUIRE(result.value == 11);
        REQUIRE(std::getenv("BARRIER_ACTION_RAN") == nullptr);
    }
}

TEMPLATE_TEST_CASE("An action with values in it runs in any process, as often as all come",
                   "[synchronize][barrier]", START_METHODS) {
    const Watchdog watchdog(120);
    constexpr int rounds = 10;
    const mp::Value<int> sum(0);
    mp::Barrier barrier(2, mp::partial(add, sum, 3));
    {
        Child<TestType> a(wait_often, barrier, rounds);
        Child<TestType> b(wait_often, barrier, rounds);
        REQUIRE(a.join() == 0);
        REQUIRE(b.join() == 0);
    }
    REQUIRE(sum.value == 3 * rounds);

    sum.value = 0;
    barrier = mp::Barrier(1, Add{sum, "four"});
    wait_often(barrier, 2);  // here it is one object: 4, then 8
    REQUIRE(sum.value == 12);
    if constexpr (!TestType::inherits_memory) {  // elsewhere a copy for each round
        Child<TestType> child(wait_often, barrier, 2);
        REQUIRE(child.join() == 0);
        REQUIRE(sum.value == 20);
    }
}

TEST_CASE("A barrier owns what is in its action", "[synchronize][barrier]") {
    const Watchdog watchdog(60);
    const mp::Value<int> sum(0);
    const auto count = [&] { return sum.shared_handle().object()->references.load(); };
    const auto alone = count();
    {
        const mp::Barrier barrier(1, mp::partial(add, sum, 1));
        const mp::Barrier copy = barrier;
        REQUIRE(count() > alone);
    }
    REQUIRE(count() == alone);
    REQUIRE_THROWS_AS(mp::Barrier(0, mp::partial(add, sum, 1)), mp::ValueError);
    REQUIRE(count() == alone);
}

TEST_CASE("A process without the action breaks the barrier for those who wait",
          "[synchronize][barrier]") {
    const Watchdog watchdog(60);
    const mp::Value<int> result(0);
    const mp::Value<int> broken(0);
    const mp::Barrier barrier(2, [result] { result.value = 3; });
    Child<mp::start_method::fork> first([&] { wait_in_turn(barrier, broken); });
    REQUIRE(support::eventually([&] { return barrier.n_waiting() == 1; }));
    Child<mp::start_method::spawn> second(wait_without_action, barrier, result);
    REQUIRE(second.join() == 0);
    REQUIRE(first.join() == 0);
    REQUIRE(result.value == 2);
    REQUIRE(broken.value == 1);
}

TEST_CASE("An action with captures is inherited under fork, and missed under spawn",
          "[synchronize][barrier]") {
    const Watchdog watchdog(60);
    const mp::Value<int> result(0);
    const mp::Value<int> runs(0);
    const mp::Barrier barrier(1, [runs] { runs.value += 1; });
    Child<mp::start_method::fork> forked([&] { barrier.wait(); });
    REQUIRE(forked.join() == 0);
    REQUIRE(runs.value == 1);
    Child<mp::start_method::spawn> spawned(wait_without_action, barrier, result);
    REQUIRE(spawned.join() == 0);
    REQUIRE(result.value == 2);
}

TEMPLATE_TEST_CASE("An action that throws breaks the barrier", "[synchronize][barrier]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const Meeting meeting{.barrier = mp::Barrier(parties, fail)};
    Crowd<TestType> crowd(meeting, parties, 1);
    crowd.join();
    REQUIRE(meeting.broken.value == parties - 1);
    REQUIRE(meeting.other_errors.value == 1);
    REQUIRE(meeting.barrier.broken());
}

TEMPLATE_TEST_CASE("A process that dies as it waits breaks the barrier", "[synchronize][barrier]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const Meeting meeting;
    Crowd<TestType> crowd(meeting, parties - 1, 1);
    REQUIRE(waiting_is(meeting, parties - 1));
    SECTION("and is collected") { crowd.front().kill(); }
    SECTION("and is a zombie") { crowd.front().kill_only(); }
    REQUIRE(support::eventually([&] { return meeting.broken.value == parties - 2; }));
    REQUIRE(meeting.barrier.broken());
}

TEMPLATE_TEST_CASE("A process that dies in the action breaks the barrier", "[synchronize][barrier]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const Meeting meeting{.barrier = mp::Barrier(parties, run_and_die)};
    Crowd<TestType> crowd(meeting, parties, 1);
    REQUIRE(support::eventually([&] { return meeting.broken.value == parties - 1; }));
    REQUIRE(meeting.barrier.broken());
}

TEMPLATE_TEST_CASE("A party killed between two rounds breaks the barrier", "[synchronize][barrier]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const Meeting meeting;
    Crowd<TestType> crowd(meeting, parties - 1, 2);
    Child<TestType> victim(meet_and_sleep, meeting, 1);
    REQUIRE(support::eventually([&] { return meeting.arrived.value == 2 * parties - 1; }));
    SECTION("and nobody comes in its place") {
        victim.kill();
        crowd.join();
        REQUIRE(meeting.broken.value == parties - 1);
    }
    SECTION("unless another comes in its place") {
        victim.kill();
        meeting.barrier.wait();
        crowd.join();
        REQUIRE(meeting.broken.value == 0);
    }
}

TEMPLATE_TEST_CASE("Parties that have left in order can be replaced", "[synchronize][barrier]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const Meeting meeting;
    for (int i = 0; i < 3; ++i) {
        meeting.arrived.value = 0;
        Crowd<TestType> crowd(meeting, parties - 1, 1);
        REQUIRE(waiting_is(meeting, parties - 1));
        ::usleep(700'000);  // longer than it takes to notice a missing party
        meet(meeting, 1);
        crowd.join();
    }
    REQUIRE(meeting.broken.value == 0);
}
