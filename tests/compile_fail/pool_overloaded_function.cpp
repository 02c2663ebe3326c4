// SPDX-License-Identifier: MIT
// EXPECT: deleted
// EXPECT: give it one function \(f<int> of a template\) and a range
#include <multiprocessing/pool.hpp>

#include <vector>

int twice(int x) { return 2 * x; }
double twice(double x) { return 2 * x; }

void run(multiprocessing::Pool& pool, const std::vector<int>& numbers) { pool.map(twice, numbers); }
