// Children wait for an event. One that waits no longer than it wants to, finds it not set.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>

namespace mp = multiprocessing;

void wait_for(mp::Event event, mp::Value<int> started) {
    event.wait();
    started.value += 1;
}

int main() {
    mp::freeze_support();
    mp::Event event;
    mp::Value<int> started(0);
    mp::Process a(wait_for, event, started), b(wait_for, event, started);
    a.start(), b.start();

    std::cout << (event.wait(0.1) ? "set" : "not set") << '\n';
    std::cout << started.value << " have started\n";
    event.set();
    a.join(), b.join();
    std::cout << (event.is_set() ? "set" : "not set") << '\n';
    std::cout << started.value << " have started\n";
}
