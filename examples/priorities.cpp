// Calls with a higher priority go first; a bound to the calls that wait keeps a producer in step.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <string>

namespace mp = multiprocessing;

std::string work(mp::Event start, const std::string& name) {
    start.wait();
    return name;
}

int main() {
    mp::freeze_support();
    mp::Event start;
    const auto print = [](const std::string& name) { std::cout << name << '\n'; };
    mp::Pool pool({.processes = 1, .max_pending = 3});

    pool.apply_async({.callback = print, .priority = 9}, work, start, "under way");
    pool.apply_async({.callback = print}, work, start, "a report");
    pool.apply_async({.callback = print, .priority = -1}, work, start, "a clean-up");
    pool.apply_async({.callback = print, .priority = 1}, work, start, "a question");
    try {
        while (true) pool.apply_async({.submit_timeout = 0.1}, work, start, "one too many");
    } catch (const mp::Full&) {
        std::cout << "three are waiting\n";
    }
    start.set();
    pool.close();
    pool.join();
}
