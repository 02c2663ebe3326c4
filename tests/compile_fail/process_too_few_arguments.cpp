// SPDX-License-Identifier: MIT
// EXPECT: fewer arguments are given than the function has parameters
// EXPECT: ArgumentsDoNotFit<void ?\(\*\)\(int, double\)
#include <multiprocessing/process.hpp>

void work(int, double) {}

int main() { multiprocessing::Process process(work, 1); }
