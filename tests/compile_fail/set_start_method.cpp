// SPDX-License-Identifier: MIT
// EXPECT: there is no set_start_method: the start method is chosen at compile time
// EXPECT: -DMULTIPROCESSING_START_METHOD=spawn
#include <multiprocessing/context.hpp>

int main() { multiprocessing::set_start_method("spawn"); }
