// SPDX-License-Identifier: MIT
// EXPECT: a text stands where the function is expected
// EXPECT: name = "worker"
#include <multiprocessing/process.hpp>

void work() {}

int main() { multiprocessing::Process process("worker", work); }
