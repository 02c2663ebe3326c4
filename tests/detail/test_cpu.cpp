// detail/cpu.hpp: counting cores, and going to one. SPDX-License-Identifier: MIT
#include <multiprocessing/detail/cpu.hpp>

#include <sched.h>

#include <thread>

#include "tests/catch.hpp"

using namespace multiprocessing::detail;

namespace {

cpu_set_t affinity() {
    cpu_set_t cores;
    REQUIRE(::sched_getaffinity(0, sizeof cores, &cores) == 0);
    return cores;
}

/// Runs in a thread of its own, whose affinity ends with it.
template <class Body>
void in_thread(Body body) {
    std::thread(body).join();
}

}  // namespace

TEST_CASE("A thread goes to a core and may be moved on", "[detail]") {
    in_thread([] {
        const cpu_set_t before = affinity();
        const int count = CPU_COUNT(&before);
        if (count < 2) return;
        for (std::uint32_t number = 0; number < 2 * static_cast<unsigned>(count); ++number) {
            const int core = go_to_core(number);
            REQUIRE(core >= 0);
            REQUIRE(CPU_ISSET(core, &before));
            REQUIRE(core == go_to_core(number % static_cast<unsigned>(count)));
            const cpu_set_t after = affinity();
            REQUIRE(CPU_EQUAL(&before, &after));
        }
        REQUIRE(go_to_core(0) != go_to_core(1));
    });
}

TEST_CASE("A thread that may use one core only stays there", "[detail]") {
    in_thread([] {
        const int here = ::sched_getcpu();
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(here, &one);
        REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
        REQUIRE(go_to_core(1) == -1);
        REQUIRE(::sched_getcpu() == here);
        REQUIRE(affinity_cpu_count() == 1);
        REQUIRE(mark_of_this_core() == 1u << here % 32);
    });
}
