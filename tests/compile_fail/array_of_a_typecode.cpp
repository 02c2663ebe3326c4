// SPDX-License-Identifier: MIT
// EXPECT: deleted
// EXPECT: Array<double> a\(10\): the code is the type
#include <multiprocessing/sharedctypes.hpp>

int main() {
    multiprocessing::Array numbers("d", 10);
    return numbers.size() == 10 ? 0 : 1;
}
