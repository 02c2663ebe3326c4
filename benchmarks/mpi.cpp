// mpi::Pool on rank 0 and two nodes of one worker each, beside mpi4py.futures on as many ranks.
// SPDX-License-Identifier: MIT

#include <multiprocessing/mpi.hpp>
#include <string>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;

namespace {

int square(int x) { return static_cast<int>(static_cast<unsigned>(x) * static_cast<unsigned>(x)); }

double map_by(mp::mpi::Pool& pool, std::size_t chunk_size, int count) {
    const std::vector<int> numbers = measure::numbers(count);
    return measure::nanoseconds_for(count, [&] { pool.map(square, numbers, chunk_size); });
}

double apply(mp::mpi::Pool& pool) {
    return measure::nanoseconds_for(100, [&] {
        for (int number = 0; number < 100; ++number) pool.apply(square, number);
    });
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support();
    mp::mpi::serve();
    const measure::Run run(argc, argv);
    mp::mpi::Pool pool({.processes = 1});
    map_by(pool, 1, 1000);
    run.take_turns("mpi/map by 1", 12, {{measure::ours, [&] { return map_by(pool, 1, 2000); }}});
    run.take_turns("mpi/map by 1000", 12,
                   {{measure::ours, [&] { return map_by(pool, 1000, 200'000); }}});
    run.take_turns("mpi/apply", 12, {{measure::ours, [&] { return apply(pool); }}});
}
