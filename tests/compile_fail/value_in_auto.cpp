// SPDX-License-Identifier: MIT
// EXPECT: to read it: int x = v.value; without auto
#include <multiprocessing/sharedctypes.hpp>

int read(const multiprocessing::Value<int>& value) {
    auto x = value.value;
    return x;
}
