// What a lock costs, beside a robust mutex of pthread, which is the system's own lock that survives
// its holder. In one run: the two alternate, and the table shows medians and their ratio.
#include <multiprocessing/process.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;

namespace {

/// Runs both alternately and prints a row.
void compare(const char* work, double goal, int rounds, const std::function<double()>& ours,
             const std::function<double()>& theirs) {
    const measure::Comparison times = measure::alternate(rounds, ours, theirs);
    std::printf("%-44s %8.1f ns   robust mutex %8.1f ns   %5.2f ×   (goal ≤ %.0f ns)\n", work,
                times.ours, times.theirs, times.ratio(), goal);
}

/// A number behind a robust mutex, as its bytes are in shared memory.
struct RobustCounter {
    pthread_mutex_t mutex;
    int value;
};

void initialize(RobustCounter& counter) {
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    ::pthread_mutex_init(&counter.mutex, &attributes);
    ::pthread_mutexattr_destroy(&attributes);
    counter.value = 0;
}

void add_to(RobustCounter& counter) {
    ::pthread_mutex_lock(&counter.mutex);
    counter.value = counter.value + 1;
    ::pthread_mutex_unlock(&counter.mutex);
}

void bench_uncontended(RobustCounter& robust) {
    constexpr long times = 1'000'000;
    const mp::Lock lock;
    const mp::RLock recursive;
    const mp::Semaphore semaphore(1);
    const mp::Value<int> value(0);
    const auto theirs = [&] {
        return measure::nanoseconds_for(times, [&] {
            for (long i = 0; i < times; ++i) {
                ::pthread_mutex_lock(&robust.mutex);
                ::pthread_mutex_unlock(&robust.mutex);
            }
        });
    };
    const auto row = [&](const char* name, double goal, const auto& work) {
        const auto ours = [&] {
            return measure::nanoseconds_for(times, [&] {
                for (long i = 0; i < times; ++i) work();
            });
        };
        compare(name, goal, 31, ours, theirs);
    };
    row("Lock, acquire + release, uncontended", 20, [&] {
        lock.acquire();
        lock.release();
    });
    row("RLock, the same", 20, [&] {
        recursive.acquire();
        recursive.release();
    });
    row("Semaphore, the same", 20, [&] {
        semaphore.acquire();
        semaphore.release();
    });
    row("Value += 1, uncontended", 25, [&] { value.value += 1; });
}

/// Runs `add` that often in each of two processes at once. @returns nanoseconds an addition
double in_two_processes(long each, const std::function<void()>& add) {
    const mp::RawValue<int> ready(0);
    const auto arrive = [&] { return std::atomic_ref(ready.value).fetch_add(1); };
    const auto run = [&] {
        arrive();
        while (std::atomic_ref(ready.value).load() < 2) {
        }
        for (long i = 0; i < each; ++i) add();
    };
    mp::ForkProcess other(run);
    other.start();
    while (std::atomic_ref(ready.value).load() < 1) {
    }
    return measure::nanoseconds_for(2 * each, [&] {
        run();
        other.join();
    });
}

void bench_contended(RobustCounter& robust) {
    constexpr long each = 500'000;
    const mp::Value<int> value(0);
    const mp::Value<int> given(0, mp::Lock());
    const auto theirs = [&] { return in_two_processes(each, [&] { add_to(robust); }); };
    compare(
        "Value += 1, 2 processes", 100, 15,
        [&] { return in_two_processes(each, [&] { value.value += 1; }); }, theirs);
    compare(
        "Value += 1 under a Lock, 2 processes", 100, 15,
        [&] { return in_two_processes(each, [&] { given.value += 1; }); }, theirs);
}

void bench_memory() {
    const std::size_t before = mp::detail::heap().segment().memory();
    const std::vector<mp::Lock> locks(100'000);
    const std::size_t bytes = mp::detail::heap().segment().memory() - before;
    std::printf("%-44s %8.1f bytes each   (goal ≤ 64)\n", "100,000 Locks",
                static_cast<double>(bytes) / static_cast<double>(locks.size()));
}

}  // namespace

int main() {
    mp::freeze_support();
    const mp::RawValue<RobustCounter> robust;
    initialize(robust.value);
    bench_uncontended(robust.value);
    bench_contended(robust.value);
    bench_memory();
}
