// SPDX-License-Identifier: MIT
// EXPECT: this is not a function: a function, a lambda without captures
#include <multiprocessing/pool.hpp>

int main() {
    multiprocessing::Pool pool(1);
    pool.apply(42);
}
