// A program of two files, which tests/builds/CMakeLists.txt compiles with different options and
// links in several ways. With an argument it keeps to fork, where a program cannot run itself anew.
// SPDX-License-Identifier: MIT
#include <cstdio>

#include "tests/builds/use.hpp"

void use_spawn_and_forkserver();      // other.cpp
mp::Queue<builds::Item> make_item();  // other.cpp

int main(int argc, char**) {
    mp::freeze_support();
    builds::expect(make_item().get() == builds::some_item(), "an item comes from the other file");
    builds::use(mp::get_context<"fork">());
    if (argc == 1) use_spawn_and_forkserver();
    std::puts("It works.");
}
