// The main function of the test programs that mpirun starts. Rank 0 runs the cases.
// SPDX-License-Identifier: MIT

#include <cstdio>
#include <exception>
#include <multiprocessing/mpi.hpp>
#include <string>

#include "tests/support.hpp"

int run_tests(int argc, char** argv);  // catch.cpp

// Called by catch.cpp around each case.
void begin_case();
std::string end_case();

namespace {
int processes_before = 0;
}  // namespace

// Ranks and their fork servers stay; workers do not, on any node: all nodes are on this machine.
void begin_case() { processes_before = support::processes_of_this_program(); }

std::string end_case() {
    int now = 0;
    const bool are_gone = support::eventually(
        [&now] { return (now = support::processes_of_this_program()) <= processes_before; }, 5);
    return are_gone ? "" : " " + std::to_string(now - processes_before) + " processes";
}

int main(int argc, char** argv) {
    multiprocessing::freeze_support();
    try {
        multiprocessing::mpi::serve();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "serve: %s\n", error.what());
        return 2;
    }
    return run_tests(argc, argv);
}
