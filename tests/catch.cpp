// Catch2's own code, apart from main.cpp because it takes long to compile and never changes.
// SPDX-License-Identifier: MIT

// v2 puts its code in the one file that defines this. Its signal handlers stay out: a child that a
// test kills must die of the signal, not print Catch's report of it.
#define CATCH_CONFIG_RUNNER
#define CATCH_CONFIG_NO_POSIX_SIGNALS
#include "tests/catch.hpp"

int run_tests(int argc, char** argv);  // called by main.cpp

int run_tests(int argc, char** argv) { return Catch::Session().run(argc, argv); }
