// SPDX-License-Identifier: MIT
// EXPECT: A std::atomic is not needed: each access of a Value is one step
#include <multiprocessing/sharedctypes.hpp>

#include <atomic>

int main() { multiprocessing::Value<std::atomic<int>> count(0); }
