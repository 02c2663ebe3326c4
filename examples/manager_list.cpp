// Processes fill one list, which has the methods of Python's.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <fmt/ranges.h>

#include <vector>

namespace mp = multiprocessing;

void append_multiples(int n, mp::ListProxy<int> list) {
    for (int i = 1; i <= 3; ++i) list.append(n * i);
}

int main() {
    mp::freeze_support();
    mp::Manager manager;
    auto list = manager.list<int>({1, 2});
    std::vector<mp::Process> processes;
    for (const int n : {10, 100}) processes.emplace_back(append_multiples, n, list);
    for (mp::Process& process : processes) process.start();
    for (mp::Process& process : processes) process.join();

    list.sort();
    fmt::print("{}\n", list.to_vector());
    list.reverse();
    list.pop();
    fmt::print("{} items, the last is {}\n", list.size(), static_cast<int>(list[-1]));
}
