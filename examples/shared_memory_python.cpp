// A C++ and a Python program share memory by its name: each reads and changes what the other made.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <cstdlib>
#include <iostream>
#include <string>

namespace mp = multiprocessing;

const std::string in_python = R"(
import sys
from multiprocessing import resource_tracker, shared_memory

items = shared_memory.ShareableList(name=sys.argv[1])
print("Python finds", *items)
items[0] *= 2

block = shared_memory.SharedMemory(create=True, size=3)
block.buf[:] = bytes([1, 2, 3])
items[1] = block.name
for name in items.shm.name, block.name:  # else Python removes them at its end (gh-82300)
    resource_tracker.unregister("/" + name, "shared_memory")
)";

int main() {
    mp::freeze_support();
    mp::shared_memory::ShareableList items({21, "place for a name"});
    const std::string command = "python3 -c '" + in_python + "' " + items.shm().name();
    const int status = std::system(command.c_str());

    const mp::shared_memory::SharedMemory block({.name = items[1]});
    std::cout << "C++ finds " << items.get<int>(0);
    for (const std::byte byte : block.buf()) std::cout << ' ' << std::to_integer<int>(byte);
    std::cout << '\n';
    block.unlink();
    items.shm().unlink();
    return status;
}
