// SPDX-License-Identifier: MIT
// EXPECT: no std::ref: share a mp::Value, or pass a copy
#include <multiprocessing/process.hpp>

#include <functional>

void add(int& total, int x) { total += x; }

template <class... Args>
concept starts = requires(Args... args) { multiprocessing::Process(args...); };
static_assert(starts<void (*)(int&, int), int, int>);
static_assert(!starts<void (*)(int&, int), std::reference_wrapper<int>, int>);

int main() {
    int total = 0;
    if constexpr (starts<void (*)(int&, int), std::reference_wrapper<int>, int>) {
        multiprocessing::Process not_there(add, std::ref(total), 1);
    }
    multiprocessing::Process process(add, std::ref(total), 1);
}
