// What an operation on a manager's dict or list costs, beside a std::unordered_map behind a robust
// mutex of pthread in one process, which is the least that could be shared.
#include <multiprocessing/managers.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "benchmarks/measure.hpp"
#include "benchmarks/robust_mutex.hpp"

namespace mp = multiprocessing;
using measure::ours;

namespace {

constexpr const char* peer = "unordered_map, robust mutex";

/// A map as threads of one process share it.
class LockedMap {
  public:
    LockedMap() { mutex_.initialize(); }
    void set(const std::string& key, int value) {
        const std::lock_guard guard(mutex_);
        map_[key] = value;
    }
    int get(const std::string& key) {
        const std::lock_guard guard(mutex_);
        return map_.at(key);
    }

  private:
    RobustMutex mutex_{};
    std::unordered_map<std::string, int> map_;
};

/// A dict and a map with the same entries, and an operation on all of them.
struct Entries {
    mp::DictProxy<std::string, int> dict;
    LockedMap map;
    std::vector<std::string> keys;

    Entries(const mp::Manager& manager, int count) : dict(manager.dict<std::string, int>()) {
        for (int i = 0; i < count; ++i) keys.push_back("key " + std::to_string(i));
        for (const std::string& key : keys) {
            dict[key] = 1;
            map.set(key, 1);
        }
    }

    /// @returns nanoseconds an operation
    template <class Operation>
    double measure(Operation operation) const {
        const std::size_t times = std::max<std::size_t>(1, 20'000 / keys.size());
        return measure::nanoseconds_for(times * keys.size(), [&] {
            for (std::size_t i = 0; i < times; ++i) {
                for (const std::string& key : keys) operation(key);
            }
        });
    }
};

void bench_dict(const measure::Run& run, const mp::Manager& manager) {
    Entries entries(manager, 1'000);
    volatile int kept = 0;
    run.take_turns(
        "manager/dict set", 100,
        {{ours, [&] { return entries.measure([&](const auto& key) { entries.dict[key] = 2; }); }},
         {peer,
          [&] { return entries.measure([&](const auto& key) { entries.map.set(key, 2); }); }}});
    const auto get = [&](const auto& key) { kept = entries.dict[key]; };
    run.take_turns(
        "manager/dict get", 100,
        {{ours, [&] { return entries.measure(get); }},
         {peer,
          [&] { return entries.measure([&](const auto& key) { kept = entries.map.get(key); }); }}});
    // Readers in processes of their own, as many as there are to be.
    const auto get_by = [&](int readers) {
        std::vector<std::unique_ptr<mp::ForkProcess>> others;
        for (int i = 1; i < readers; ++i) {
            others.push_back(std::make_unique<mp::ForkProcess>([&] {
                for (int turn = 0; turn < 3; ++turn) entries.measure(get);
            }));
            others.back()->start();
        }
        entries.measure(get);  // the others have begun by now
        const double time = entries.measure(get);
        for (const auto& other : others) other->join();
        return time;
    };
    run.take_turns("manager/dict get by 2", 40,
                   {{ours, [&] { return get_by(2); }}, {"one reader", [&] { return get_by(1); }}});
    run.take_turns("manager/dict get while set", 40,
                   {{ours, [&] {
                         mp::ForkProcess other([&] {
                             entries.measure([&](const auto& key) { entries.dict[key] = 3; });
                         });
                         other.start();
                         const double time = entries.measure(get);
                         other.join();
                         return time;
                     }}});
}

void bench_append(const measure::Run& run, const mp::Manager& manager) {
    constexpr int times = 100'000;
    run.take_turns("manager/list append", 20, {{ours, [&] {
                                                    const auto list = manager.list<int>();
                                                    return measure::nanoseconds_for(times, [&] {
                                                        for (int i = 0; i < times; ++i)
                                                            list.append(i);
                                                    });
                                                }}});
}

void bench_by_entries(const measure::Run& run, const mp::Manager& manager) {
    for (int count = 100; count <= (run.is_quick() ? 100'000 : 1'000'000); count *= 10) {
        Entries entries(manager, count);
        run.take_turns_at(
            count, "manager/entries", 8,
            {{"set",
              [&] { return entries.measure([&](const auto& key) { entries.dict[key] = 2; }); }},
             {"get",
              [&] {
                  volatile int kept = 0;
                  return entries.measure([&](const auto& key) { kept = entries.dict[key]; });
              }},
             {std::string("set, ") + peer,
              [&] { return entries.measure([&](const auto& key) { entries.map.set(key, 2); }); }}});
    }
}

}  // namespace

int main(int argc, char** argv) {
    const measure::Run run(argc, argv);
    const mp::Manager manager;
    bench_dict(run, manager);
    bench_append(run, manager);
    bench_by_entries(run, manager);
}
