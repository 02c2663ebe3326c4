// SPDX-License-Identifier: MIT
// EXPECT: deleted
// EXPECT: give it one function: f<int> of a template, or a cast
#include <multiprocessing/futures.hpp>

int twice(int x) { return 2 * x; }
double twice(double x) { return 2 * x; }

void run(multiprocessing::ProcessPoolExecutor& executor) { executor.submit(twice, 1); }
