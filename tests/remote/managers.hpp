// What the tests of remote managers share: objects for a server, and a manager with them.
// SPDX-License-Identifier: MIT
#pragma once

#include <multiprocessing/remote.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/remote/support.hpp"

namespace support {

/// A type of a program's own. It is not made for threads.
class Adder {
  public:
    explicit Adder(double sum) : sum_(sum) {}
    double add(double x) { return sum_ += x; }
    [[nodiscard]] double sum() const { return sum_; }
    void fail(const std::string& type, const std::string& text) {
        if (type == "ValueError") throw mp::ValueError(text);
        if (type == "KeyError") throw mp::KeyError(text);
        if (type == "IndexError") throw mp::IndexError(text);
        if (type == "TypeError") throw mp::TypeError(text);
        if (type == "Empty") throw mp::Empty();
        if (type == "OSError") throw std::system_error(ENOENT, std::generic_category(), text);
        if (type == "ZeroDivisionError") throw mp::RemoteError(type, text, "test", 0);
        throw std::runtime_error(text);
    }
    [[nodiscard]] std::vector<int> numbers(int n) const {
        return std::vector<int>(std::size_t(n), 7);
    }

  private:
    double sum_;
};

/// The same, as Python code.
constexpr const char* adder_in_python = R"(
import queue
class Strange(Exception): pass
class Adder:
    def __init__(self, sum): self._sum = sum
    def add(self, x):
        self._sum += x
        return self._sum
    def sum(self): return self._sum
    def fail(self, type, text):
        if type == 'Empty': raise queue.Empty
        if type == 'Strange': raise Strange(text)
        if type == 'OSError': raise OSError(2, text)
        raise {'ValueError': ValueError, 'KeyError': KeyError, 'IndexError': IndexError,
               'TypeError': TypeError, 'ZeroDivisionError': ZeroDivisionError}[type](text)
    def numbers(self, n): return [7] * n
)";

/// Registers Adder; and get_queue, a queue of the program's.
inline void register_all(mp::BaseManager& manager,
                         const mp::Queue<std::string>& queue = mp::Queue<std::string>()) {
    manager.register_type<Adder>("Adder", {{"add", &Adder::add},
                                           {"sum", &Adder::sum},
                                           {"fail", &Adder::fail},
                                           {"numbers", &Adder::numbers}});
    manager.register_function("get_queue", [queue] { return queue; });
}

/// Where servers listen in the tests.
inline std::vector<Address> server_addresses() { return {Address(), Address("127.0.0.1", 0)}; }

/// Returns an address as the arguments of a Python program, and what makes Python's of it.
inline std::vector<std::string> python_arguments(const Address& address) {
    if (address.is_tcp()) return {address.host(), std::to_string(address.port())};
    return {address.path()};
}
constexpr const char* python_prelude = R"(
import os, queue, threading, time
from multiprocessing import process
from multiprocessing.managers import BaseManager, SyncManager, RemoteError
address = arguments[0] if len(arguments) == 1 else (arguments[0], int(arguments[1]))
process.current_process().authkey = b'secret'
)";

/// A Python program that is given the address of a manager's server.
class ManagerClient : public PythonProgram {
  public:
    ManagerClient(const std::string& python, const std::string& script, const Address& address)
        : PythonProgram(python, python_prelude + script, python_arguments(address)) {}
};

/// A manager's server in Python. It prints its address, and serves.
class PythonServer : public PythonProgram {
  public:
    PythonServer(const std::string& python, const std::string& script, bool tcp)
        : PythonProgram(python,
                        std::string(script) + "\nserver = manager.get_server()\n"
                                              "say_address(server.address)\n"
                                              "server.serve_forever()\n",
                        {tcp ? "tcp" : "unix"}),
          address_(address_in(line())) {}
    [[nodiscard]] const Address& address() const { return address_; }

  private:
    Address address_;
};

}  // namespace support

using support::Adder;
using support::ManagerClient;
using support::PythonServer;
