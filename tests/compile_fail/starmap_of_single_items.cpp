// SPDX-License-Identifier: MIT
// EXPECT: starmap needs a range of tuples, pairs or arrays
// EXPECT: for a range of single items use map
#include <multiprocessing/pool.hpp>

#include <vector>

int square(int x) { return x * x; }

int main() {
    multiprocessing::Pool pool(1);
    (void)pool.starmap(square, std::vector<int>{1, 2, 3});
}
