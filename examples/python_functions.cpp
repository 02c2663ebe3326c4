// A program of Python that is ported one function at a time: the pool and `trend` are C++ already,
// `parse` and `judge` are still functions of Python. SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>
#include <multiprocessing/python.hpp>

#include <iostream>
#include <string>
#include <vector>

namespace mp = multiprocessing;

using Readings = std::vector<double>;

// Of the standard library, and of python_functions.py, which PYTHONPATH leads to.
const mp::python::function<Readings(std::string)> parse("json:loads");
const mp::python::function<double(Readings)> mean("statistics:fmean");
const mp::python::function<std::string(std::string, double)> judge("python_functions:judge");

std::string trend(const Readings& readings) {
    return readings.back() > readings.front() ? "rising" : "falling";
}

int main() {
    mp::freeze_support();
    mp::Pool pool(2);
    const auto stations = pool.map(parse, {"[12.5, 14, 17.5]", "[3, 2.5, 0.5, -2]", "[20, 25]"});
    const auto means = pool.map(mean, stations);
    for (std::size_t i = 0; i < stations.size(); ++i) {
        std::cout << pool.apply(judge, trend(stations[i]), means[i]) << '\n';
    }
    try {
        pool.apply(judge, "unknown", 0);
    } catch (const mp::KeyError& error) {
        std::cout << "KeyError: " << error.what() << '\n';
    }
}
