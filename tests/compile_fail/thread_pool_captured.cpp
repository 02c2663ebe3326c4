// SPDX-License-Identifier: MIT
// EXPECT: mp::captured needs worker processes
#include <multiprocessing/pool.hpp>

int twice(int x) { return 2 * x; }

int main() {
    multiprocessing::ThreadPool pool(1);
    (void)pool.map(multiprocessing::captured(twice), {1, 2, 3});
}
