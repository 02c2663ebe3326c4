// SPDX-License-Identifier: MIT
// EXPECT: a lambda with captures cannot be called in another process
// EXPECT: Process under the start method fork does accept it
#include <multiprocessing/process.hpp>

int main() {
    const int code = static_cast<int>(::getpid());
    multiprocessing::SpawnProcess process([code] { multiprocessing::exit(code); });
}
