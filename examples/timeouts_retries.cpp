// A task that is stuck is ended after its time limit; one whose worker dies is tried again.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <cstdlib>
#include <iostream>

namespace mp = multiprocessing;

void wait_for_ever(mp::Event event) { event.wait(); }

int succeed_at_third_try(mp::Value<int> tries) {
    tries.value += 1;
    if (tries.value < 3) std::abort();
    return 42;
}

int main() {
    mp::freeze_support();
    mp::Event never;
    mp::Value<int> tries(0);
    mp::Pool pool({.processes = 2, .task_timeout = 1, .retries = 2});

    const auto stuck = pool.apply_async(wait_for_ever, never);
    try {
        stuck.get(0.1);
    } catch (const mp::TimeoutError&) {
        std::cout << "no result after 0.1 seconds\n";
    }
    try {
        stuck.get();
    } catch (const mp::TimeoutError&) {
        std::cout << "stopped after a second\n";
    }
    std::cout << pool.apply(succeed_at_third_try, tries);
    std::cout << " after " << tries.value << " tries\n";
}
