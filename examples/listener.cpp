// Ten processes connect to a listener, as programs in Python or on other machines could; each asks
// for a square.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>
#include <multiprocessing/remote.hpp>

#include <iostream>
#include <string>
#include <vector>

namespace mp = multiprocessing;

void ask(std::string address, int number) {
    mp::Connection connection = mp::connection::Client(address, {.authkey = "secret"});
    connection.send(number);
    if (connection.recv<int>() != number * number) mp::exit(1);
}

int main() {
    mp::freeze_support();
    mp::connection::Listener listener({}, {.authkey = "secret", .backlog = 10});
    std::vector<mp::Process> clients;
    for (int i = 0; i < 10; ++i) clients.emplace_back(ask, listener.address().path(), i);
    for (mp::Process& client : clients) client.start();
    int total = 0;
    for (int i = 0; i < 10; ++i) {
        mp::Connection connection = listener.accept();
        const int number = connection.recv<int>();
        connection.send(number * number);
        total += number;
    }
    for (mp::Process& client : clients) client.join();
    std::cout << "the ten clients had the numbers from 0 to 9: " << std::boolalpha << (total == 45)
              << '\n';
    for (const mp::Process& client : clients) std::cout << *client.exitcode() << ' ';
    std::cout << '\n';
}
