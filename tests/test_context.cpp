// context.hpp, and spawn's requirement of freeze_support().
// SPDX-License-Identifier: MIT
#include <multiprocessing/context.hpp>
#include <multiprocessing/process/rerun.hpp>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using support::in_heap;
using support::InHeap;

namespace {

void set(std::uint64_t flag, int value) { in_heap<std::atomic<int>>(flag) = value; }
int twice(int x) { return 2 * x; }

}  // namespace

TEST_CASE("A context makes processes and pools of its start method", "[context]") {
    const auto check = [](auto context) {
        InHeap<std::atomic<int>> flag;
        auto process = context.Process(set, flag.offset(), 5);
        process.start();
        process.join();
        REQUIRE(*flag == 5);
        auto named = context.Process({.name = "named"}, set, flag.offset(), 6);
        REQUIRE(named.name() == "named");
        auto pool = context.Pool(2);
        REQUIRE(pool.map(twice, {1, 2}) == std::vector{2, 4});
        auto small = context.Pool({.processes = 1});
        auto threads = context.ThreadPool(2);
        REQUIRE(threads.apply([](int x) { return x + 1; }, 1) == 2);
        REQUIRE(small.apply(twice, 4) == 8);
    };
    check(mp::get_context<"fork">());
    check(mp::get_context<"spawn">());
    check(mp::get_context());
    static_assert(std::is_same_v<decltype(mp::get_context<"spawn">()), mp::SpawnContext>);
    static_assert(
        std::is_same_v<decltype(mp::get_context<"fork">().Process(twice, 1)), mp::ForkProcess>);
}

TEST_CASE("The start methods have their names", "[context]") {
    REQUIRE(mp::get_start_method() == "fork");
    REQUIRE(mp::get_all_start_methods().front() == mp::get_start_method());
    REQUIRE(mp::get_all_start_methods().size() == 3);
    REQUIRE(mp::get_context<"spawn">().get_start_method() == "spawn");
}

TEST_CASE("Spawning without freeze_support is a RuntimeError that says which line to add",
          "[context][spawn]") {
    mp::detail::freeze_support_was_called = false;
    mp::SpawnProcess process(twice, 1);
    REQUIRE_THROWS_WITH(process.start(),
                        Catch::Matchers::ContainsSubstring("multiprocessing::freeze_support();"));
    REQUIRE_THROWS_AS(process.start(), mp::RuntimeError);
    mp::detail::freeze_support_was_called = true;
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 0);
}
