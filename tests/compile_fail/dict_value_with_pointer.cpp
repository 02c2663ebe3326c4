// SPDX-License-Identifier: MIT
// EXPECT: this type cannot travel between processes, because a raw pointer
#include <multiprocessing/managers.hpp>

void make() { (void)multiprocessing::Manager().dict<int, const char*>(); }
