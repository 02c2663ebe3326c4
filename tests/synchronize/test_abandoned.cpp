// Locks whose holders are killed: the death is noticed, reported until somebody recovers the lock,
// and costs nobody else anything. SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <multiprocessing/detail/pidfd.hpp>

#include <thread>
#include <vector>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

template <class Lock>
void hold(Lock lock, mp::Event held) {
    lock.acquire();
    held.set();
    support::sleep_on();
}
template <class Lock>
void hold_and_exit(Lock lock, mp::Event) {
    lock.acquire();
}
void hold_in_thread(mp::RLock lock, mp::Event held) {
    std::thread([&] { hold(lock, held); }).join();
}
void wait_for(mp::Lock lock, mp::Event waiting) {
    waiting.set();
    lock.acquire();
}
void wait_and_report(mp::Lock lock, mp::Value<int> reports) {
    try {
        lock.acquire();
    } catch (const mp::AbandonedError&) {
        reports.value += 1;
    }
}
void recover_and_count(mp::Lock lock, mp::Value<int> recovered) {
    const bool abandoned = lock.recover();
    recovered.value += abandoned;
    lock.release();
}

template <class Method, class Lock>
void check_abandonment(const Lock& lock, void (*body)(Lock, mp::Event)) {
    const Watchdog watchdog(60);
    const mp::Event held;
    Child<Method> child(body, lock, held);
    held.wait();
    REQUIRE_FALSE(lock.acquire(false));
    child.kill();
    REQUIRE_THROWS_AS(lock.acquire(), mp::AbandonedError);
    REQUIRE_THROWS_AS(lock.acquire(true, 0.1), mp::AbandonedError);
    REQUIRE_THROWS_AS(lock.acquire(false), mp::AbandonedError);
    REQUIRE(lock.locked());
    REQUIRE(lock.recover());
    std::thread([&] { CHECK_FALSE(lock.acquire(false)); }).join();
    lock.release();
    REQUIRE_FALSE(lock.locked());
    REQUIRE(lock.acquire());
    lock.release();
    REQUIRE_FALSE(lock.recover());  // as acquire: there is nothing to repair
    lock.release();
}

}  // namespace

TEMPLATE_TEST_CASE("A lock whose holder was killed is abandoned until it is recovered",
                   "[synchronize][abandoned]", START_METHODS) {
    check_abandonment<TestType, mp::Lock>(mp::Lock(), hold<mp::Lock>);
    check_abandonment<TestType, mp::RLock>(mp::RLock(), hold<mp::RLock>);
    check_abandonment<TestType, mp::Condition>(mp::Condition(mp::Lock()), hold<mp::Condition>);
}

TEMPLATE_TEST_CASE("A lock held by a thread of a process that is killed is abandoned",
                   "[synchronize][abandoned]", START_METHODS) {
    check_abandonment<TestType, mp::RLock>(mp::RLock(), hold_in_thread);
}

TEMPLATE_TEST_CASE("A process that ends in order abandons what it holds",
                   "[synchronize][abandoned]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Lock lock;
    Child<TestType> child(hold_and_exit<mp::Lock>, lock, mp::Event());
    REQUIRE(child.join() == 0);
    REQUIRE_THROWS_AS(lock.acquire(false), mp::AbandonedError);
    REQUIRE_THROWS_AS(lock.release(), mp::AbandonedError);
    REQUIRE(lock.recover());
    lock.release();
}

TEMPLATE_TEST_CASE("A holder's death is noticed while its zombie is still there",
                   "[synchronize][abandoned]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Lock lock;
    const mp::Event held;
    Child<TestType> child(hold<mp::Lock>, lock, held);
    held.wait();
    child.kill_only();
    SECTION("by who tries") { REQUIRE_THROWS_AS(lock.acquire(false), mp::AbandonedError); }
    SECTION("by who waits") { REQUIRE_THROWS_AS(lock.acquire(), mp::AbandonedError); }
    SECTION("by who recovers") {
        REQUIRE(lock.recover());
        REQUIRE(lock.locked());
    }
}

TEST_CASE("A process whose first thread has left is alive while another one runs",
          "[synchronize][abandoned]") {
    const Watchdog watchdog(60);
    const mp::Lock lock;
    const mp::Event held;
    Child<mp::start_method::fork> child([&] {
        std::thread([lock, held] { hold(lock, held); }).detach();
        ::syscall(SYS_exit, 0);  // of this thread alone, without a destructor
    });
    held.wait();
    const auto pid = static_cast<pid_t>(*(*child).pid());
    REQUIRE(support::eventually([&] { return mp::detail::process_status(pid)->state == 'Z'; }));
    REQUIRE_FALSE(lock.acquire(true, 1));
    REQUIRE_FALSE(lock.acquire(false));
    child.kill();
    REQUIRE_THROWS_AS(lock.acquire(), mp::AbandonedError);
}

