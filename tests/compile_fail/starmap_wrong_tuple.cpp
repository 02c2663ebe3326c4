// SPDX-License-Identifier: MIT
// EXPECT: fewer arguments are given than the function has parameters
// EXPECT: ArgumentsDoNotFit<int ?\(\*\)\(int, int, int\)
#include <multiprocessing/pool.hpp>

#include <utility>
#include <vector>

int sum(int a, int b, int c) { return a + b + c; }

int main() {
    multiprocessing::Pool pool(1);
    (void)pool.starmap(sum, std::vector<std::pair<int, int>>{{1, 2}});
}
