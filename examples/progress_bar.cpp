// Shows how far a pool is: a bar on a terminal, plain lines elsewhere, both on standard error.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <algorithm>
#include <iostream>
#include <ranges>

namespace mp = multiprocessing;

/// Counts the steps from n to 1: halve what is even, triple and add one to what is odd.
int collatz_steps(long n) {
    int steps = 0;
    for (; n != 1; ++steps) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return steps;
}

int main() {
    mp::freeze_support();
    mp::Pool pool(2);
    int longest = 0;
    const auto numbers = std::views::iota(1L, 10'001L);
    for (const int steps : mp::progress(pool.imap_unordered(collatz_steps, numbers, 100),
                                        {.total = 10'000, .desc = "collatz"})) {
        longest = std::max(longest, steps);
    }
    std::cout << longest << " steps at most\n";
}
