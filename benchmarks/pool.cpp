// What a pool costs, beside the raw system calls that it cannot do without: the two alternate in
// one run, and each row shows medians.
#include <multiprocessing/pool.hpp>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <ranges>
#include <vector>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;

namespace {

int square(int x) { return x * x; }
int low_bits(int x) { return x & 7; }
int sleep_on(int) {
    for (;;) ::pause();
}
double microseconds_of_work(int microseconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(microseconds);
    double sum = 0;
    while (std::chrono::steady_clock::now() < end) sum += 1;
    return sum;
}

std::vector<int> numbers(int count) {
    std::vector<int> items(static_cast<std::size_t>(count));
    std::iota(items.begin(), items.end(), 0);
    return items;
}

long resident_kibibytes() {
    long size = 0;
    long resident = 0;
    std::FILE* const file = std::fopen("/proc/self/statm", "re");
    if (file == nullptr || std::fscanf(file, "%ld %ld", &size, &resident) != 2) std::abort();
    std::fclose(file);
    return resident * ::sysconf(_SC_PAGESIZE) / 1024;
}

void row(const char* work, double ours, const char* unit, const char* remark) {
    std::printf("%-50s %9.3f %-2s  %s\n", work, ours, unit, remark);
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

void bench_tasks() {
    mp::Pool pool(2);
    const std::vector<int> items = numbers(20'000);
    std::vector<double> single;
    std::vector<double> chunks;
    std::vector<double> apply;
    for (int round = 0; round < 100; ++round) {
        single.push_back(measure::microseconds_for([&] { pool.map(square, items, 1); }) / 20'000);
        chunks.push_back(measure::microseconds_for([&] { pool.map(square, items); }) / 20);
        apply.push_back(measure::microseconds_for([&] {
                            for (int i = 0; i < 200; ++i) pool.apply(square, i);
                        }) /
                        200);
    }
    row("map of x*x, chunksize 1, a task", measure::median(single), "µs",
        "goal ≤ 0.5; Python 14.4");
    row("map of x*x, default chunks, an item", measure::median(chunks), "ns",
        "goal ≤ 10; Python 160");
    row("apply, round trip while both run", measure::median(apply), "µs", "goal ≤ 2; Python 325");
}

void bench_parked() {
    mp::Pool pool(2);
    FutexPingPong raw;
    std::vector<double> ours;
    std::vector<double> theirs;
    for (int round = 0; round < 300; ++round) {
        ::usleep(2'000);  // all fall asleep
        theirs.push_back(measure::microseconds_for([&] { raw.round_trip(); }));
        ::usleep(2'000);
        ours.push_back(measure::microseconds_for([&] { pool.apply(square, round); }));
    }
    char remark[96];
    std::snprintf(remark, sizeof remark, "futex ping-pong %.1f µs: %.2f × (goal ≤ 1.5)",
                  measure::median(theirs), measure::median(ours) / measure::median(theirs));
    row("apply, round trip when parked", measure::median(ours), "µs", remark);
}

void bench_start() {
    std::vector<double> ours;
    std::vector<double> theirs;
    for (int round = 0; round < 200; ++round) {
        theirs.push_back(measure::microseconds_for([] {
            for (int i = 0; i < 2; ++i) {
                const pid_t pid = ::fork();
                if (pid == 0) ::_exit(0);
                ::waitpid(pid, nullptr, 0);
            }
        }));
        ours.push_back(measure::microseconds_for([] { mp::Pool pool(2); }));
    }
    char remark[96];
    std::snprintf(remark, sizeof remark, "two forks %.0f µs: %.2f × (goal ≤ 2)",
                  measure::median(theirs), measure::median(ours) / measure::median(theirs));
    row("Pool(2), create + terminate", measure::median(ours), "µs", remark);
}

void bench_streams() {
    mp::Pool pool(2);
    constexpr int count = 1'000'000;
    const long before = resident_kibibytes();
    const double time = measure::microseconds_for([&] {
        for (const int x : pool.imap_unordered(low_bits, std::views::iota(0, count), 1, 1'000)) {
            (void)x;
        }
    });
    char remark[96];
    std::snprintf(remark, sizeof remark, "the parent grew by %ld KiB (goal < 10,240)",
                  resident_kibibytes() - before);
    row("imap_unordered, look-ahead 1,000, a task", time / count, "µs", remark);
}

void bench_workers() {
    const std::vector<int> items = numbers(20'000);
    const std::vector<int> work(2'000, 20);
    for (int workers = 1; workers <= 64; workers *= 2) {
        mp::Pool pool(workers);
        std::vector<double> single;
        std::vector<double> long_ones;
        for (int round = 0; round < 15; ++round) {
            single.push_back(measure::microseconds_for([&] { pool.map(square, items, 1); }) /
                             20'000);
            long_ones.push_back(
                measure::microseconds_for([&] { pool.map(microseconds_of_work, work, 1); }) /
                2'000);
        }
        std::printf("%2d workers: x*x, chunksize 1 %28.3f µs  tasks of 20 µs, each %.2f µs\n",
                    workers, measure::median(single), measure::median(long_ones));
    }
}

void bench_ends() {
    mp::Pool limited({.processes = 2, .task_timeout = 0.2});
    const double stuck = measure::microseconds_for([&] {
        try {
            limited.apply(sleep_on, 0);
        } catch (const mp::TimeoutError&) {
        }
        limited.apply(square, 1);
    });
    row("a stuck task, task_timeout 0.2, to the next result", stuck * 1e-3, "ms", "goal ≤ 1,000");
    mp::Pool stopped(2);
    const auto result = stopped.map_async([](int) { return ::raise(SIGSTOP); }, {1, 2});
    ::usleep(50'000);
    row("terminate, with workers that have stopped",
        measure::microseconds_for([&] { stopped.terminate(); }) * 1e-3, "ms", "goal ≤ 1,000");
}

}  // namespace

int main() {
    mp::freeze_support();
    bench_tasks();
    bench_parked();
    bench_start();
    bench_streams();
    bench_workers();
    bench_ends();
}
