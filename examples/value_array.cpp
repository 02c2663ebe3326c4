// A number and an array in shared memory, which a child changes and the parent reads.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <fmt/ranges.h>

namespace mp = multiprocessing;

struct Point {
    double x, y;
};

void change(mp::Value<double> number, mp::Array<int> numbers, mp::Value<Point> point) {
    number.value = 3.25;
    for (auto n : numbers) n = -n;
    point->x += 10;
}

int main() {
    mp::freeze_support();
    mp::Value<double> number(0.0);
    mp::Array<int> numbers({1, 2, 3, 4, 5});
    mp::Value<Point> point({1.5, 2.5});

    mp::Process process(change, number, numbers, point);
    process.start();
    process.join();

    const double value = number.value;
    fmt::print("{}\n{}\n{} {}\n", value, numbers.to_vector(), point->x, point->y);
}
