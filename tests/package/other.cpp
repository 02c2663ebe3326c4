// The other of the two files.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

namespace mp = multiprocessing;

void leave(int status);
int run_and_leave(int status);

void leave(int status) { mp::exit(status); }

int run_and_leave(int status) {
    mp::Process process(leave, status);
    process.start();
    process.join();
    return process.exitcode().value_or(-1);
}
