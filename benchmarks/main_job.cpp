// What starting a process and mapping a function cost, each beside the raw system calls that it
// cannot do without, in one run: the two alternate, and the table shows medians and their ratio.
#include <multiprocessing.hpp>

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

extern "C" char** environ;

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;

namespace {

void nothing() {}
int square(int x) { return x * x; }
double heavy_task(long n) {
    double sum = 0;
    for (long i = 1; i < n; ++i) sum += std::sqrt(static_cast<double>(i));
    return sum;
}

/// Runs both alternately and prints a row.
template <class Ours, class Raw>
void compare(const char* work, const char* raw_name, double goal, int rounds, Ours ours, Raw raw) {
    const measure::Comparison times = measure::alternate(
        rounds, [&] { return measure::microseconds_for(ours); },
        [&] { return measure::microseconds_for(raw); });
    std::printf("%-44s %10.1f µs   %-28s %10.1f µs   %5.2f × (goal ≤ %.2f)\n", work, times.ours,
                raw_name, times.theirs, times.ratio(), goal);
}

void raw_fork() {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    ::waitpid(pid, nullptr, 0);
}

void raw_spawn() {
    char program[] = "/bin/true";
    char* const arguments[] = {program, nullptr};
    pid_t pid = 0;
    if (::posix_spawn(&pid, program, nullptr, nullptr, arguments, environ) != 0) std::abort();
    ::waitpid(pid, nullptr, 0);
}

template <class Method>
void start_and_join() {
    mp::BasicProcess<Method> process(nothing);
    process.start();
    process.join();
}

void bench_starts() {
    using mp::start_method::fork;
    using mp::start_method::spawn;
    compare("Process start + join, fork", "fork + _exit + waitpid", 1.3, 1000, start_and_join<fork>,
            raw_fork);
    compare("Process start + join, spawn", "posix_spawn of true", 2.0, 200, start_and_join<spawn>,
            raw_spawn);
    std::vector<double> small;
    for (int i = 0; i < 200; ++i) small.push_back(measure::microseconds_for(start_and_join<spawn>));
    const std::size_t gibibyte = std::size_t{1} << 30;
    void* const memory = std::malloc(gibibyte);
    std::memset(memory, 1, gibibyte);
    std::vector<double> large;
    for (int i = 0; i < 200; ++i) large.push_back(measure::microseconds_for(start_and_join<spawn>));
    std::free(memory);
    std::printf("%-44s %10.1f µs   %-28s %10.1f µs   %5.2f × (goal: flat)\n",
                "… with 1 GiB in the parent, spawn", measure::median(large), "the same without",
                measure::median(small), measure::median(large) / measure::median(small));
    compare(
        "Pool(2), create + terminate", "two of fork + _exit + waitpid", 2.0, 200,
        [] { mp::Pool pool(2); },
        [] {
            raw_fork();
            raw_fork();
        });
}

void bench_map() {
    mp::Pool pool(2);
    constexpr int items = 20'000;
    std::vector<int> numbers(items);
    for (int i = 0; i < items; ++i) numbers[static_cast<std::size_t>(i)] = i;
    std::vector<double> single;
    std::vector<double> chunks;
    std::vector<double> apply;
    for (int round = 0; round < 100; ++round) {
        single.push_back(measure::microseconds_for([&] { pool.map(square, numbers, 1); }) / items);
        chunks.push_back(measure::microseconds_for([&] { pool.map(square, numbers); }) / items);
        apply.push_back(measure::microseconds_for([&] {
                            for (int i = 0; i < 200; ++i) pool.apply(square, i);
                        }) /
                        200);
    }
    std::printf("%-44s %10.3f µs   (goal ≤ 1; Python 14.4)\n",
                "Pool.map of x*x, chunksize 1, a task", measure::median(single));
    std::printf("%-44s %10.4f µs   (goal ≤ 0.01; Python 0.16)\n",
                "Pool.map of x*x, default chunks, an item", measure::median(chunks));
    std::printf("%-44s %10.2f µs   (goal ≤ 2; Python 325)\n", "Pool.apply, round trip",
                measure::median(apply));
}

void bench_speed_up() {
    mp::Pool pool;
    const std::vector<long> limits(8, 2'000'000);
    std::vector<double> sequential;
    std::vector<double> parallel;
    for (int round = 0; round < 15; ++round) {
        sequential.push_back(measure::microseconds_for([&] {
            for (const long limit : limits) {
                volatile double sum = heavy_task(limit);
                (void)sum;
            }
        }));
        parallel.push_back(measure::microseconds_for([&] { pool.map(heavy_task, limits); }));
    }
    std::printf("%-44s %10.2f ×    on %d cores (goal ≥ 1.9 on 2)\n", "speed-up of the sqrt example",
                measure::median(sequential) / measure::median(parallel), mp::process_cpu_count());
}

}  // namespace

int main() {
    mp::freeze_support();
    bench_starts();
    bench_map();
    bench_speed_up();
}
