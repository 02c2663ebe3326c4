// Workers that leave when they have grown, and tasks that are ended because they take too much.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <multiprocessing/pool/board/own_memory.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <ranges>

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

/// Takes memory and never gives it back.
void leak(std::size_t bytes) {
    char* const lost = static_cast<char*>(
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (lost == MAP_FAILED) throw std::bad_alloc();
    for (std::size_t i = 0; i < bytes; i += 4096) lost[i] = 1;
}
pid_t leak_some(int x) {
    if (x != 0) leak(static_cast<std::size_t>(x) * mib);
    return ::getpid();
}
/// Leaks without end, and notes how much.
int leak_for_ever(std::uint64_t leaked, int x) {
    if (x % 10 != 3) return x;
    for (;;) {
        leak(mib);
        in_heap<std::atomic<int>>(leaked).fetch_add(1);
        ::usleep(200);
    }
}
int leak_twice(std::uint64_t tries, int x) {
    if (in_heap<Counters>(tries).of[x].fetch_add(1) < 2) leak(600 * mib), ::sleep(600);
    return x;
}
std::size_t resident(pid_t pid) { return mp::detail::private_memory(pid); }

}  // namespace

TEMPLATE_TEST_CASE("A worker that has grown beyond max_memory_per_child is replaced quietly",
                   "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 1, .max_memory_per_child = 64 * mib});
    const pid_t first = pool.apply(leak_some, 0);
    REQUIRE(pool.apply(leak_some, 8) == first);
    REQUIRE(pool.apply(leak_some, 80) == first);  // the task is finished
    const pid_t second = pool.apply(leak_some, 0);
    REQUIRE(second != first);
    REQUIRE(pool.apply(leak_some, 1) == second);
    // Nothing is lost, at any size of chunks, and with other options.
    for (const int chunk : {1, 7}) {
        mp::BasicPool<TestType> small(
            {.processes = 2, .maxtasksperchild = 4, .max_memory_per_child = 16 * mib});
        const auto pids = small.map(leak_some, std::vector<int>(60, 5), chunk);
        REQUIRE(pids.size() == 60);
        REQUIRE(std::set<pid_t>(pids.begin(), pids.end()).size() >= 3);
    }
}

TEMPLATE_TEST_CASE("Neither the shared heap nor what was inherited counts as a worker's own",
                   "[pool]", START_METHODS) {
    if (support::sanitized) return;  // their shadow of the shared heap is the worker's own
    const Tidy tidy;
    const std::vector<char> inherited(150 * mib, 'x');
    mp::RawArray<char> shared(150 * mib);
    std::memset(&*shared.begin(), 1, 150 * mib);
    mp::BasicPool<TestType> pool(
        {.processes = 1, .max_memory_per_child = 100 * mib, .memory_limit = 100 * mib});
    const pid_t worker = pool.apply(worker_pid, 0);
    REQUIRE(pool.apply(
                [](const mp::RawArray<char>& array) {
                    long sum = 0;
                    for (const char each : array) sum += each;
                    ::usleep(100'000);
                    return sum;
                },
                shared) == 150 * static_cast<long>(mib));
    REQUIRE(pool.apply(worker_pid, 0) == worker);
    REQUIRE(inherited.back() == 'x');
}

TEMPLATE_TEST_CASE("A task beyond memory_limit is ended, and its loss says why", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .memory_limit = 100 * mib});
    const InHeap<std::atomic<int>> leaked;
    try {
        pool.map(mp::partial(leak_for_ever, leaked.offset()), numbers(10), 2);
        FAIL("no exception");
    } catch (const mp::WorkerLost& error) {
        CHECK(error.reason() == mp::LossReason::memory);
        CHECK(error.item() == 3);
        CHECK(error.attempts() == 1);
        CHECK(error.exitcode() == -SIGKILL);
        CHECK(std::string(error.what()).find("memory_limit of 104857600 bytes") !=
              std::string::npos);
    }
    CHECK(*leaked >= (support::sanitized ? 10 : 90));  // their shadow of it counts too
    CHECK(*leaked < 300);
    REQUIRE(pool.map(square, numbers(20), 1).back() == 361);
}

TEMPLATE_TEST_CASE("A task beyond memory_limit is tried again like other losses", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2,
                                  .memory_limit = 100 * mib,
                                  .retries = 2,
                                  .retry_delay = GENERATE(0.0, 0.01)});
    const InHeap<Counters> tries;
    REQUIRE(pool.map(mp::partial(leak_twice, tries.offset()), numbers(3), 3) == numbers(3));
    REQUIRE(tries->of[1] == 3);
}

TEMPLATE_TEST_CASE("The memory of a leaking task in an endless map stays within its limit",
                   "[pool]", START_METHODS) {
    const Tidy tidy;
    const bool by_replacing = GENERATE(true, false);
    mp::BasicPool<TestType> pool({.processes = 2,
                                  .max_memory_per_child = by_replacing ? 60 * mib : 0,
                                  .memory_limit = by_replacing ? 0 : 60 * mib,
                                  .retries = 1000,
                                  .buffersize = 20});
    std::size_t most = 0;
    int results = 0;
    for (const pid_t worker :
         pool.imap(leak_some, std::views::iota(0) | std::views::transform([](int) { return 7; }))) {
        for (const auto& child : mp::active_children())
            most = (std::max)(most, resident(child.pid()));
        CHECK(worker > 0);
        if (++results == 300) break;
    }
    const std::size_t inherited = TestType::inherits_memory ? resident(0) : 30 * mib;
    CHECK(most < inherited + (support::sanitized ? 400 : 140) * mib);
    REQUIRE(results == 300);
}

TEMPLATE_TEST_CASE("Limits of memory hold through a storm of kills", "[pool]", START_METHODS) {
    const Tidy tidy;
    int kills = 0;
    mp::BasicPool<TestType> pool({.processes = 3,
                                  .maxtasksperchild = 11,
                                  .max_memory_per_child = 20 * mib,
                                  .memory_limit = 40 * mib,
                                  .task_timeout = 60,
                                  .retries = 1000});
    {
        const support::RandomKiller killer(4'000, 50, kills);
        for (int round = 0; round < 4; ++round) {
            REQUIRE(pool.map(leak_some, std::vector<int>(60, 3), 1 + round).size() == 60);
        }
    }
    CHECK(kills > 0);
}

TEST_CASE("A pool of threads refuses limits of memory", "[pool]") {
    const Tidy tidy;
    REQUIRE_THROWS_AS(mp::ThreadPool(mp::PoolOptions{.processes = 1, .memory_limit = 1}),
                      mp::ValueError);
    REQUIRE_THROWS_AS(mp::ThreadPool(mp::PoolOptions{.processes = 1, .max_memory_per_child = 1}),
                      mp::ValueError);
}

TEST_CASE("A process's private memory is what it has taken", "[pool]") {
    const Tidy tidy;
    const std::size_t before = mp::detail::private_memory(0);
    REQUIRE(before > 0);
    const auto taken = std::make_unique<char[]>(64 * mib);
    std::memset(taken.get(), 1, 64 * mib);
    CHECK(mp::detail::own_memory(::getpid(), before) >= 60 * mib);
    REQUIRE(mp::detail::own_memory(0, before + 1000 * mib) == 0);
    REQUIRE(mp::detail::private_memory(-1) == 0);
}
