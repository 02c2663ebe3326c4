// SPDX-License-Identifier: MIT
// EXPECT: the start method is chosen at compile time
// EXPECT: mp::get_context<"spawn">\(\)
#include <multiprocessing/context.hpp>

int main(int, char** argv) {
    auto context = multiprocessing::get_context(argv[1]);
    return context.get_start_method() == "spawn" ? 0 : 1;
}
