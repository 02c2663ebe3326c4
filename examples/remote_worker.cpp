// Workers in C++ take tasks from a queue of a program in Python, and put their results into
// another. SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>
#include <multiprocessing/remote.hpp>

#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace mp = multiprocessing;

const std::string in_python = R"(
import queue
from multiprocessing.managers import BaseManager

class Office(BaseManager):
    pass

tasks, results = queue.Queue(), queue.Queue()
Office.register("tasks", callable=lambda: tasks)
Office.register("results", callable=lambda: results)
for n in list(range(1, 7)) + [None, None]:
    tasks.put(n)
server = Office(authkey=b"secret").get_server()
print(server.address, flush=True)
server.serve_forever()
)";

void work(const std::string& address) {
    mp::BaseManager office(address, {.authkey = "secret"});
    office.connect();
    const auto tasks = office.get<mp::RemoteQueue<std::optional<long>>>("tasks");
    const auto results = office.get<mp::RemoteQueue<std::pair<long, long>>>("results");
    while (const auto n = tasks.get()) results.put({*n, *n * *n});  // None ends it
}

int main() {
    mp::freeze_support();
    std::FILE* const python = ::popen(("python3 -c '" + in_python + "'").c_str(), "r");
    char line[200];
    if (std::fgets(line, sizeof line, python) == nullptr) return 1;
    std::string address(line);
    address.pop_back();  // the end of the line

    mp::Process a(work, address), b(work, address);
    a.start(), b.start();
    a.join(), b.join();

    mp::BaseManager office(address, {.authkey = "secret"});
    office.connect();
    {
        const auto results = office.get<mp::RemoteQueue<std::pair<long, long>>>("results");
        std::map<long, long> squares;
        while (const auto result = results.try_get()) squares.insert(*result);
        for (const auto& [n, square] : squares) {
            std::cout << n << " times " << n << " is " << square << '\n';
        }
    }
    office.shutdown();  // the server in Python
    ::pclose(python);
}
