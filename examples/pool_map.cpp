// Squares some numbers, each in one of four worker processes.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <fmt/ranges.h>

#include <ranges>

namespace mp = multiprocessing;

int square(int x) { return x * x; }

int main() {
    mp::freeze_support();
    mp::Pool pool(4);
    fmt::print("{}\n", pool.map(square, std::views::iota(0, 10)));
    fmt::print("{}\n", pool.map(square, {30, 20, 10}));
    fmt::print("{}\n", pool.apply(square, 12));
}
