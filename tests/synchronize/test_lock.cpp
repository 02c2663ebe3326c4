// synchronize/lock.hpp under every start method: Lock and RLock among living processes.
// SPDX-License-Identifier: MIT
#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

constexpr int rounds = support::sanitized ? 2'000 : 100'000;

template <class Lock>
void count_up(Lock lock, mp::RawValue<int> count, int times) {
    for (int i = 0; i < times; ++i) {
        const std::scoped_lock guard(lock);
        count.value = count.value + 1;
    }
}

template <class Method, class Lock>
void check_exact_sum(const Lock& lock) {
    const Watchdog watchdog(240);
    for (const int workers : {2, 4, 8}) {
        const mp::RawValue<int> count(0);
        std::list<Child<Method>> children;
        for (int i = 0; i < workers; ++i) {
            children.emplace_back(count_up<Lock>, lock, count, rounds);
        }
        for (auto& child : children) REQUIRE(child.join() == 0);
        REQUIRE(count.value == workers * rounds);
    }
}

void release_it(const mp::Lock& lock) { lock.release(); }
void try_it(const mp::RLock& lock, mp::Value<int> result) {
    result.value = 1 + lock.acquire(false);
    try {
        lock.release();
    } catch (const mp::AssertionError&) {
        result.value += 10;
    }
}
void hold_until(const mp::RLock& lock, const mp::Event& held, const mp::Event& done) {
    const std::scoped_lock guard(lock);
    held.set();
    done.wait();
}

struct Parcel {
    int number = 0;
    mp::Lock lock;
    std::vector<mp::RLock> more;
};
void acquire_parcel(const Parcel& parcel) {
    parcel.lock.acquire();
    parcel.more.at(0).acquire();
    parcel.lock.release();
    parcel.more.at(0).release();
    parcel.lock.acquire();
    parcel.lock.release();
}
void use_received(mp::Event ready, mp::Lock first, mp::Lock second) {
    const std::scoped_lock guard(first, second);
    ready.set();
}

struct Shares {
    std::atomic<std::int64_t> counts[8];
    std::atomic<bool> stop;
};
void contend(mp::Lock lock, std::uint64_t offset, int index) {
    auto& shares = support::in_heap<Shares>(offset);
    while (!shares.stop.load()) {
        const std::scoped_lock guard(lock);
        ++shares.counts[index];
    }
}

}  // namespace

TEMPLATE_TEST_CASE("Lock, RLock, Semaphore(1) and Condition guard a sum exactly",
                   "[synchronize][lock]", START_METHODS) {
    check_exact_sum<TestType>(mp::Lock());
    check_exact_sum<TestType>(mp::RLock());
    check_exact_sum<TestType>(mp::Semaphore(1));
    check_exact_sum<TestType>(mp::Condition());
}

TEST_CASE("Lock.acquire takes the lock once", "[synchronize][lock]") {
    const mp::Lock lock;
    REQUIRE_FALSE(lock.locked());
    REQUIRE(lock.acquire());
    REQUIRE(lock.locked());
    REQUIRE_FALSE(lock.acquire(false));
    lock.release();
    REQUIRE_FALSE(lock.locked());
    REQUIRE_THROWS_AS(lock.release(), mp::ValueError);
    REQUIRE(lock.acquire(false));
    lock.release();
}

TEST_CASE("RLock.acquire takes the lock as often as its holder wants", "[synchronize][lock]") {
    const mp::RLock lock;
    for (int i = 0; i < 3; ++i) REQUIRE(lock.acquire());
    for (int i = 0; i < 3; ++i) {
        REQUIRE(lock.locked());
        lock.release();
    }
    REQUIRE_FALSE(lock.locked());
    REQUIRE_THROWS_AS(lock.release(), mp::AssertionError);
    REQUIRE_THROWS_WITH(lock.release(),
                        Catch::Matchers::ContainsSubstring(
                            "attempt to release recursive lock not owned by thread"));
}

