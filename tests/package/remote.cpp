// A program that uses the component remote.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <multiprocessing.hpp>
#include <multiprocessing/remote.hpp>

namespace mp = multiprocessing;

void answer(std::string address) {
    mp::Connection connection = mp::connection::Client(address, {.authkey = "key"});
    connection.send(connection.recv<int>() + 1);
}

int main() {
    mp::freeze_support();
    mp::connection::Listener listener({}, {.authkey = "key"});
    mp::Process process(answer, listener.address().path());
    process.start();
    mp::Connection connection = listener.accept();
    connection.send(42);
    const bool works = connection.recv<int>() == 43;
    process.join();
    std::puts(works ? "The component works." : "It answered something else.");
    return works ? 0 : 1;
}
