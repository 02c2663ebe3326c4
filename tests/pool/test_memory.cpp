// What pools leave in the family's heap when they end, however they end: nothing.
// SPDX-License-Identifier: MIT
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include <optional>
#include <string>

#include "tests/pool/support.hpp"

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
std::size_t memory() { return mp::detail::heap().segment().memory(); }

mp::RawArray<char> touched(std::size_t size) {
    mp::RawArray<char> array(size);
    for (char& c : array) c = 1;
    return array;
}

std::optional<mp::RawArray<char>> table;
std::optional<mp::RawArray<char>> own;
std::optional<mp::Barrier> all_workers;

/// The usual initializer: the array is kept in a global.
void keep(const mp::RawArray<char>& array, const mp::Barrier& barrier) {
    table = array;
    own = touched(5 * mib);
    all_workers = barrier;
}
/// Returns once every worker is through with its initializer.
int meet(int i) {
    all_workers->wait();
    return i;
}
int look(int i) { return (*table)[i]; }
int look_and_die(int i) {
    if (i % 3 == 0) ::raise(SIGKILL);
    return (*table)[i];
}

enum class End { scope, close_and_join, terminate, workers_die, maxtasksperchild };

template <class Method>
void use_pool(End end) {
    const auto array = touched(5 * mib);  // too large for its pages to be kept
    const int most = end == End::maxtasksperchild ? 1 : 0;
    const mp::Barrier barrier(2);
    mp::BasicPool<Method> pool(mp::PoolOptions{.processes = 2, .maxtasksperchild = most}, keep,
                               array, barrier);
    // A kill between the two stores that let go of a handle may leave its count until the family
    // ends. So the workers that are killed hold theirs by then.
    const bool is_killed = end == End::scope || end == End::terminate;
    if (is_killed) REQUIRE(pool.map(meet, {1, 2}, 1) == std::vector{1, 2});
    if (end == End::workers_die) {
        for (int i = 0; i < 4; ++i) {
            auto result = pool.apply_async(look_and_die, i);
            bool was_lost = false;
            try {
                (void)result.get();
            } catch (const mp::WorkerLost&) {
                was_lost = true;
            }
            REQUIRE(was_lost == (i % 3 == 0));
        }
    } else {
        REQUIRE(pool.map(look, {1, 2, 3, 4, 5, 6}, 1) == std::vector<int>(6, 1));
    }
    if (end == End::terminate) pool.terminate();
    if (end != End::scope && end != End::terminate) pool.close();
    if (end != End::scope) pool.join();
}

}  // namespace

TEMPLATE_TEST_CASE("What a pool's workers kept is freed with the pool", "[pool][memory]",
                   START_METHODS) {
    const support::Watchdog watchdog(250);
    for (const End end : {End::scope, End::close_and_join, End::terminate, End::workers_die,
                          End::maxtasksperchild}) {
        use_pool<TestType>(end);
        const std::size_t before = memory();
        CAPTURE(static_cast<int>(end), before);
        for (int i = 0; i < 6; ++i) use_pool<TestType>(end);
        // A worker that was being started when the pool ended is sent away when it comes.
        const bool freed = support::eventually([&] { return memory() <= before + mib; });
        CAPTURE(memory());
        REQUIRE(freed);
    }
}
