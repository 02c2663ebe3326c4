// A task that leaks is replaced in time, and one that takes too much is ended before the machine
// is. SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <vector>

namespace mp = multiprocessing;

constexpr std::size_t mib = 1 << 20;
std::vector<std::vector<char>> kept;  // by a worker, for as long as it lives

std::size_t leak(int megabytes) {
    for (int i = 0; i < megabytes; ++i) kept.emplace_back(mib, 'x');
    return kept.size();
}

int main() {
    mp::freeze_support();
    mp::Pool pool({.processes = 1, .max_memory_per_child = 100 * mib, .memory_limit = 200 * mib});
    for (const std::size_t megabytes : pool.map(leak, {40, 40, 40, 40, 40}, 1)) {
        std::cout << megabytes << " MiB\n";
    }
    try {
        pool.apply(leak, 100'000);
    } catch (const mp::WorkerLost& error) {
        if (error.reason() == mp::LossReason::memory) std::cout << "it took too much\n";
    }
    std::cout << pool.apply(leak, 1) << " MiB\n";
}
