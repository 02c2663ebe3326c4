// Workers that run Python are killed at random moments. SPDX-License-Identifier: MIT
// CTEST: LABELS storm
#include "tests/python/support.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

using support::Random;
using support::Tidy;

namespace {

/// How many workers are killed, for each start method.
int wanted_kills() {
    const char* const wish = std::getenv("MULTIPROCESSING_TEST_KILLS");
    return wish != nullptr ? std::atoi(wish) : 15;
}

/// The tasks note what they have found, and in the last element that they run. One may overwrite
/// another there, which does no harm.
using Notes = mp::RawArray<std::int64_t>;

/// Kills workers until so many are dead; after each, it waits until another task has run. Else a
/// machine that is slow to start workers would have none that does anything.
void kill_workers(const Notes& notes, int wanted) {
    Random random(11);
    for (int kills = 0; kills < wanted;) {
        const std::int64_t before = std::atomic_ref(notes[-1]).load();
        support::eventually([&] { return std::atomic_ref(notes[-1]).load() != before; }, 30);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
        const auto children = mp::active_children();
        if (children.empty()) continue;
        kills += ::kill(children[random() % children.size()].pid(), SIGKILL) == 0;
    }
}

}  // namespace

TEMPLATE_TEST_CASE("Workers that run Python are killed at any moment", "[python][kill]",
                   START_METHODS) {
    if (!there_is_python()) return;
    const int wanted = wanted_kills();
    const Tidy tidy(1 + static_cast<unsigned>(wanted) / 50);
    const auto square = in_python<std::int64_t(Notes, std::int64_t)>("square_and_note");
    constexpr std::int64_t count = 600;
    std::atomic<bool> done{false};
    const Notes notes(count + 1);
    {
        mp::BasicPool<TestType> pool({.processes = 3, .retries = 1'000'000});
        std::thread killer([&] {
            kill_workers(notes, wanted);
            done = true;
        });
        const auto task = mp::partial(square, notes);
        std::vector<std::int64_t> items;
        std::vector<std::int64_t> squares;
        for (std::int64_t i = 0; i < count; ++i) {
            items.push_back(i);
            squares.push_back(i * i);
        }
        do {
            std::fill(notes.begin(), notes.end() - 1, -1);
            CHECK(pool.map(task, items, 7) == squares);
            CHECK(notes.slice(0, -1) == squares);
        } while (!done);
        killer.join();
    }
    CHECK(in_python<long(long)>("square")(3) == 9);
}
