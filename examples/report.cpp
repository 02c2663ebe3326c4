// Writes what a pool has done as a page for a browser: its timeline, its slowest tasks, and the
// worker that dies here on purpose. SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <csignal>
#include <iostream>
#include <numeric>
#include <ranges>
#include <vector>

namespace mp = multiprocessing;

/// Counts the primes in a part of the numbers. Later parts take longer.
struct CountPrimes {
    long size;
    mp::Value<int> crashes;

    long operator()(long part) const {
        if (part == 13 && crashes.value == 0) {
            crashes.value = 1;
            std::raise(SIGKILL);  // the first try ends here; the pool has another worker try again
        }
        long primes = 0;
        for (long n = part * size; n < (part + 1) * size; ++n) {
            bool is_prime = n > 1;
            for (long i = 2; is_prime && i * i <= n; ++i) is_prime = n % i != 0;
            primes += is_prime ? 1 : 0;
        }
        return primes;
    }
};

int main(int argc, char** argv) {
    mp::freeze_support();
    mp::Pool pool({.processes = 4, .retries = 1});
    const CountPrimes count{2'000, mp::Value<int>(0)};
    const std::vector<long> primes = pool.map(count, std::views::iota(0L, 40L), 1);
    std::cout << std::reduce(primes.begin(), primes.end()) << " primes\n";
    pool.report(argc > 1 ? argv[1] : "run.html");
}
