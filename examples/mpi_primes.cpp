// Counts the primes below 200,000 on all nodes of an MPI program: mpirun -n 3 mpi_primes
// SPDX-License-Identifier: MIT
#include <multiprocessing/mpi.hpp>

#include <algorithm>
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
    mp::mpi::serve();  // rank 0 goes on, the others run tasks
    std::vector<long> numbers(200'000);
    std::iota(numbers.begin(), numbers.end(), 0L);

    mp::mpi::Pool pool;
    const std::vector<bool> prime = pool.map(is_prime, numbers, 500);

    std::printf("Found primes: %td / %zu on %zu nodes\n",
                std::count(prime.begin(), prime.end(), true), prime.size(), pool.nodes().size());
}
