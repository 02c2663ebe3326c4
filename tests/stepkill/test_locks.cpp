// Who is killed anywhere in an operation of a lock or a semaphore leaves it usable, and nobody
// waiting in vain.
// SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <multiprocessing/synchronize.hpp>

#include <vector>

#include "tests/stepkill/stepper.hpp"

using stepkill::await_victim;
using stepkill::board;
using stepkill::expect;
using stepkill::Row;
using stepkill::Trial;

namespace {

// --- locks ---

/// Takes a lock, whatever has become of its holder.
template <class L>
void take(const L& lock, double timeout) {
    try {
        expect(lock.acquire(true, timeout), "the lock cannot be had");
    } catch (const mp::AbandonedError&) {
        lock.recover();
    }
}

template <class L>
void check_lock(const L& lock) {
    take(lock, 1.5);
    lock.release();
    expect(lock.acquire(true, 0.5), "the lock cannot be had a second time");
    lock.release();
    expect(!lock.locked(), "locked() of a lock that was released");
}

/// @param before done by the victim before the operation
template <class L>
Trial on_lock(const std::function<void(const L&)>& operation,
              const std::function<void(const L&)>& before = {}) {
    const L lock;
    return {.operation = [=] { operation(lock); },
            .check = [=] { check_lock(lock); },
            .before =
                [=] {
                    if (before) before(lock);
                }};
}
template <class L>
void acquire(const L& lock) {
    lock.acquire();
}
template <class L>
void release(const L& lock) {
    lock.release();
}

Trial acquire_again() {
    return on_lock<mp::RLock>([](const mp::RLock& lock) {
        lock.acquire();
        lock.acquire();
        lock.release();
    });
}

/// The lock was abandoned by another process.
Trial recover() {
    const mp::Lock lock;
    mp::ForkProcess holder([lock] {
        lock.acquire();
        ::kill(::getpid(), SIGKILL);
    });
    holder.start();
    holder.join();
    return {.operation =
                [=] {
                    lock.recover();
                    lock.release();
                },
            .check = [=] { check_lock(lock); }};
}

void take_and_release(const mp::Lock& lock) {
    take(lock, 3);
    lock.release();
}

/// The lock is released while two others wait for it.
Trial release_with_sleepers() {
    const mp::Lock lock;
    return {.operation = [=] { lock.release(); },
            .check = [=] { check_lock(lock); },
            .before =
                [=] {
                    lock.acquire();
                    board().notes[0] = 1;
                    ::usleep(3'000);  // the others sleep by then
                },
            .bystanders = std::vector<std::function<void()>>(2, [=] {
                while (board().notes[0] == 0) ::usleep(100);
                take_and_release(lock);
            })};
}

/// Two wait for a lock that a third one releases.
Trial acquire_after_a_sleep() {
    const mp::Lock lock;
    return {.operation =
                [=] {
                    if (lock.acquire(true, 3)) lock.release();
                },
            .check = [=] { check_lock(lock); },
            .before =
                [=] {
                    while (board().notes[0] == 0) ::usleep(100);
                },
            .bystanders = {[=] {
                               lock.acquire();
                               board().notes[0] = 1;
                               await_victim();
                               lock.release();
                           },
                           [=] {
                               while (board().notes[0] == 0) ::usleep(100);
                               take_and_release(lock);
                           }}};
}

/// The lock is held by another process, which does not release it in time.
Trial acquire_in_vain(double timeout) {
    const mp::Lock lock;
    return {.operation = [=] { lock.acquire(true, timeout); },
            .check =
                [=] {
                    board().notes[1] = 1;
                    check_lock(lock);
                },
            .before =
                [=] {
                    while (board().notes[0] == 0) ::usleep(100);
                },
            .bystanders = {[=] {
                lock.acquire();
                board().notes[0] = 1;
                while (board().notes[1] == 0) ::usleep(100);
                lock.release();
            }}};
}

// --- semaphores ---

template <class S>
void check_semaphore(const S& semaphore, int at_least, int at_most) {
    const int value = semaphore.get_value();
    expect(at_least <= value && value <= at_most, fmt::format("the value is {}", value));
    for (int i = 0; i < value; ++i) expect(semaphore.acquire(true, 1), "a unit cannot be had");
    expect(!semaphore.acquire(false), "more units than there are");
    semaphore.release();
    expect(semaphore.acquire(true, 0.5), "a unit that was given back cannot be had");
}

template <class S>
Trial on_semaphore(bool is_released) {
    const S semaphore(2);
    if (is_released) semaphore.acquire();
    return {.operation =
                [=] {
                    if (is_released) {
                        semaphore.release();
                    } else {
                        semaphore.acquire();
                    }
                },
            .check = [=] { check_semaphore(semaphore, 1, 2); }};
}

Trial acquire_none(double timeout) {
    const mp::Semaphore semaphore(0);
    return {.operation = [=] { semaphore.acquire(true, timeout); },
            .check = [=] { check_semaphore(semaphore, 0, 0); }};
}

Trial release_to_a_sleeper() {
    const mp::Semaphore semaphore(0);
    return {.operation = [=] { semaphore.release(); },
            .check =
                [=] {
                    // Where the unit was given, the sleeper has to get it without our help.
                    if (semaphore.get_value() == 0 && board().notes[0] == 0) semaphore.release();
                },
            .bystanders = {[=] {
                expect(semaphore.acquire(true, 3), "no unit");
                board().notes[0] = 1;
            }}};
}

Trial acquire_semaphore_after_a_sleep() {
    const mp::Semaphore semaphore(0);
    return {.operation = [=] { semaphore.acquire(true, 3); },
            .check = [] {},
            .bystanders = {[=] { expect(semaphore.acquire(true, 3), "no unit of two"); },
                           [=] {
                               await_victim();
                               semaphore.release();
                               semaphore.release();
                           }}};
}

const Row locks[] = {
    {"Lock.acquire", [] { return on_lock<mp::Lock>(acquire<mp::Lock>); }},
    {"Lock.release", [] { return on_lock<mp::Lock>(release<mp::Lock>, acquire<mp::Lock>); }},
    {"Lock.recover", recover},
    {"Lock.acquire(false), held", [] { return acquire_in_vain(0); }},
    {"Lock.acquire, held, with a timeout", [] { return acquire_in_vain(0.03); }},
    {"Lock.release, two sleep", release_with_sleepers},
    {"Lock.acquire that sleeps, one besides", acquire_after_a_sleep},
    {"RLock.acquire, again, release", acquire_again},
    {"RLock.release", [] { return on_lock<mp::RLock>(release<mp::RLock>, acquire<mp::RLock>); }},
};

const Row semaphores[] = {
    {"Semaphore.acquire", [] { return on_semaphore<mp::Semaphore>(false); }},
    {"Semaphore.release", [] { return on_semaphore<mp::Semaphore>(true); }},
    {"BoundedSemaphore.acquire", [] { return on_semaphore<mp::BoundedSemaphore>(false); }},
    {"BoundedSemaphore.release", [] { return on_semaphore<mp::BoundedSemaphore>(true); }},
    {"Semaphore.acquire(false), none", [] { return acquire_none(0); }},
    {"Semaphore.acquire, none, with a timeout", [] { return acquire_none(0.03); }},
    {"Semaphore.release, one sleeps", release_to_a_sleeper},
    {"Semaphore.acquire that sleeps, one besides", acquire_semaphore_after_a_sleep},
};

}  // namespace

TEST_CASE("Who is killed in an operation of a lock leaves one that can be had", "[steps]") {
    stepkill::kill_everywhere(locks);
}
TEST_CASE("Who is killed in an operation of a semaphore leaves a value that was", "[steps]") {
    stepkill::kill_everywhere(semaphores);
}
