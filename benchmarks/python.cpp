// What functions of Python cost in the workers of a Pool. The twin measures Python's own Pool, and
// the queues of both libraries between two processes of Python. SPDX-License-Identifier: MIT
#include <multiprocessing/pool.hpp>
#include <multiprocessing/python.hpp>
#include <multiprocessing/start_method/freeze_support.hpp>

#include <cstdint>
#include <cstdio>
#include <numeric>
#include <vector>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;
using measure::nanoseconds_for;
using measure::ours;

int main(int argc, char** argv) {
    mp::freeze_support();
    const measure::Run run(argc, argv);
    // PYTHONPATH leads to the module, see side_by_side.py.
    const mp::python::function<std::int64_t(std::int64_t)> square("tasks:square");
    try {
        mp::Pool pool(2, mp::python::import, "tasks");
        std::vector<std::int64_t> numbers(100'000);
        std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
        const auto map = [&] {
            return nanoseconds_for(numbers.size(),
                                   [&] { static_cast<void>(pool.map(square, numbers, 1'000)); });
        };
        constexpr int calls = 2'000;
        const auto apply = [&] {
            return nanoseconds_for(calls, [&] {
                for (int i = 0; i < calls; ++i) static_cast<void>(pool.apply(square, i));
            });
        };
        map();  // the first call of each worker makes its interpreter
        run.take_turns("python/map", 8, {{ours, map}});
        run.take_turns("python/apply", 8, {{ours, apply}});
    } catch (const mp::RuntimeError& error) {
        std::fprintf(stderr, "Not measured: %s\n", error.what());
    }
}
