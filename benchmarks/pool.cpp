// What a pool costs, beside the raw system calls that it cannot do without, beside threads, and
// how that changes with the chunk size, the number of workers and the number of items.
#include <multiprocessing/pool.hpp>
#include <multiprocessing/start_method/freeze_support.hpp>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;
using measure::nanoseconds_for;
using measure::ours;

namespace {

int square(int x) { return x * x; }
int low_bits(int x) { return x & 7; }
int sleep_on(int) {
    for (;;) ::pause();
}
double work_for(int microseconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(microseconds);
    double sum = 0;
    while (std::chrono::steady_clock::now() < end) sum += 1;
    return sum;
}
double sum_of_roots(long n) {
    double sum = 0;
    for (long i = 1; i < n; ++i) sum += std::sqrt(static_cast<double>(i));
    return sum;
}

/// Another process that answers each change of a word with one of its own, both asleep in between.
class FutexPingPong {
  public:
    FutexPingPong()
        : words_(static_cast<mp::detail::FutexWord*>(
              ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))),
          pid_(::fork()) {
        if (pid_ == 0) answer();
    }
    FutexPingPong(const FutexPingPong&) = delete;
    FutexPingPong& operator=(const FutexPingPong&) = delete;
    ~FutexPingPong() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        ::munmap(words_, 4096);
    }

    void round_trip() {
        const std::uint32_t before = words_[1].load();
        words_[0].fetch_add(1);
        mp::detail::futex_wake(words_[0]);
        while (words_[1].load() == before) mp::detail::futex_wait(words_[1], before, nullptr);
    }

  private:
    [[noreturn]] void answer() {
        for (std::uint32_t seen = 0;; seen = words_[0].load()) {
            while (words_[0].load() == seen) mp::detail::futex_wait(words_[0], seen, nullptr);
            words_[1].fetch_add(1);
            mp::detail::futex_wake(words_[1]);
        }
    }

    mp::detail::FutexWord* words_;
    pid_t pid_;
};

double async_tasks(int count) {
    return nanoseconds_for(count, [&] {
        for (int i = 0; i < count; ++i) std::async(std::launch::async, square, i).get();
    });
}

