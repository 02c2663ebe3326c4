// SPDX-License-Identifier: MIT
// EXPECT: run.* (overrid|marked 'final')
// EXPECT: A spawned child has no copy of the object: pass it a function
#include <multiprocessing/process.hpp>

struct Mine : multiprocessing::SpawnProcess {
    void run() override {}
};

int main() { Mine().start(); }
