// SPDX-License-Identifier: MIT
// EXPECT: run.* (overrid|marked 'final')
// EXPECT: no copy of it in a spawned child: Process p\(Consumer\{fields...\}\)
#include <multiprocessing/process.hpp>

struct Mine : multiprocessing::SpawnProcess {
    void run() override {}
};

int main() { Mine().start(); }
