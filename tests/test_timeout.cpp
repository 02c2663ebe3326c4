// timeout.hpp, and that a call which need not wait does not look at the clock.
// SPDX-License-Identifier: MIT
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <multiprocessing/pool.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/synchronize.hpp>
#include <multiprocessing/timeout.hpp>
#include <optional>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using namespace std::chrono_literals;

namespace {

std::atomic<long> clock_reads{0};

/// Returns how often `call()` reads a clock.
template <class Call>
long clock_reads_of(Call call) {
    const long before = clock_reads;
    call();
    return clock_reads - before;
}

/// Runs until it is told to end, by a byte in the pipe.
int wait_for_byte(int fd) {
    char byte = 0;
    return static_cast<int>(::read(fd, &byte, 1));
}

/// Checks that a look at a result that is not there neither spins nor sleeps: both read the clock.
template <class Pool>
void check_looks() {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    {
        Pool pool(1);  // its worker has the pipe too
        const auto result = pool.apply_async(wait_for_byte, ends[0]);
        ::usleep(10'000);  // until it runs: only then a wait would spin
        REQUIRE(clock_reads_of([&] { result.wait(0); }) == 0);
        REQUIRE_FALSE(result.ready());
        REQUIRE_THROWS_AS(result.get(0), mp::TimeoutError);
        REQUIRE(::write(ends[1], "x", 1) == 1);
        REQUIRE(result.get() == 1);
        auto stream = pool.imap(wait_for_byte, std::vector<int>{ends[0]});
        REQUIRE_THROWS_AS(stream.next(0), mp::TimeoutError);  // it has read all of the input now
        bool is_late = false;
        REQUIRE(clock_reads_of([&] {
                    is_late = support::throws<mp::TimeoutError>([&] { (void)stream.next(0); });
                }) == 0);
        REQUIRE(is_late);
        REQUIRE(::write(ends[1], "x", 1) == 1);
        REQUIRE(stream.next() == 1);
    }
    ::close(ends[0]);
    ::close(ends[1]);
}

}  // namespace

/// In the place of the C library's, for the whole program: the standard library calls it too.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
    ++clock_reads;
    return static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
}

TEST_CASE("A Timeout is seconds, a duration or for ever, and not below 0", "[timeout]") {
    REQUIRE(mp::Timeout(0.5).nanoseconds() == 500ms);
    REQUIRE(mp::Timeout(2).nanoseconds() == 2s);
    REQUIRE(mp::Timeout(500ms).nanoseconds() == 500ms);
    REQUIRE(mp::Timeout(-1).nanoseconds() == 0s);
    REQUIRE(mp::Timeout(-std::numeric_limits<double>::infinity()).nanoseconds() == 0s);
    REQUIRE(mp::Timeout((std::chrono::hours::min)()).nanoseconds() == 0s);
    REQUIRE(mp::Timeout().is_forever());
    REQUIRE(mp::Timeout(std::optional<double>()).is_forever());
    REQUIRE(mp::Timeout(std::numeric_limits<double>::infinity()).is_forever());
    REQUIRE(mp::Timeout((std::chrono::hours::max)()).is_forever());
    REQUIRE_THROWS_AS(mp::Timeout(std::nan("")), mp::ValueError);
}

TEST_CASE("A Deadline that is now has passed", "[timeout]") {
    const mp::detail::Deadline now(mp::Timeout(0));
    REQUIRE(now.has_passed());
    REQUIRE_FALSE(now.is_forever());
    REQUIRE(now.left() == 0ns);
    REQUIRE(now.left_as_timespec(1h).tv_sec == 0);
    REQUIRE(now.left_as_timespec(1h).tv_nsec == 0);
}

TEST_CASE("A Deadline far ahead does not pass", "[timeout]") {
    const mp::detail::Deadline far(mp::Timeout(9.1e9));
    REQUIRE_FALSE(far.has_passed());
    REQUIRE(far.left() > 24h);
    REQUIRE(far.left_as_timespec(1h).tv_sec == 3600);
    const mp::detail::Deadline forever{mp::Timeout()};
    REQUIRE_FALSE(forever.has_passed());
    REQUIRE(forever.left() == (std::chrono::nanoseconds::max)());
}

TEST_CASE("Deadline::earlier returns the one that passes first", "[timeout]") {
    const mp::detail::Deadline now(mp::Timeout(0));
    const mp::detail::Deadline later(mp::Timeout(1h));
    const mp::detail::Deadline forever{mp::Timeout()};
    REQUIRE(earlier(now, later).has_passed());
    REQUIRE(earlier(later, now).has_passed());
    REQUIRE_FALSE(earlier(forever, later).is_forever());
    REQUIRE(earlier(forever, forever).is_forever());
}

TEST_CASE("A lock, a semaphore and an event that are free are had without a look at the clock",
          "[timeout]") {
    REQUIRE(clock_reads_of([] { (void)std::chrono::steady_clock::now(); }) == 1);
    const mp::Lock lock;
    const mp::RLock recursive;
    const mp::Semaphore semaphore(100);
    const mp::Event event;
    event.set();
    mp::detail::LockWord word;
    const auto reads = [](auto acquire) {
        bool acquired = false;
        const long count = clock_reads_of([&] { acquired = acquire(); });
        return acquired ? count : -1;
    };
    for (const mp::Timeout timeout : {mp::Timeout(0), mp::Timeout(5), mp::Timeout()}) {
        REQUIRE(reads([&] { return lock.acquire(true, timeout); }) == 0);
        lock.release();
        REQUIRE(reads([&] { return recursive.acquire(true, timeout); }) == 0);
        REQUIRE(reads([&] { return recursive.acquire(true, timeout); }) == 0);
        REQUIRE(reads([&] { return semaphore.acquire(true, timeout); }) == 0);
        REQUIRE(reads([&] { return event.wait(timeout); }) == 0);
        recursive.release();
        recursive.release();
    }
    REQUIRE(reads([&] { return lock.acquire(false); }) == 0);
    REQUIRE(reads([&] { return recursive.acquire(false); }) == 0);
    REQUIRE(reads([&] { return recursive.acquire(false); }) == 0);
    REQUIRE(reads([&] { return semaphore.acquire(false); }) == 0);
    REQUIRE(reads([&] { return word.try_acquire(); }) == 0);
}

TEST_CASE("A semaphore without a unit is refused without a look at the clock", "[timeout]") {
    const mp::Semaphore semaphore(0);
    REQUIRE(clock_reads_of([&] { (void)semaphore.acquire(false); }) == 0);
    REQUIRE(clock_reads_of([&] { (void)semaphore.acquire(true, 0); }) == 0);
}

TEST_CASE("A look at an item of an empty queue does not read the clock", "[timeout]") {
    const mp::Queue<int> queue;
    const mp::Event event;
    REQUIRE(clock_reads_of([&] { (void)queue.try_get(); }) == 0);
    REQUIRE(clock_reads_of([&] { (void)event.wait(0); }) == 0);
}

TEST_CASE("A look at a result that is not there yet neither spins nor sleeps", "[timeout]") {
    const support::Watchdog watchdog(60);
    check_looks<mp::BasicPool<mp::start_method::fork>>();
    check_looks<mp::ThreadPool>();
}