TEST_CASE("RLock belongs to a thread, not to its process", "[synchronize][lock]") {
    const Watchdog watchdog(60);
    const mp::RLock lock;
    lock.acquire();
    std::thread([&] {
        CHECK_FALSE(lock.acquire(false));
        CHECK_THROWS_AS(lock.release(), mp::AssertionError);
    }).join();
    lock.release();
    std::thread([&] { CHECK(lock.acquire(false)); }).join();
    REQUIRE_FALSE(lock.acquire(false));  // the thread that has it is gone, its process is not
}

TEMPLATE_TEST_CASE("RLock of a parent is not its child's", "[synchronize][lock]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::RLock lock;
    const mp::Value<int> result(0);
    lock.acquire();
    Child<TestType> child(try_it, lock, result);
    REQUIRE(child.join() == 0);
    REQUIRE(result.value == 11);
    lock.release();
    REQUIRE_FALSE(lock.locked());
}

TEMPLATE_TEST_CASE("Lock may be released by another process", "[synchronize][lock]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Lock lock;
    lock.acquire();
    Child<TestType> child(release_it, lock);
    REQUIRE(lock.acquire());
    REQUIRE(child.join() == 0);
}

TEST_CASE("A timeout ends the wait for a lock, and is ignored without block",
          "[synchronize][lock]") {
    const Watchdog watchdog(60);
    const mp::Lock lock;
    lock.acquire();
    double start = support::now();
    REQUIRE_FALSE(lock.acquire(true, 0.2));
    REQUIRE(support::now() - start >= 0.2);
    start = support::now();
    REQUIRE_FALSE(lock.acquire(true, std::chrono::milliseconds(50)));
    REQUIRE(support::now() - start >= 0.05);
    REQUIRE_FALSE(lock.acquire(true, 0));
    REQUIRE_FALSE(lock.acquire(true, -5.0));
    REQUIRE_FALSE(lock.acquire(false, 3600));
    REQUIRE_FALSE(lock.acquire(false, std::nullopt));
    lock.release();
    REQUIRE(lock.acquire(true, 0));
}

