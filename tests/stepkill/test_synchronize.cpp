// Who is killed anywhere in an operation of an event, a condition or a barrier leaves it usable,
// and nobody waiting in vain. SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <multiprocessing/synchronize.hpp>

#include <string>
#include <thread>
#include <vector>

#include "tests/stepkill/stepper.hpp"

using stepkill::await_victim;
using stepkill::board;
using stepkill::expect;
using stepkill::Row;
using stepkill::Trial;

namespace {

// --- Event ---

Trial on_event(bool is_set, const std::function<void(const mp::Event&)>& operation) {
    const mp::Event event;
    if (is_set) event.set();
    return {.operation = [=] { operation(event); },
            .check =
                [=] {
                    event.set();
                    expect(event.wait(0.5) && event.is_set(), "not set after set()");
                    event.clear();
                    expect(!event.is_set() && !event.wait(0), "set after clear()");
                }};
}

Trial set_with_sleepers() {
    const mp::Event event;
    return {.operation = [=] { event.set(); },
            .check =
                [=] {
                    if (!event.is_set()) event.set();
                },
            .bystanders =
                std::vector<std::function<void()>>(2, [=] { expect(event.wait(3), "not woken"); })};
}

Trial wait_for_event() {
    const mp::Event event;
    return {.operation = [=] { event.wait(3); },
            .check = [=] { expect(event.wait(1), "not set"); },
            .bystanders = {[=] { expect(event.wait(3), "not woken"); },
                           [=] {
                               await_victim();
                               event.set();
                           }}};
}

// --- Condition ---

/// Takes the condition's lock, whatever has become of its holder.
void take(const mp::Condition& lock, double timeout) {
    try {
        expect(lock.acquire(true, timeout), "the lock cannot be had");
    } catch (const mp::AbandonedError&) {
        lock.recover();
    }
}

void check_condition(const mp::Condition& condition) {
    take(condition, 1.5);
    condition.notify_all();
    condition.release();
    expect(condition.acquire(true, 1), "the lock cannot be had a second time");
    condition.release();
}
void check_that_nobody_notifies(const mp::Condition& condition) {
    check_condition(condition);
    condition.acquire();
    expect(!condition.wait(0.01), "notified by nobody");
    condition.release();
}

/// Waits to be notified; an abandoned lock ends the wait too.
void await_notification(const mp::Condition& condition) {
    try {
        condition.acquire();
        const bool notified = condition.wait(3);
        condition.release();
        expect(notified, "not notified");
    } catch (const mp::AbandonedError&) {
    }
}

/// One notifies while two wait.
Trial notify(const std::function<void(const mp::Condition&)>& operation) {
    const mp::Condition condition;
    return {.operation =
                [=] {
                    operation(condition);
                    condition.release();
                },
            .check = [=] { check_that_nobody_notifies(condition); },
            .before = [=] { condition.acquire(); },
            .bystanders =
                std::vector<std::function<void()>>(2, [=] { await_notification(condition); })};
}

Trial wait_in_vain(double timeout) {
    const mp::Condition condition;
    return {.operation =
                [=] {
                    condition.wait(timeout);
                    condition.release();
                },
            .check = [=] { check_that_nobody_notifies(condition); },
            .before = [=] { condition.acquire(); }};
}

Trial wait_for_predicate() {
    const mp::Condition condition;
    return {.operation =
                [=] {
                    condition.wait_for([] { return board().notes[0] != 0; }, 3);
                    condition.release();
                },
            .check =
                [=] {
                    board().notes[0] = 1;
                    check_condition(condition);
                },
            .before = [=] { condition.acquire(); },
            .bystanders = {[=] {
                await_victim();
                take(condition, 2);
                board().notes[0] = 1;
                condition.notify();
                condition.release();
            }}};
}

/// Two wait, and one notification comes: where the victim took it along, it is the other one's.
Trial wait_for_notification() {
    const mp::Condition condition;
    return {.operation =
                [=] {
                    condition.wait(3);
                    condition.release();
                },
            .check = [=] { check_condition(condition); },
            .before = [=] { condition.acquire(); },
            .bystanders = {[=] { await_notification(condition); },
                           [=] {
                               await_victim();
                               take(condition, 2);
                               condition.notify();
                               condition.notify();
                               condition.release();
                           }}};
}

// --- Barrier ---

/// @returns whether all came
bool pass(const mp::Barrier& barrier, double timeout) {
    try {
        (void)barrier.wait(timeout);
        return true;
    } catch (const mp::BrokenBarrierError&) {
        return false;
    }
}

/// Two pass a barrier of two.
void pass_in_pairs(const mp::Barrier& barrier) {
    bool other_passed = false;
    std::thread other([&] { other_passed = pass(barrier, 1); });
    const bool passed = pass(barrier, 1);
    other.join();
    expect(passed && other_passed, "after a reset the barrier does not work");
}
void check_barrier(const mp::Barrier& barrier) {
    pass(barrier, 0.01);
    barrier.reset();
    expect(!barrier.broken() && barrier.n_waiting() == 0, "not as new after a reset");
    pass_in_pairs(barrier);
}

Trial on_barrier(const std::function<void(const mp::Barrier&)>& operation) {
    const mp::Barrier barrier(2);
    return {.operation = [=] { operation(barrier); }, .check = [=] { check_barrier(barrier); }};
}

/// @param action what the last to come runs
Trial wait_alone(void (*action)()) {
    const mp::Barrier barrier = action == nullptr ? mp::Barrier(1) : mp::Barrier(1, action);
    return {.operation = [=] { pass(barrier, 0.05); },
            .check =
                [=] {
                    // One that was killed in the place of the action has broken it.
                    if (!pass(barrier, 1)) barrier.reset();
                    expect(barrier.wait(1) == 0, "another number than 0");
                },
            .is_slow = true};
}

/// The victim is the last to come, or the first.
Trial wait_for_another(bool is_last) {
    const mp::Barrier barrier(2);
    return {.operation = [=] { pass(barrier, 3); },
            .check =
                [=] {
                    // Who waits for one that is dead is told, or meets this one.
                    pass(barrier, 0.05);
                    support::eventually([] { return board().notes[0] != 0; }, 1.5);
                    check_barrier(barrier);
                },
            .bystanders = {[=] {
                if (!is_last) await_victim();
                pass(barrier, 3);
                board().notes[0] = 1;
            }}};
}

/// The barrier is reset or broken while one of three waits. Of one round all pass or none does.
Trial change_with_a_sleeper(const std::function<void(const mp::Barrier&)>& change) {
    const mp::Barrier barrier(3);
    return {.operation = [=] { change(barrier); },
            .check =
                [=] {
                    ::usleep(10'000);
                    bool other_passed = false;
                    std::thread other([&] { other_passed = pass(barrier, 0.3); });
                    const bool passed = pass(barrier, 0.3);
                    other.join();
                    expect(passed == other_passed, "one of a round passed and another did not");
                    board().notes[0] = passed ? 2 : 1;
                },
            .bystanders = {[=] {
                const bool passed = pass(barrier, 3);
                support::eventually([] { return board().notes[0] != 0; }, 2);
                expect(passed == (board().notes[0] == 2),
                       "the others of its round passed and this one did not");
            }}};
}

const Row events[] = {
    {"Event.set", [] { return on_event(false, [](const mp::Event& e) { e.set(); }); }},
    {"Event.clear", [] { return on_event(true, [](const mp::Event& e) { e.clear(); }); }},
    {"Event.wait, set", [] { return on_event(true, [](const mp::Event& e) { e.wait(); }); }},
    {"Event.wait(0)", [] { return on_event(false, [](const mp::Event& e) { e.wait(0); }); }},
    {"Event.wait with a timeout",
     [] { return on_event(false, [](const mp::Event& e) { e.wait(0.03); }); }},
    {"Event.set, two sleep", set_with_sleepers},
    {"Event.wait that sleeps, one besides", wait_for_event},
};

const Row conditions[] = {
    {"Condition.notify, two sleep", [] { return notify([](const auto& c) { c.notify(); }); }},
    {"Condition.notify_all, two sleep",
     [] { return notify([](const auto& c) { c.notify_all(); }); }},
    {"Condition.wait(0)", [] { return wait_in_vain(0); }},
    {"Condition.wait with a timeout", [] { return wait_in_vain(0.03); }},
    {"Condition.wait that sleeps, one besides", wait_for_notification},
    {"Condition.wait_for that sleeps", wait_for_predicate},
};

const Row barriers[] = {
    {"Barrier.wait, of one", [] { return wait_alone(nullptr); }},
    {"Barrier.wait, of one, with an action",
     [] { return wait_alone([] { board().notes[1] = 1; }); }},
    {"Barrier.wait, in vain", [] { return on_barrier([](const auto& b) { pass(b, 0.03); }); }},
    {"Barrier.wait, the first of two", [] { return wait_for_another(false); }},
    {"Barrier.wait, the last of two", [] { return wait_for_another(true); }},
    {"Barrier.abort", [] { return on_barrier([](const auto& b) { b.abort(); }); }},
    {"Barrier.reset", [] { return on_barrier([](const auto& b) { b.reset(); }); }},
    {"Barrier.abort, one of three waits",
     [] { return change_with_a_sleeper([](const auto& b) { b.abort(); }); }},
    {"Barrier.reset, one of three waits",
     [] { return change_with_a_sleeper([](const auto& b) { b.reset(); }); }},
};

}  // namespace

TEST_CASE("Who is killed in an operation of an event wakes all or none", "[steps]") {
    stepkill::kill_everywhere(events);
}
TEST_CASE("Who is killed in an operation of a condition takes no notification along", "[steps]") {
    stepkill::kill_everywhere(conditions);
}
TEST_CASE("Who is killed in an operation of a barrier breaks it for all or for none", "[steps]") {
    stepkill::kill_everywhere(barriers);
}
