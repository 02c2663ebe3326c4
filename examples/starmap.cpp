// Calls a function of several parameters for each tuple of a list, or with some of them fixed.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <fmt/ranges.h>

#include <tuple>
#include <vector>

namespace mp = multiprocessing;

long power(long base, int exponent) {
    long product = 1;
    for (int i = 0; i < exponent; ++i) product *= base;
    return product;
}

int main() {
    mp::freeze_support();
    mp::Pool pool;
    const std::vector<std::tuple<long, int>> calls{{2, 10}, {3, 4}, {10, 3}};
    fmt::print("{}\n", pool.starmap(power, calls));
    fmt::print("{}\n", pool.map(mp::partial(power, 2), {1, 2, 3, 4}));
}
