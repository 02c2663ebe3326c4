// What locks cost that processes want at the same time, and how many there can be. What one costs
// alone is in inside.cpp.
#include <multiprocessing/process.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include <atomic>
#include <functional>
#include <vector>

#include "benchmarks/measure.hpp"
#include "benchmarks/robust_mutex.hpp"

namespace mp = multiprocessing;
using measure::ours;

namespace {

/// A number behind a robust mutex, as its bytes are in shared memory.
struct RobustCounter {
    RobustMutex mutex;
    int value;
};

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

void bench_contended(const measure::Run& run) {
    constexpr long each = 500'000;
    const mp::Value<int> value(0);
    const mp::Value<int> given(0, mp::Lock());
    const mp::RawValue<RobustCounter> robust;
    robust.value.mutex.initialize();
    const measure::Contender theirs{"robust mutex", [&] {
                                        return in_two_processes(each, [&] {
                                            robust.value.mutex.lock();
                                            robust.value.value = robust.value.value + 1;
                                            robust.value.mutex.unlock();
                                        });
                                    }};
    const auto adding_to = [&](const mp::Value<int>& number) {
        return [&] { return in_two_processes(each, [&] { number.value += 1; }); };
    };
    run.take_turns("lock/value of two", 15, {{ours, adding_to(value)}, theirs});
    run.take_turns("lock/value under a Lock of two", 15, {{ours, adding_to(given)}, theirs});
}

/// What one more costs when there are many.
void bench_live_objects(const measure::Run& run) {
    constexpr int more = 1'000;
    std::vector<mp::Lock> live;
    for (const std::size_t count : {100, 1'000, 10'000, 100'000, 1'000'000}) {
        while (live.size() < count) live.emplace_back();
        run.take_turns_at(static_cast<double>(count), "lock/live objects", 20,
                          {{ours, [] {
                                return measure::nanoseconds_for(more, [] {
                                    for (int i = 0; i < more; ++i) mp::Lock().acquire();
                                });
                            }}});
    }
}

/// To the byte: what the pages round up is shared by all.
void bench_memory() {
    const std::size_t before = mp::detail::heap().segment().memory();
    const std::vector<mp::Lock> locks(1'000'000);
    const std::size_t bytes = mp::detail::heap().segment().memory() - before;
    measure::Run::report("lock/memory", ours, static_cast<double>(bytes / locks.size()));
}

}  // namespace

int main(int argc, char** argv) {
    const measure::Run run(argc, argv);
    bench_memory();
    bench_contended(run);
    bench_live_objects(run);
}
