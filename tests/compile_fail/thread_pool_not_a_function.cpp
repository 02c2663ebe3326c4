// SPDX-License-Identifier: MIT
// EXPECT: this is not a function
#include <multiprocessing/pool.hpp>

int main() {
    multiprocessing::ThreadPool pool(1);
    (void)pool.map(3, {1, 2});
}
