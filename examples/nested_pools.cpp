// A worker of a pool has a pool of its own.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <fmt/ranges.h>

#include <numeric>
#include <ranges>
#include <vector>

namespace mp = multiprocessing;

int square(int x) { return x * x; }

int sum_of_squares(int n) {
    mp::Pool pool(2);
    const std::vector<int> squares = pool.map(square, std::views::iota(1, n + 1));
    return std::accumulate(squares.begin(), squares.end(), 0);
}

int main() {
    mp::freeze_support();
    mp::Pool pool(2);
    fmt::print("{}\n", pool.map(sum_of_squares, {10, 20, 30}));
}
