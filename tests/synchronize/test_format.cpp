// synchronize/format.hpp and sharedctypes/format.hpp.
// SPDX-License-Identifier: MIT
#include <multiprocessing/sharedctypes/format.hpp>
#include <multiprocessing/synchronize/format.hpp>

#include "tests/synchronize/support.hpp"

TEST_CASE("fmt prints locks as Python's repr does", "[synchronize][format]") {
    const mp::Lock lock;
    REQUIRE(fmt::format("{}", lock) == "<Lock(owner=None)>");
    lock.acquire();
    REQUIRE(fmt::format("{}", lock) == "<Lock(owner=MainProcess)>");
    std::thread([&] { CHECK(fmt::format("{}", lock) == "<Lock(owner=SomeOtherThread)>"); }).join();
    const mp::RLock recursive;
    REQUIRE(fmt::format("{}", recursive) == "<RLock(None, 0)>");
    recursive.acquire();
    recursive.acquire();
    REQUIRE(fmt::format("{}", recursive) == "<RLock(MainProcess, 2)>");
    REQUIRE(fmt::format("{}", mp::AnyLock(recursive)) == "<RLock(MainProcess, 2)>");
    std::thread([&] {
        CHECK(fmt::format("{}", recursive) == "<RLock(SomeOtherThread, nonzero)>");
    }).join();
    REQUIRE(fmt::format("{}", mp::Semaphore(3)) == "<Semaphore(value=3)>");
    const mp::BoundedSemaphore bounded(2);
    bounded.acquire();
    REQUIRE(fmt::format("{}", bounded) == "<BoundedSemaphore(value=1, maxvalue=2)>");
    REQUIRE(fmt::format("{}", mp::Condition()) == "<Condition(<RLock(None, 0)>)>");
    const mp::Event event;
    REQUIRE(fmt::format("{}", event) == "<Event unset>");
    event.set();
    REQUIRE(fmt::format("{}", event) == "<Event set>");
    const mp::Barrier barrier(2);
    REQUIRE(fmt::format("{}", barrier) == "<Barrier waiters=0/2>");
    barrier.abort();
    REQUIRE(fmt::format("{}", barrier) == "<Barrier broken>");
}

TEST_CASE("fmt prints v.value and a[i] as what they are", "[sharedctypes][format]") {
    const mp::Value<double> v(1.5);
    const mp::Array<int> a({7, 8});
    REQUIRE(fmt::format("{} {:.3f} {:03}", v.value, v.value, a[1]) == "1.5 1.500 008");
}
