// SPDX-License-Identifier: MIT
// EXPECT: an argument cannot be converted to the type of the function's parameter
// EXPECT: ArgumentsDoNotFit<int ?\(\*\)\(int\)
#include <multiprocessing/pool.hpp>

#include <string>
#include <vector>

int square(int x) { return x * x; }

int main() {
    multiprocessing::Pool pool(1);
    (void)pool.map(square, std::vector<std::string>{"1"});
}
