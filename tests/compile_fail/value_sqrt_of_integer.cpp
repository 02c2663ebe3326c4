// An integer's value converts to each floating-point type alike, and only the compiler has a say.
// SPDX-License-Identifier: MIT
// EXPECT: sqrt.*is ambiguous
// EXPECT: std::sqrt\(count.value\)
#include <cmath>

#include <multiprocessing/sharedctypes.hpp>

double root(const multiprocessing::Value<int>& count) { return std::sqrt(count.value); }
