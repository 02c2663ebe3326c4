// SPDX-License-Identifier: MIT
// EXPECT: a dict's key of this type cannot be looked up
// EXPECT: Specialise std::hash for it
#include <multiprocessing/managers.hpp>

struct Padded {
    char letter;
    int number;
};

void make() { (void)multiprocessing::Manager().dict<Padded, int>(); }
