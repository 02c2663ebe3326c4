// detail/futex.hpp: sleepers that are told apart. SPDX-License-Identifier: MIT
#include <multiprocessing/detail/futex.hpp>

#include <unistd.h>

#include <thread>

#include "tests/catch.hpp"

using namespace multiprocessing::detail;

TEST_CASE("A marked sleeper is woken by its mark only", "[detail]") {
    FutexWord word{0};
    std::atomic<bool> awake{false};
    std::thread sleeper([&] {
        while (word.load() == 0) futex_wait_marked(word, 0, 0b100);
        awake.store(true);
    });
    // A wrong mark wakes nobody, however often; the right one does as soon as it sleeps.
    for (int i = 0; i < 20; ++i) {
        REQUIRE(futex_wake_marked(word, 1, 0b011) == 0);
        ::usleep(1'000);
    }
    REQUIRE(!awake.load());
    while (futex_wake_marked(word, 1, 0b110) == 0) ::usleep(1'000);
    word.store(1);
    futex_wake_marked(word, 1, 0b110);
    sleeper.join();
    REQUIRE(awake.load());
}

TEST_CASE("A marked sleeper and a plain wake, a plain sleeper and a marked wake", "[detail]") {
    FutexWord word{0};
    std::thread marked([&] {
        while (word.load() == 0) futex_wait_marked(word, 0, 1);
    });
    while (futex_wake(word) == 0) ::usleep(1'000);
    word.store(1);
    futex_wake(word);
    marked.join();
    std::thread plain([&] {
        while (word.load() == 1) futex_wait(word, 1, nullptr);
    });
    while (futex_wake_marked(word, 1, 1u << 31) == 0) ::usleep(1'000);
    word.store(2);
    futex_wake_marked(word, 1, 1u << 31);
    plain.join();
}

TEST_CASE("A marked wait on another value returns at once", "[detail]") {
    const FutexWord word{7};
    futex_wait_marked(word, 6, 1);
    SUCCEED();
}