void bench_tasks(const measure::Run& run) {
    mp::Pool pool(2);
    const std::vector<int> items = measure::numbers(20'000);
    const auto map = [&](std::optional<int> chunksize) {
        return nanoseconds_for(items.size(), [&] { pool.map(square, items, chunksize); });
    };
    run.take_turns(
        "pool/map by 1", 100,
        {{ours, [&] { return map(1); }}, {"std::async", [] { return async_tasks(100); }}});
    run.take_turns("pool/map", 100, {{ours, [&] { return map(std::nullopt); }}});
    run.take_turns("pool/apply", 100,
                   {{ours,
                     [&] {
                         return nanoseconds_for(200, [&] {
                             for (int i = 0; i < 200; ++i) pool.apply(square, i);
                         });
                     }},
                    {"std::async", [] { return async_tasks(100); }}});
}

void bench_parked(const measure::Run& run) {
    mp::Pool pool(2);
    FutexPingPong raw;
    const auto after_a_nap = [](const auto& work) {
        ::usleep(2'000);  // all fall asleep
        return nanoseconds_for(1, work);
    };
    run.take_turns("pool/apply parked", 300,
                   {{ours, [&] { return after_a_nap([&] { pool.apply(square, 3); }); }},
                    {"futex ping-pong", [&] { return after_a_nap([&] { raw.round_trip(); }); }}});
}

long resident_bytes() {
    long size = 0;
    long resident = 0;
    std::FILE* const file = std::fopen("/proc/self/statm", "re");
    if (file == nullptr || std::fscanf(file, "%ld %ld", &size, &resident) != 2) std::abort();
    std::fclose(file);
    return resident * ::sysconf(_SC_PAGESIZE);
}

/// A million tasks of which few are there at a time: the cost of one, and what the parent grows by.
void bench_streams() {
    mp::Pool pool(2);
    constexpr int count = 1'000'000;
    const long before = resident_bytes();
    measure::Run::report("pool/imap_unordered", ours, nanoseconds_for(count, [&] {
                             for (const int x : pool.imap_unordered(
                                      low_bits, std::views::iota(0, count), 1, 1'000)) {
                                 (void)x;
                             }
                         }));
    measure::Run::report("pool/imap_unordered memory", ours,
                         static_cast<double>(resident_bytes() - before));
}

void bench_by_chunk_size(const measure::Run& run) {
    mp::Pool pool(2);
    const std::vector<int> items = measure::numbers(20'000);
    for (int size = 1; size <= 4'096; size *= 4) {
        run.take_turns_at(size, "pool/chunk size", 30,
                          {{ours, [&] {
                                return nanoseconds_for(items.size(),
                                                       [&] { pool.map(square, items, size); });
                            }}});
    }
}

void bench_by_workers(const measure::Run& run) {
    const std::vector<int> items = measure::numbers(20'000);
    const std::vector<int> work(1'000, 20);
    for (int workers = 1; workers <= 64; workers *= 2) {
        mp::Pool pool(workers);
        pool.map(square, items);  // all have started
        run.take_turns_at(
            workers, "pool/workers", 15,
            {{"x*x",
              [&] { return nanoseconds_for(items.size(), [&] { pool.map(square, items, 1); }); }},
             {"20 µs of work",
              [&] { return nanoseconds_for(work.size(), [&] { pool.map(work_for, work, 1); }); }}});
    }
}

void bench_by_items(const measure::Run& run) {
    mp::Pool pool(2);
    for (int count = 1'000; count <= (run.is_quick() ? 1'000'000 : 10'000'000); count *= 10) {
        const std::vector<int> items = measure::numbers(count);
        run.take_turns_at(
            count, "pool/items", 12,
            {{ours, [&] { return nanoseconds_for(count, [&] { pool.map(square, items); }); }}});
    }
}

/// The least that two cores need: a thread on each, that takes the next item when it has done one.
double on_threads(const std::vector<long>& limits) {
    return nanoseconds_for(1, [&] {
        std::atomic<std::size_t> next{0};
        [[maybe_unused]] std::atomic<double> kept{0};
        std::vector<std::jthread> threads;
        for (int i = 0; i < mp::process_cpu_count(); ++i) {
            threads.emplace_back([&] {
                for (std::size_t at = next++; at < limits.size(); at = next++) {
                    kept = sum_of_roots(limits[at]);
                }
            });
        }
    });
}

void bench_speed_up(const measure::Run& run) {
    mp::Pool pool;
    const std::vector<long> limits(8, 2'000'000);
    run.take_turns(
        "pool/speed-up", 40,
        {{"sequential",
          [&] {
              return nanoseconds_for(1, [&] {
                  [[maybe_unused]] volatile double kept = 0;
                  for (const long limit : limits) kept = sum_of_roots(limit);
              });
          }},
         {ours, [&] { return nanoseconds_for(1, [&] { pool.map(sum_of_roots, limits); }); }},
         {"a thread a core", [&] { return on_threads(limits); }}});
}

void bench_ends() {
    mp::Pool limited({.processes = 2, .task_timeout = 0.2});
    measure::Run::report("pool/stuck task", ours, nanoseconds_for(1, [&] {
                             try {
                                 limited.apply(sleep_on, 0);
                             } catch (const mp::TimeoutError&) {
                             }
                             limited.apply(square, 1);
                         }));
    mp::Pool stopped(2);
    const auto result = stopped.map_async([](int) { return ::raise(SIGSTOP); }, {1, 2});
    ::usleep(50'000);
    measure::Run::report("pool/terminate stopped", ours,
                         nanoseconds_for(1, [&] { stopped.terminate(); }));
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support();
    const measure::Run run(argc, argv);
    bench_tasks(run);
    bench_parked(run);
    bench_streams();
    bench_by_chunk_size(run);
    bench_by_workers(run);
    bench_by_items(run);
    bench_speed_up(run);
    bench_ends();
}
