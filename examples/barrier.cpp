// Three processes work in two steps; none begins the second before all have done the first.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <fmt/ranges.h>

#include <vector>

namespace mp = multiprocessing;

void work(int index, mp::Barrier barrier, mp::Array<int> squares, mp::Array<int> sums) {
    squares[index] = index * index;
    barrier.wait();
    int sum = 0;
    for (const int square : squares) sum += square;
    sums[index] = sum;
}

int main() {
    mp::freeze_support();
    mp::Barrier barrier(3);
    mp::Array<int> squares(3), sums(3);
    std::vector<mp::Process> processes;
    for (int i = 0; i < 3; ++i) processes.emplace_back(work, i, barrier, squares, sums);
    for (mp::Process& process : processes) process.start();
    for (mp::Process& process : processes) process.join();
    fmt::print("{}\n{}\n", squares.to_vector(), sums.to_vector());
}
