// SPDX-License-Identifier: MIT
// EXPECT: no std::ref: share a mp::Value, or pass a copy
#include <multiprocessing/process.hpp>

#include <functional>

void add(int& total, int x) { total += x; }

int main() {
    int total = 0;
    multiprocessing::Process process(add, std::ref(total), 1);
}
