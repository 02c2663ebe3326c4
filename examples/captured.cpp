// Shows what each task has printed beside its result, or beside its error.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <fmt/format.h>

#include <iostream>
#include <stdexcept>

namespace mp = multiprocessing;

int simulate(int seed) {
    std::cout << "seed " << seed << "\n";
    if (seed == 3) throw std::domain_error("it does not converge");
    std::cout << "converged after " << 10 * seed << " steps\n";
    return seed * seed;
}

int main() {
    mp::freeze_support();
    mp::Pool pool(2);
    for (const auto& call : pool.map(mp::captured(simulate), {1, 2, 3, 4})) {
        try {
            fmt::print("result {}\n", call.result());
        } catch (const std::domain_error& error) {
            fmt::print("error: {}\n", error.what());
        }
        fmt::print("{}", call.output());
    }
}
