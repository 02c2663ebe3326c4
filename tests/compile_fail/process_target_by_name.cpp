// SPDX-License-Identifier: MIT
// EXPECT: deleted
// EXPECT: no .target: Process p\(f, args...\)
#include <multiprocessing/process.hpp>

void work(int) {}

int main() { multiprocessing::Process process({.target = work, .args = {1}}); }
