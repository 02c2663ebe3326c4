// Sums the square roots below 2,000,000, eight times: one after the other, then on every core.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <vector>

namespace mp = multiprocessing;

double heavy_task(long n) {
    double sum = 0;
    for (long i = 1; i < n; ++i) sum += std::sqrt(static_cast<double>(i));
    return sum;
}

template <class Work>
double seconds_for(Work work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int main() {
    mp::freeze_support();
    mp::Pool pool;  // its workers start meanwhile
    const std::vector<long> limits(8, 2'000'000);
    std::vector<double> expected;
    std::vector<double> sums;

    const double sequential = seconds_for([&] {
        for (const long limit : limits) expected.push_back(heavy_task(limit));
    });
    const double parallel = seconds_for([&] { sums = pool.map(heavy_task, limits); });

    std::printf(
        "Sum of roots: %.6f\nSequential:   %.3fs\nParallel:     %.3fs\nSpeed-up:     %.2fx\n",
        sums[0], sequential, parallel, sequential / parallel);
    return sums == expected ? 0 : 1;
}
