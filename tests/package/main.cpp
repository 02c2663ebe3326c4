// One of two files that include the library and use the same parts of it: nothing may be defined
// twice, and each must find what it needs.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <multiprocessing.hpp>

namespace mp = multiprocessing;

void leave(int status);         // other.cpp
int run_and_leave(int status);  // other.cpp

int main() {
    mp::freeze_support();
    mp::Process process(leave, 42);
    process.start();
    process.join();
    if (process.exitcode() != 42 || run_and_leave(43) != 43) {
        std::puts("A child ended with another status than it was told.");
        return 1;
    }
    std::puts("The package works.");
}
