// Four processes count in memory that has no lock of its own, and so take one.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <mutex>
#include <vector>

namespace mp = multiprocessing;

void count(mp::RawValue<int> counter, mp::Lock lock) {
    for (int i = 0; i < 1000; ++i) {
        const std::scoped_lock guard(lock);
        counter.value += 1;
    }
}

int main() {
    mp::freeze_support();
    mp::RawValue<int> counter(0);
    mp::Lock lock;
    std::vector<mp::Process> processes;
    for (int i = 0; i < 4; ++i) processes.emplace_back(count, counter, lock);
    for (mp::Process& process : processes) process.start();
    for (mp::Process& process : processes) process.join();
    std::cout << counter.value << '\n';
}
