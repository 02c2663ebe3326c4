// A task that throws is tried again after a delay, which grows; other tasks run meanwhile.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <stdexcept>
#include <string>

namespace mp = multiprocessing;

struct Busy : std::runtime_error {
    using std::runtime_error::runtime_error;
};

std::string fetch(const std::string& name) {
    if (name != "apples" && mp::this_task::attempt() < 3) throw Busy("come back later");
    return name + " at try " + std::to_string(mp::this_task::attempt());
}

int main() {
    mp::freeze_support();
    mp::Pool pool({.processes = 2,
                   .retries = 4,
                   .retry_on = mp::retry_on<Busy>(),
                   .retry_delay = 0.05,
                   .retry_backoff = 2});
    for (const auto& line : pool.map(fetch, {"apples", "pears", "plums"}, 1)) {
        std::cout << line << '\n';
    }
}
