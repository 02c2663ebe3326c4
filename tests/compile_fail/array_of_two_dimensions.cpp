// SPDX-License-Identifier: MIT
// EXPECT: deleted
// EXPECT: one dimension: Array<double> a\(rows \* columns\)
#include <multiprocessing/sharedctypes.hpp>

int main() { multiprocessing::Array<double> matrix(2, 3); }
