// What a lookup in a large map costs when eight processes read one in shared memory, beside a
// private map of the same kind that one process reads alone; and what handing the map over takes.
#include <multiprocessing/connection.hpp>
#include <multiprocessing/process.hpp>
#include <multiprocessing/shared_objects.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include <boost/container/map.hpp>
#include <boost/container/string.hpp>
#include <boost/container/vector.hpp>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <list>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;
using measure::ours;

namespace {

constexpr int entries = 100'000;
constexpr std::size_t numbers_each = 16;
constexpr int readers = 8;

using SharedTable = mp::shared::map<mp::shared::string, mp::shared::vector<double>>;
/// Orders texts as the shared map does, so that only the memory differs.
using PrivateTable =
    boost::container::map<boost::container::string, boost::container::vector<double>,
                          mp::shared::less<mp::shared::string>>;

/// All keys, in an order that is no order in memory either.
const std::vector<std::string>& keys() {
    static const std::vector<std::string> all = [] {
        std::vector<std::string> made;
        for (int i = 0; i < entries; ++i) made.push_back("key " + std::to_string(i));
        std::shuffle(made.begin(), made.end(), std::mt19937(1));
        return made;
    }();
    return all;
}

template <class Table>
void fill(Table& table) {
    for (const std::string& key : keys()) table[key.c_str()].assign(numbers_each, 0.5);
}

/// Reads every number of every entry, entry by entry. @returns their sum
template <class Table>
double read_all(const Table& table) {
    double sum = 0;
    for (const std::string& key : keys()) {
        const auto& numbers = table.find(std::string_view(key))->second;
        sum = std::accumulate(numbers.begin(), numbers.end(), sum);
    }
    return sum;
}

/// The processor's time and not the clock's: there may be fewer cores than processes.
double cpu_nanoseconds() {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

/// @returns nanoseconds an entry
template <class Table>
double cost_of_reading(const Table& table) {
    const double start = cpu_nanoseconds();
    volatile double kept = read_all(table);
    (void)kept;
    return (cpu_nanoseconds() - start) / entries;
}

/// Has eight processes read at once. The first time each maps the pages, so the second is measured.
/// @param table returns what a process reads @returns nanoseconds an entry, their mean
template <class Access>
double cost_in_eight(const Access& table) {
    const mp::Barrier together(readers);
    const mp::RawArray<double> costs(readers);
    std::list<mp::ForkProcess> processes;
    for (int i = 0; i < readers; ++i) {
        processes.emplace_back([&, i] {
            cost_of_reading(table());
            together.wait();
            costs[i] = cost_of_reading(table());
        });
        processes.back().start();
    }
    for (auto& process : processes) process.join();
    return std::accumulate(costs.begin(), costs.end(), 0.0) / readers;
}

std::size_t family_memory() { return mp::detail::heap().segment().memory(); }

void bench_reading(const measure::Run& run, const mp::Shared<SharedTable>& shared) {
    PrivateTable own;
    fill(own);
    run.take_turns(
        "shared/map of 8", 12,
        {{ours, [&] { return cost_in_eight([&]() -> auto& { return shared.frozen(); }); }},
         {"a private map, alone", [&] { return cost_of_reading(own); }},
         {"a private map in each of 8",
          [&] { return cost_in_eight([&]() -> auto& { return own; }); }}});
    run.take_turns("shared/map", 12,
                   {{ours, [&] { return cost_of_reading(shared.frozen()); }},
                    {"a private map", [&] { return cost_of_reading(own); }}});
}

void read_one(const mp::Shared<SharedTable>& table, mp::Connection result) {
    result.send(table.frozen().find("key 1")->second.size());
    result.recv<int>();
}

/// Starts eight processes anew, which find the map by its handle alone.
/// @returns by how many bytes the family's memory grows for it
double memory_of_hand_over(const mp::Shared<SharedTable>& shared) {
    const std::size_t before = family_memory();
    std::list<mp::SpawnProcess> processes;
    std::list<mp::Connection> connections;
    for (int i = 0; i < readers; ++i) {
        auto [here, there] = mp::Pipe();
        processes.emplace_back(read_one, shared, std::move(there));
        processes.back().start();
        connections.push_back(std::move(here));
    }
    for (auto& connection : connections) connection.recv<std::size_t>();
    const std::size_t after = family_memory();
    for (auto& connection : connections) connection.send(1);
    for (auto& process : processes) process.join();
    return static_cast<double>(std::max(after, before) - before);
}

void bench_hand_over(const measure::Run& run, const mp::Shared<SharedTable>& shared,
                     std::size_t size) {
    run.take_turns("shared/hand-over", 4,
                   {{ours, [&] { return memory_of_hand_over(shared); }},
                    {"the map itself", [&] { return static_cast<double>(size); }}});
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support();
    const measure::Run run(argc, argv);
    const std::size_t before = family_memory();
    const mp::Shared<SharedTable> shared;
    shared.with([](SharedTable& table) { fill(table); });
    shared.freeze();
    const std::size_t size = family_memory() - before;
    bench_reading(run, shared);
    bench_hand_over(run, shared, size);
}
