// heap/local_mutex.hpp: between threads, and across a fork. SPDX-License-Identifier: MIT
#include <multiprocessing/heap/local_mutex.hpp>

#include <mutex>
#include <thread>
#include <vector>

#include "tests/heap/support.hpp"

TEST_CASE("A local mutex lets one thread in at a time", "[heap]") {
    LocalMutex mutex;
    int count = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&] {
                for (int k = 0; k < 10'000; ++k) {
                    const std::lock_guard guard(mutex);
                    ++count;
                }
            });
        }
    }
    REQUIRE(count == 80'000);
    REQUIRE_FALSE(mutex.is_locked());
}

TEST_CASE("A local mutex that was locked at a fork is free in the child", "[heap]") {
    heap();  // from here on this process counts its forks
    LocalMutex mutex;
    mutex.lock();
    REQUIRE_FALSE(mutex.try_lock());
    const pid_t child = run_in_child([&] {
        if (mutex.is_locked()) ::_exit(2);
        mutex.lock();
        if (mutex.try_lock()) ::_exit(3);
        mutex.unlock();
    });
    REQUIRE(wait_for(child) == 0);
    REQUIRE(mutex.is_locked());
    mutex.unlock();
    REQUIRE(mutex.try_lock());
    mutex.unlock();
}
