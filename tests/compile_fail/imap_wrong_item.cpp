// SPDX-License-Identifier: MIT
// EXPECT: an argument cannot be converted to the type of the function's parameter
#include <multiprocessing/pool.hpp>

#include <string>
#include <vector>

int twice(int x) { return 2 * x; }

int main() {
    multiprocessing::Pool pool(1);
    (void)pool.imap(twice, std::vector<std::string>{"a"});
}
