// Counts the primes among 10,000,000 … 10,000,049, every core testing some.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <vector>

namespace mp = multiprocessing;

bool is_prime(long n) {
    if (n < 2) return false;
    for (long divisor = 2; divisor * divisor <= n; ++divisor) {
        if (n % divisor == 0) return false;
    }
    return true;
}

int main() {
    mp::freeze_support();
    std::vector<long> numbers(50);
    std::iota(numbers.begin(), numbers.end(), 10'000'000L);

    const auto start = std::chrono::steady_clock::now();
    mp::Pool pool;
    const std::vector<bool> prime = pool.map(is_prime, numbers);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;

    std::printf("Found primes: %td / %zu in %.2fs\n", std::count(prime.begin(), prime.end(), true),
                prime.size(), seconds.count());
}
