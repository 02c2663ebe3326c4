// SPDX-License-Identifier: MIT
// EXPECT: deleted
// EXPECT: Value<int> v\(0\), or Value<mp::typecode<'i'>>
#include <multiprocessing/sharedctypes.hpp>

int main() {
    multiprocessing::Value count("i", 0);
    return count.value == 0 ? 0 : 1;
}
