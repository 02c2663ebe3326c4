// SPDX-License-Identifier: MIT
// EXPECT: more arguments are given than the function has parameters
// EXPECT: ArgumentsDoNotFit<void ?\(\*\)\(int\),.*int, int>
#include <multiprocessing/process.hpp>

void work(int) {}

int main() { multiprocessing::Process process(work, 1, 2); }
