// SPDX-License-Identifier: MIT
// EXPECT: fewer arguments are given than the function has parameters
// EXPECT: default arguments: write them, or pass a lambda
#include <multiprocessing/pool.hpp>

int power(int base, int exponent = 2) {
    return exponent == 0 ? 1 : base * power(base, exponent - 1);
}

bool run(multiprocessing::Pool& pool) { return pool.apply(power, 4) == 16; }
