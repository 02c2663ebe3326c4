// The other file of the program. SPDX-License-Identifier: MIT
#include "tests/builds/use.hpp"

void use_spawn_and_forkserver();
mp::Queue<builds::Item> make_item();

void use_spawn_and_forkserver() {
    builds::use(mp::get_context<"spawn">());
    builds::use(mp::get_context<"forkserver">());
}

mp::Queue<builds::Item> make_item() {
    mp::Queue<builds::Item> queue;
    queue.put(builds::some_item());
    return queue;
}
