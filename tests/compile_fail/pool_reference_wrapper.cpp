// SPDX-License-Identifier: MIT
// EXPECT: a raw pointer, reference, string_view or span means nothing in another process
#include <multiprocessing/pool.hpp>

#include <functional>

int next(int x) { return x + 1; }
int call(std::reference_wrapper<int> x) { return x; }

int run(multiprocessing::Pool& pool, int& x) { return pool.apply(call, std::ref(x)); }
