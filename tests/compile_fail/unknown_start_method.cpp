// SPDX-License-Identifier: MIT
// EXPECT: get_context: there is no start method of this name
// EXPECT: the start methods are .*fork.*spawn.*forkserver
// EXPECT: thread|116, 104, 114, 101, 97, 100
#include <multiprocessing/context.hpp>

int main() { (void)multiprocessing::get_context<"thread">(); }
