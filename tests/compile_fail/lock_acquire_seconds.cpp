// SPDX-License-Identifier: MIT
// EXPECT: write acquire\(true, seconds\)
#include <multiprocessing/synchronize.hpp>

int main() {
    multiprocessing::Lock lock;
    return lock.acquire(0.5) ? 0 : 1;
}
