// Sums the numbers below 4,000,000 in four processes, each of which leaves its share in an Array.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <fmt/ranges.h>

#include <numeric>
#include <vector>

namespace mp = multiprocessing;

void sum_share(int index, mp::Array<long> sums) {
    long sum = 0;
    for (long n = index * 1'000'000L; n < (index + 1) * 1'000'000L; ++n) sum += n;
    sums[index] = sum;
}

int main() {
    mp::freeze_support();
    mp::Array<long> sums(4);
    std::vector<mp::Process> processes;
    for (int i = 0; i < 4; ++i) processes.emplace_back(sum_share, i, sums);
    for (mp::Process& process : processes) process.start();
    for (mp::Process& process : processes) process.join();

    const std::vector<long> shares = sums.to_vector();
    fmt::print("{}\n", shares);
    fmt::print("{}\n", std::accumulate(shares.begin(), shares.end(), 0L));
}
