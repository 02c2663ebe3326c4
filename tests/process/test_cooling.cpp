// process/cooling.hpp: the pages of large messages stay for the next ones, and for no longer than a
// second.
// SPDX-License-Identifier: MIT
#include "tests/process/support.hpp"

#include <multiprocessing/pool.hpp>
#include <multiprocessing/process/cooling.hpp>
#include <multiprocessing/queues.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/nothing_left.hpp"

namespace {

using support::eventually;
using support::NothingLeft;
using Bytes = std::vector<char>;

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t kept_for_good = 8 * mib + mib;  // and what else the test needs

std::size_t memory() { return mp::detail::heap().segment().memory(); }

Bytes give_back(const Bytes& bytes) { return bytes; }
std::size_t size_of(const Bytes& bytes) { return bytes.size(); }

template <class Call>
long page_faults_of(Call call) {
    rusage begin{}, end{};
    ::getrusage(RUSAGE_SELF, &begin);
    call();
    ::getrusage(RUSAGE_SELF, &end);
    return end.ru_minflt - begin.ru_minflt;
}

/// Sends a message of 32 MiB and receives it.
void pass(mp::Queue<Bytes>& queue) {
    queue.put(Bytes(32 * mib));
    REQUIRE(queue.get().size() == 32 * mib);
}

}  // namespace

TEST_CASE("What a large message leaves rests for a moment, and then goes", "[cooling]") {
    const NothingLeft check;
    const support::Watchdog watchdog(120);
    mp::detail::keep_heap_warm();
    const std::size_t before = memory();
    mp::Queue<Bytes> queue;
    pass(queue);
    CHECK(eventually([&] { return memory() <= before + kept_for_good; }));
    // The thread that has seen to it ends.
    CHECK(eventually([] { return mp::detail::cooling_process.load() == 0; }));
    pass(queue);
    CHECK(eventually([&] { return memory() <= before + kept_for_good; }));
}

TEST_CASE("A message takes the pages of the one before", "[cooling]") {
    const NothingLeft check;
    const support::Watchdog watchdog(120);
    mp::detail::keep_heap_warm();
    mp::Queue<Bytes> queue;
    const Bytes bytes(32 * mib);
    // On a slow machine the pages may have gone meanwhile; not each time.
    CHECK(eventually([&] {
        const long faults = page_faults_of([&] { queue.put(bytes); });
        (void)queue.get();
        return faults < 100;
    }));
}

TEST_CASE("Messages of sizes that never repeat leave no more than twice what one takes",
          "[cooling]") {
    const NothingLeft check;
    const support::Watchdog watchdog(120);
    mp::detail::keep_heap_warm();
    // What earlier cases have used at once is forgotten.
    REQUIRE(eventually([] { return mp::detail::cooling_process.load() == 0; }));
    mp::Queue<Bytes> queue;
    const std::size_t before = memory();
    std::size_t most = 0;
    for (std::size_t i = 0; i < 200; ++i) {
        const std::size_t size = mib + i * 7'919 % 31 * (mib / 8) + i * 4'096;
        queue.put(Bytes(size));
        REQUIRE(queue.get().size() == size);
        most = (std::max)(most, memory());
    }
    // Each of up to 6 MiB.
    CHECK(most <= before + 2 * 6 * mib + kept_for_good);
    CHECK(eventually([&] { return memory() <= before + kept_for_good; }));
}

TEST_CASE("As many messages as a queue holds leave their pages to the next ones", "[cooling]") {
    const NothingLeft check;
    const support::Watchdog watchdog(120);
    mp::detail::keep_heap_warm();
    mp::Queue<Bytes> queue;
    constexpr int held = 64;
    const Bytes bytes(mib / 16);
    // Of 1,024 pages. On a slow machine they may have gone meanwhile; not each time.
    CHECK(eventually([&] {
        const long faults = page_faults_of([&] {
            for (int i = 0; i < held; ++i) queue.put(bytes);
        });
        for (int i = 0; i < held; ++i) (void)queue.get();
        return faults < 200;
    }));
}

TEMPLATE_TEST_CASE("A pool that has ended keeps nothing, one that is idle next to nothing",
                   "[cooling]", START_METHODS) {
    const NothingLeft check;
    const support::Watchdog watchdog(120);
    mp::Queue<int> opened;  // so that what the heap itself needs is there before
    const std::size_t before = memory();
    {
        mp::BasicPool<TestType> pool(2);
        for (int i = 0; i < 4; ++i) {
            REQUIRE(pool.apply(give_back, Bytes(20 * mib)).size() == 20 * mib);
        }
        CHECK(eventually([&] { return memory() <= before + kept_for_good; }));
        REQUIRE(pool.apply(size_of, Bytes(64 * mib)) == 64 * mib);
    }
    CHECK(memory() <= before + kept_for_good);
}

TEMPLATE_TEST_CASE("A process that ends cools what it has freed", "[cooling]", START_METHODS) {
    const NothingLeft check;
    const support::Watchdog watchdog(120);
    mp::Queue<Bytes> queue;
    const std::size_t before = memory();
    queue.put(Bytes(48 * mib));
    mp::BasicProcess<TestType> reader([](mp::Queue<Bytes> from) { (void)from.get(); }, queue);
    reader.start();
    reader.join();
    CHECK(reader.exitcode() == 0);
    CHECK(memory() <= before + kept_for_good);
}

TEST_CASE("What a killed process has left to rest goes with the next large message", "[cooling]") {
    const NothingLeft check;
    const support::Watchdog watchdog(120);
    mp::detail::keep_heap_warm();
    const std::size_t before = memory();
    mp::Queue<Bytes> queue;
    queue.put(Bytes(48 * mib));
    mp::ForkProcess reader([&] {
        (void)queue.get();
        ::raise(SIGKILL);
    });
    reader.start();
    reader.join();
    CHECK(reader.exitcode() == -SIGKILL);
    pass(queue);
    CHECK(eventually([&] { return memory() <= before + kept_for_good; }));
}
