// How many workers rank 0 can keep busy: on a simulated cluster, see tests/mpi/simulation.
// SPDX-License-Identifier: MIT

#include "tests/mpi/simulation/cluster.hpp"

#include <string>

#include "benchmarks/measure.hpp"

int main(int argc, char** argv) {
    multiprocessing::freeze_support();
    const measure::Run run(argc, argv);
    for (const double task : {0.01, 0.1, 1.0, 10.0}) {
        for (const int nodes : {10, 30, 100, 300, 1000}) {
            const simulation::Outcome outcome = simulation::simulate(
                {.nodes = nodes, .workers = 64, .task = task * simulation::second, .tasks = 10});
            char name[32];
            std::snprintf(name, sizeof name, "tasks of %g s", task);
            run.report("nodes/busy", name, nodes, 100 * outcome.busy_share);
        }
    }
}
