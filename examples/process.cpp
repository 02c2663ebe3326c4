// Runs a function in a process of its own, waits for it, and sees how it ended.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <string>

namespace mp = multiprocessing;

void greet(const std::string& name) {
    std::cout << mp::current_process().name() << ": hello " << name << '\n';
}

int main() {
    mp::freeze_support();
    mp::Process process({.name = "greeter"}, greet, "bob");
    process.start();
    process.join();
    std::cout << process.name() << " ended with " << process.exitcode().value() << '\n';
}
