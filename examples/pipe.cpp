// Asks a child over a pipe; the child answers until it is asked for nothing.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace mp = multiprocessing;

void answer(mp::Connection connection) {
    while (true) {
        const auto numbers = connection.recv<std::vector<int>>();
        if (numbers.empty()) break;
        int sum = 0;
        for (const int n : numbers) sum += n;
        connection.send(std::to_string(sum) + " in all");
    }
}

int main() {
    mp::freeze_support();
    auto [here, there] = mp::Pipe();
    mp::Process process(answer, std::move(there));
    process.start();
    here.send(std::vector{1, 2, 3});
    std::cout << here.recv<std::string>() << '\n';
    here.send(std::vector{40, 2});
    std::cout << here.recv<std::string>() << '\n';
    here.send(std::vector<int>{});
    process.join();
}
