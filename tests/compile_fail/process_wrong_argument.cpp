// SPDX-License-Identifier: MIT
// EXPECT: an argument cannot be converted to the type of the function's parameter
// EXPECT: ArgumentsDoNotFit<void ?\(\*\)\(int\)
#include <multiprocessing/process.hpp>

void work(int) {}

int main() { multiprocessing::Process process(work, "one"); }
