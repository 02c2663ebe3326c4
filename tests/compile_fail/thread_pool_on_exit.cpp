// SPDX-License-Identifier: MIT
// EXPECT: on_exit needs worker processes
#include <multiprocessing/pool.hpp>

void say_goodbye() {}

int main() {
    multiprocessing::ThreadPool pool(1);
    pool.on_exit(say_goodbye);
}
