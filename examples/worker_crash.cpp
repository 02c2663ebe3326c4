// A worker that crashes fails the task that it was running, and no other; the pool replaces it.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <cstdlib>
#include <iostream>
#include <vector>

namespace mp = multiprocessing;

int divide_twelve(int n) {
    if (n == 0) std::abort();  // the whole process ends here
    return 12 / n;
}

int main() {
    mp::freeze_support();
    mp::Pool pool(2);
    std::vector<mp::AsyncResult<int>> results;
    for (const int n : {1, 0, 3}) results.push_back(pool.apply_async(divide_twelve, n));
    for (const auto& result : results) {
        try {
            std::cout << result.get() << '\n';
        } catch (const mp::WorkerLost& error) {
            std::cout << "the worker died of signal " << -error.exitcode() << '\n';
        }
    }
    std::cout << "the pool goes on: " << pool.apply(divide_twelve, 4) << '\n';
}