TEST_CASE("A holder's death is noticed though no descriptor is free to ask with",
          "[synchronize][abandoned]") {
    const Watchdog watchdog(60);
    const mp::Lock lock;
    const mp::Event held;
    Child<mp::start_method::fork> child(hold<mp::Lock>, lock, held);
    held.wait();
    std::vector<mp::detail::Descriptor> all;
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const rlimit few{64, before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
    for (int fd = 0; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) all.emplace_back(fd);
    ::kill(static_cast<pid_t>(*(*child).pid()), SIGKILL);
    CHECK_THROWS_AS(lock.acquire(true, 5), mp::AbandonedError);
    all.clear();
    ::setrlimit(RLIMIT_NOFILE, &before);
}

TEMPLATE_TEST_CASE("All who wait when the holder dies are told", "[synchronize][abandoned]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Lock lock;
    const mp::Event held;
    const mp::Value<int> reports(0);
    Child<TestType> child(hold<mp::Lock>, lock, held);
    held.wait();
    std::list<Child<TestType>> waiters;
    for (int i = 0; i < 3; ++i) waiters.emplace_back(wait_and_report, lock, reports);
    ::usleep(100'000);  // most of them wait by then
    child.kill();
    for (auto& waiter : waiters) REQUIRE(waiter.join() == 0);
    REQUIRE(reports.value == 3);
}

TEMPLATE_TEST_CASE("Of several who recover a lock, one is to repair", "[synchronize][abandoned]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Lock lock;
    const mp::Event held;
    const mp::Value<int> recovered(0);
    Child<TestType> child(hold<mp::Lock>, lock, held);
    held.wait();
    child.kill();
    std::list<Child<TestType>> waiters;
    for (int i = 0; i < 4; ++i) waiters.emplace_back(recover_and_count, lock, recovered);
    for (auto& waiter : waiters) REQUIRE(waiter.join() == 0);
    REQUIRE(recovered.value == 1);
    REQUIRE_FALSE(lock.locked());
}

TEST_CASE("A recycled pid, or place in the table, is not taken for the holder",
          "[synchronize][abandoned]") {
    const Watchdog watchdog(60);
    const mp::Lock lock;
    const mp::Event held;
    mp::detail::Family& family = mp::detail::heap().family();
    Child<mp::start_method::fork> child(hold<mp::Lock>, lock, held);
    held.wait();
    const mp::detail::ProcessId holder = lock.state().word.holder();
    REQUIRE_FALSE(lock.acquire(true, 0.3));
    SECTION("the pid is that of a process that has begun since") {
        family[holder].alive_at.store(1);
        REQUIRE_THROWS_AS(lock.acquire(), mp::AbandonedError);
    }
    SECTION("the place in the table is another process's") {
        child.kill();
        const auto next = family.reserve(mp::detail::self(), "next");
        family.activate(next, ::getpid());
        REQUIRE(next.index == holder.index);
        REQUIRE_THROWS_AS(lock.acquire(), mp::AbandonedError);
        family.release(next);
    }
    REQUIRE(lock.recover());
}

TEMPLATE_TEST_CASE("Waiters for a lock or semaphore that are killed cost the others nothing",
                   "[synchronize][abandoned]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Lock lock;
    for (int i = 0; i < 5; ++i) {
        lock.acquire();
        const mp::Event waiting;
        Child<TestType> child(wait_for, lock, waiting);
        waiting.wait();
        ::usleep(20'000);  // so that it sleeps, and has marked itself as starving
        child.kill();
        lock.release();
        REQUIRE(lock.acquire());
        lock.release();
    }
}

// --- the kill storm ---

namespace {

struct Storm {
    std::atomic<int> a;
    std::atomic<int> b;
    std::atomic<int> broken;     // times that a != b though nobody said so
    std::atomic<int> reported;   // AbandonedErrors
    std::atomic<int> recovered;  // recoveries that were to repair
    std::atomic<int> done;       // steps
    std::atomic<int> inside[4];  // whether the worker surely has the lock
};

void storm_worker(mp::Lock lock, std::uint64_t offset, int index) {
    auto& storm = support::in_heap<Storm>(offset);
    for (;;) {
        bool repair = false;
        try {
            lock.acquire();
        } catch (const mp::AbandonedError&) {
            ++storm.reported;
            repair = lock.recover();
        }
        storm.inside[index] = 1;
        if (repair) {
            storm.b = storm.a.load();
            ++storm.recovered;
        } else if (storm.a != storm.b) {
            ++storm.broken;
        }
        storm.a.store(storm.a.load() + 1);
        storm.b.store(storm.b.load() + 1);
        ++storm.done;
        storm.inside[index] = 0;
        lock.release();
    }
}

}  // namespace

TEMPLATE_TEST_CASE("Through a kill storm no lock hangs and nothing is broken unreported",
                   "[synchronize][abandoned][storm]", START_METHODS) {
    const Watchdog watchdog(280);
    const int kills = support::sanitized ? 50 : 1000;
    const mp::Lock lock;
    const support::InHeap<Storm> storm;
    std::list<Child<TestType>> workers;
    const auto start = [&](int index) {
        storm->inside[index] = 0;
        return workers.emplace(workers.end(), storm_worker, lock, storm.offset(), index);
    };
    std::vector<typename std::list<Child<TestType>>::iterator> running;
    for (int i = 0; i < 4; ++i) running.push_back(start(i));
    support::Random random(3);
    int killed_inside = 0;
    for (int kill = 0; kill < kills; ++kill) {
        ::usleep(5'000);
        const int victim = static_cast<int>(random() % 4);
        auto& worker = running[static_cast<std::size_t>(victim)];
        worker->kill();
        workers.erase(worker);
        killed_inside += storm->inside[victim];
        worker = start(victim);
        const int done = storm->done;
        REQUIRE(support::eventually([&] { return storm->done > done; }));
    }
    workers.clear();
    INFO(killed_inside << " killed inside, " << storm->reported << " reports, " << storm->recovered
                       << " recoveries, " << storm->done << " steps");
    REQUIRE(storm->broken == 0);
    REQUIRE(storm->recovered <= storm->reported);
    REQUIRE(storm->reported > 0);
    // The last ones may be unreported: nobody was left to be told.
    REQUIRE(storm->recovered + 4 + 1 >= killed_inside);
    REQUIRE(storm->recovered <= kills);
}
