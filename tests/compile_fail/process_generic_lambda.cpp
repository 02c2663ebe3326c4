// SPDX-License-Identifier: MIT
// EXPECT: the function cannot be called with these arguments
#include <multiprocessing/process.hpp>

int main() {
    multiprocessing::Process process([](auto a, auto b) { return a + b; }, 1);
}
