// What a child sees of the parent's globals: a forked one has a copy, the others start anew.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>

namespace mp = multiprocessing;

int setting = 1;

void show(int argument) {
    std::cout << "the global is " << setting << ", the argument " << argument << '\n';
}

template <class Context>
void run(Context context) {
    std::cout << context.get_start_method() << ": " << std::flush;  // before the child prints
    auto process = context.Process(show, 3);
    process.start();
    process.join();
}

int main() {
    mp::freeze_support();
    setting = 2;
    run(mp::get_context<"fork">());
    run(mp::get_context<"spawn">());
    run(mp::get_context<"forkserver">());
}
