// What rank 0 does with more nodes than there are here: see simulation/cluster.hpp.
// SPDX-License-Identifier: MIT

#include "tests/mpi/simulation/cluster.hpp"

#include "tests/catch.hpp"
#include "tests/support.hpp"

TEST_CASE("Tasks of a second keep 1,000 nodes of 64 workers busy", "[mpi][simulation]") {
    const support::Watchdog watchdog(240);
    const simulation::Outcome outcome = simulation::simulate(
        {.nodes = 1000, .workers = 64, .task = simulation::second, .tasks = 10});
    CHECK(outcome.is_right);
    CHECK(outcome.busy_share >= 0.95);
    WARN("busy: " << outcome.busy_share * 100 << " % of the workers, for " << outcome.seconds
                  << " s; " << outcome.letters << " letters from nodes");
}
