// A program that is linked to a shared library, both of which use the library: they share one
// state. SPDX-License-Identifier: MIT
#include <cstdio>

#include "tests/builds/use.hpp"

extern "C" void use_library();

int main() {
    mp::freeze_support();
    // In two rounds: what one has started and ended must not be in the other's way.
    for (int round = 0; round < 2; ++round) {
        use_library();
        builds::use(mp::get_context<"forkserver">());
    }
    std::puts("It works.");
}