TEST_CASE("Signals neither end nor prolong the wait for a lock", "[synchronize][lock]") {
    const Watchdog watchdog(60);
    const mp::Lock lock;
    lock.acquire();
    const support::SignalRain rain;
    const double start = support::now();
    REQUIRE_FALSE(lock.acquire(true, 0.3));
    REQUIRE(support::now() - start >= 0.3);
    std::thread releaser([&] {
        ::usleep(100'000);
        lock.release();
    });
    REQUIRE(lock.acquire());
    releaser.join();
}

TEST_CASE("All locks are standard lockables", "[synchronize][lock]") {
    const Watchdog watchdog(60);
    mp::Lock lock;
    mp::RLock recursive;
    mp::Semaphore semaphore(1);
    mp::BoundedSemaphore bounded(1);
    mp::Condition condition;
    {
        const std::scoped_lock guard(lock, recursive, semaphore, bounded, condition);
        REQUIRE((lock.locked() && recursive.locked() && semaphore.locked() && bounded.locked() &&
                 condition.locked()));
    }
    std::lock(lock, semaphore);
    REQUIRE(std::try_lock(recursive, lock) == 1);
    REQUIRE_FALSE(recursive.locked());
    lock.unlock();
    semaphore.unlock();
    const auto check = [](auto& each) {
        using Each = std::remove_reference_t<decltype(each)>;
        std::unique_lock<Each> guard(each, std::try_to_lock);
        REQUIRE(guard.owns_lock());
        bool free = true;
        std::thread([&] {
            using namespace std::chrono;
            free = each.try_lock() || each.try_lock_for(milliseconds(10)) ||
                   each.try_lock_until(steady_clock::now() + milliseconds(10)) ||
                   each.try_lock_until(system_clock::now() - seconds(1));
        }).join();
        REQUIRE_FALSE(free);
        guard.unlock();
        REQUIRE(guard.try_lock_for(std::chrono::seconds(1)));
        guard.unlock();
        REQUIRE(guard.try_lock_until(std::chrono::system_clock::now() + std::chrono::seconds(5)));
    };
    check(lock);
    check(recursive);
    check(semaphore);
    check(bounded);
    check(condition);
    const mp::Lock constant;  // as a lambda captures it
    const std::scoped_lock guard(constant);
}

TEST_CASE("try_lock_until takes any time of any clock", "[synchronize][lock]") {
    const Watchdog watchdog(60);
    using namespace std::chrono;
    const mp::Semaphore taken(0);
    REQUIRE_FALSE(taken.try_lock_until((steady_clock::time_point::min)()));
    REQUIRE_FALSE(taken.try_lock_until((system_clock::time_point::min)()));
    REQUIRE_FALSE(taken.try_lock_until((time_point<steady_clock, hours>::min)()));
    const mp::Semaphore free(3);
    REQUIRE(free.try_lock_until((steady_clock::time_point::max)()));
    REQUIRE(free.try_lock_until((system_clock::time_point::max)()));
    REQUIRE(free.try_lock_until((time_point<steady_clock, hours>::max)()));
    const double start = support::now();
    REQUIRE_FALSE(taken.try_lock_until(steady_clock::now() + milliseconds(50)));
    REQUIRE(support::now() - start >= 0.049);
}

TEMPLATE_TEST_CASE("Locks travel in structs and containers", "[synchronize][lock]", START_METHODS) {
    const Watchdog watchdog(60);
    Parcel parcel;
    parcel.more.resize(2);
    parcel.lock.acquire();
    Child<TestType> child(acquire_parcel, parcel);
    parcel.lock.release();
    REQUIRE(child.join() == 0);
    REQUIRE_FALSE(parcel.lock.locked());
    static_assert(mp::picklable<mp::Lock> && mp::picklable<mp::RLock> &&
                  mp::picklable<mp::AnyLock> && mp::picklable<Parcel>);
}

TEMPLATE_TEST_CASE("A handle is a handle on the same lock, whenever it was copied",
                   "[synchronize][lock]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Lock first;
    const mp::Lock second = first;
    REQUIRE(first == second);
    REQUIRE_FALSE(first == mp::Lock());
    const mp::Event ready;
    Child<TestType> child(use_received, ready, second, mp::Lock());
    ready.wait();
    REQUIRE(first.acquire());
    REQUIRE(child.join() == 0);
    const mp::AnyLock any = first;
    REQUIRE(mp::Lock(any) == first);
    REQUIRE_THROWS_AS(mp::RLock(any), mp::TypeError);
    REQUIRE_THROWS_AS(mp::Lock(mp::AnyLock(mp::RLock())), mp::TypeError);
}

TEMPLATE_TEST_CASE("Whoever waits for a lock uses no processor", "[synchronize][lock]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::RLock lock;
    const mp::Event held;
    const mp::Event done;
    Child<TestType> child(hold_until, lock, held, done);
    held.wait();
    const double before = support::cpu_seconds();
    REQUIRE_FALSE(lock.acquire(true, 1.0));
    REQUIRE(support::cpu_seconds() - before < 0.1);
    done.set();
    REQUIRE(lock.acquire());
}

TEMPLATE_TEST_CASE("None of eight contenders starves", "[synchronize][lock]", START_METHODS) {
    const Watchdog watchdog(120);
    const mp::Lock lock;
    const support::InHeap<Shares> shares;
    std::list<Child<TestType>> children;
    for (int i = 0; i < 8; ++i) children.emplace_back(contend, lock, shares.offset(), i);
    ::usleep(support::sanitized ? 2'000'000 : 5'000'000);
    shares->stop = true;
    for (auto& child : children) REQUIRE(child.join() == 0);
    std::int64_t sum = 0;
    for (const auto& count : shares->counts) sum += count;
    for (const auto& count : shares->counts) {
        INFO(count << " of " << sum);
        REQUIRE(count > sum / 8 / 50);
    }
}

TEST_CASE("100,000 locks take 64 bytes each", "[synchronize][lock]") {
    const std::size_t before = mp::detail::heap().segment().memory();
    const std::vector<mp::Lock> locks(100'000);
    REQUIRE(mp::detail::heap().segment().memory() - before <= locks.size() * 64 + (256 << 10));
}
