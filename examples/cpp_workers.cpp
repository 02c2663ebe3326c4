// A program of Python whose workers are processes of C++: python/cpp_workers_main.py starts some of
// these, which take ranges of numbers from one queue and put what they find there into another.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>
#include <multiprocessing/python.hpp>

#include <algorithm>
#include <tuple>
#include <utility>

namespace mp = multiprocessing;

using Objects = mp::Queue<mp::pickle::object>;  // whatever Python puts in

// How many steps n takes to 1: an even number is halved, an odd one is tripled, and one added.
int steps(long n) {
    int count = 0;
    for (; n != 1; ++count) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return count;
}

int main() {
    mp::freeze_support();
    const mp::python::Arguments arguments;  // as the program of Python has given them
    const auto tasks = arguments.get<Objects>(0);
    const auto results = arguments.get<Objects>(1);
    auto done = arguments.get<mp::Value<int>>(2);

    for (auto task = tasks.get(); !task.is_none(); task = tasks.get()) {  // None: the end
        const auto [begin, end] = task.get<std::pair<long, long>>();
        std::pair best(0, begin);
        for (long n = begin; n < end; ++n) best = std::max(best, std::pair(steps(n), n));
        done.value += 1;
        results.put(std::tuple(begin, end, best.second, best.first));
    }
}
