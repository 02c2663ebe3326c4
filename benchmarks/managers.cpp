// What an operation on a manager's dict or list costs, beside a std::unordered_map behind a robust
// mutex of pthread in one process, which is the least that could be shared. In one run: the two
// alternate, and the table shows medians and their ratio.
#include <multiprocessing/managers.hpp>

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;

namespace {

/// Runs both alternately and prints a row.
void compare(const char* work, int goal, int rounds, const std::function<double()>& ours,
             const std::function<double()>& theirs) {
    const measure::Comparison times = measure::alternate(rounds, ours, theirs);
    std::printf("%-44s %8.1f ns   unordered_map, mutex %8.1f ns   %5.2f ×   (goal ≤ %d ns)\n", work,
                times.ours, times.theirs, times.ratio(), goal);
}

/// A map as threads of one process share it.
class LockedMap {
  public:
    LockedMap() {
        pthread_mutexattr_t attributes;
        ::pthread_mutexattr_init(&attributes);
        ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        ::pthread_mutex_init(&mutex_, &attributes);
        ::pthread_mutexattr_destroy(&attributes);
    }
    void set(const std::string& key, int value) {
        ::pthread_mutex_lock(&mutex_);
        map_[key] = value;
        ::pthread_mutex_unlock(&mutex_);
    }
    int get(const std::string& key) {
        ::pthread_mutex_lock(&mutex_);
        const int value = map_.at(key);
        ::pthread_mutex_unlock(&mutex_);
        return value;
    }

  private:
    pthread_mutex_t mutex_;
    std::unordered_map<std::string, int> map_;
};

void bench_dict(const mp::Manager& manager, int entries, int goal, int rounds) {
    const auto dict = manager.dict<std::string, int>();
    LockedMap map;
    std::vector<std::string> keys;
    for (int i = 0; i < entries; ++i) keys.push_back("key " + std::to_string(i));
    for (const std::string& key : keys) {
        dict[key] = 1;
        map.set(key, 1);
    }
    const int times = std::max(1, 100'000 / entries);
    const std::size_t operations = keys.size() * static_cast<std::size_t>(times);
    const auto measure = [&](const auto& operation) {
        return measure::nanoseconds_for(operations, [&] {
            for (int i = 0; i < times; ++i) {
                for (const std::string& key : keys) operation(key);
            }
        });
    };
    long sum = 0;
    const std::string of = " of " + std::to_string(entries) + " entries";
    compare(("d[k] = v" + of).c_str(), goal, rounds,
            [&] { return measure([&](const std::string& key) { dict[key] = 2; }); },
            [&] { return measure([&](const std::string& key) { map.set(key, 2); }); });
    compare(("d[k]" + of).c_str(), goal, rounds,
            [&] { return measure([&](const std::string& key) { sum += dict[key]; }); },
            [&] { return measure([&](const std::string& key) { sum += map.get(key); }); });
    if (entries > 1'000) return;
    const auto with_another = [&] {
        mp::ForkProcess other([&] { measure([&](const std::string& key) { dict[key] = 3; }); });
        other.start();
        const double time = measure([&](const std::string& key) { sum += dict[key]; });
        other.join();
        return time;
    };
    compare("d[k] while another process sets", 1'500, rounds, with_another,
            [&] { return measure([&](const std::string& key) { sum += map.get(key); }); });
    if (sum == 0) std::puts("nothing was read");
}

void bench_append(const mp::Manager& manager) {
    constexpr std::size_t times = 200'000;
    compare(
        "l.append(v)", 400, 15,
        [&] {
            const auto list = manager.list<int>();
            return measure::nanoseconds_for(times, [&] {
                for (std::size_t i = 0; i < times; ++i) list.append(1);
            });
        },
        [] {
            std::unordered_map<int, int> map;
            return measure::nanoseconds_for(times, [&] {
                for (std::size_t i = 0; i < times; ++i) map[static_cast<int>(i)] = 1;
            });
        });
}

}  // namespace

int main() {
    mp::freeze_support();
    const mp::Manager manager;
    bench_dict(manager, 1'000, 400, 31);
    bench_append(manager);
    bench_dict(manager, 1'000'000, 2'000, 3);
}
