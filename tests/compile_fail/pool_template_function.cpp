// SPDX-License-Identifier: MIT
// EXPECT: deleted
// EXPECT: give it one function: f<int> of a template, or a cast
#include <multiprocessing/pool.hpp>

template <class T>
T twice(T x) {
    return 2 * x;
}

void run(multiprocessing::Pool& pool) { pool.apply(twice, 1); }
