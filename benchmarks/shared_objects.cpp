// What a lookup in a large map costs when eight processes read one in shared memory, beside a
// private map of the same kind that one process reads alone; and what handing the map over takes.
// What it costs to build the map, and to take blocks of memory for it, beside the same in a segment
// of Boost.Interprocess.
#include <multiprocessing/connection.hpp>
#include <multiprocessing/process.hpp>
#include <multiprocessing/shared_objects.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include <boost/container/map.hpp>
#include <boost/container/string.hpp>
#include <boost/container/vector.hpp>
#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <list>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;
namespace bi = boost::interprocess;
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

/// Boost's own way to share them: the same containers with an allocator that knows the segment.
template <class T>
using SegmentAllocator = bi::allocator<T, bi::managed_shared_memory::segment_manager>;
using SegmentString =
    boost::container::basic_string<char, std::char_traits<char>, SegmentAllocator<char>>;
using SegmentNumbers = boost::container::vector<double, SegmentAllocator<double>>;
using SegmentTable =
    boost::container::map<SegmentString, SegmentNumbers, mp::shared::less<mp::shared::string>,
                          SegmentAllocator<std::pair<const SegmentString, SegmentNumbers>>>;

/// A segment whose name is gone at once, so that nothing stays behind; forked processes have it
/// too.
bi::managed_shared_memory new_segment() {
    const std::string name = "multiprocessing-benchmark-" + std::to_string(::getpid());
    constexpr std::size_t size = std::size_t{56} << 20;  // a container's /dev/shm often has 64 MiB
    bi::managed_shared_memory segment(bi::create_only, name.c_str(), size);
    bi::shared_memory_object::remove(name.c_str());
    return segment;
}

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

void fill(SegmentTable& table) {
    const auto allocator = table.get_allocator();
    for (const std::string& key : keys()) {
        table.try_emplace(SegmentString(key.c_str(), allocator), allocator)
            .first->second.assign(numbers_each, 0.5);
    }
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

/// @returns nanoseconds an entry of a map that is made, filled and dropped
template <class Work>
double cost_of_building(const Work& work) {
    const double start = cpu_nanoseconds();
    work();
    return (cpu_nanoseconds() - start) / entries;
}

void bench_building(const measure::Run& run, bi::managed_shared_memory& segment) {
    run.take_turns("shared/build", 12,
                   {{ours,
                     [] {
                         return cost_of_building([] {
                             const mp::Shared<SharedTable> table;
                             table.with([](SharedTable& bare) { fill(bare); });
                         });
                     }},
                    {"Boost managed_shared_memory",
                     [&] {
                         return cost_of_building([&] {
                             auto* const table = segment.construct<SegmentTable>("table")(
                                 segment.get_segment_manager());
                             fill(*table);
                             segment.destroy_ptr(table);
                         });
                     }},
                    {"a private map", [] {
                         return cost_of_building([] {
                             PrivateTable own;
                             fill(own);
                         });
                     }}});
}

/// Blocks of 16 to 1,024 B by turns, a thousand alive at a time.
/// @returns nanoseconds a block, taken and given back
template <class Take, class Give>
double cost_of_blocks(const Take& take, const Give& give) {
    constexpr int times = 200'000;
    std::array<decltype(take(std::size_t{})), 1'000> alive{};
    for (auto& block : alive) block = take(16);
    std::minstd_rand random(1);
    const double start = cpu_nanoseconds();
    for (int i = 0; i < times; ++i) {
        auto& block = alive[random() % alive.size()];
        give(block);
        block = take(16 + random() % 1'009);
    }
    const double cost = (cpu_nanoseconds() - start) / times;
    for (auto& block : alive) give(block);
    return cost;
}

/// @returns the mean of two processes that take blocks at once
template <class Measure>
double cost_in_two(const Measure& measure) {
    const mp::Barrier together(2);
    const mp::RawArray<double> costs(2);
    std::list<mp::ForkProcess> processes;
    for (int i = 0; i < 2; ++i) {
        processes.emplace_back([&, i] {
            together.wait();
            costs[i] = measure();
        });
        processes.back().start();
    }
    for (auto& process : processes) process.join();
    return (costs[0] + costs[1]) / 2;
}

void bench_blocks(const measure::Run& run, bi::managed_shared_memory& segment) {
    auto& heap = mp::detail::heap().allocator();
    const auto here = [&] {
        return cost_of_blocks([&](std::size_t size) { return heap.allocate(size); },
                              [&](auto block) { heap.deallocate(block); });
    };
    const auto boost = [&] {
        return cost_of_blocks([&](std::size_t size) { return segment.allocate(size); },
                              [&](void* block) { segment.deallocate(block); });
    };
    const auto own = [] { return cost_of_blocks(std::malloc, std::free); };
    run.take_turns("shared/blocks", 12,
                   {{ours, here}, {"Boost managed_shared_memory", boost}, {"malloc", own}});
    run.take_turns("shared/blocks of two", 12,
                   {{ours, [&] { return cost_in_two(here); }},
                    {"Boost managed_shared_memory", [&] { return cost_in_two(boost); }},
                    {"malloc", [&] { return cost_in_two(own); }}});
}

void bench_reading(const measure::Run& run, const mp::Shared<SharedTable>& shared,
                   bi::managed_shared_memory& segment) {
    PrivateTable own;
    fill(own);
    SegmentTable& boost = *segment.construct<SegmentTable>("table")(segment.get_segment_manager());
    fill(boost);
    run.take_turns(
        "shared/map of 8", 12,
        {{ours, [&] { return cost_in_eight([&]() -> auto& { return shared.frozen(); }); }},
         {"a private map, alone", [&] { return cost_of_reading(own); }},
         {"a private map in each of 8",
          [&] { return cost_in_eight([&]() -> auto& { return own; }); }}});
    run.take_turns("shared/map", 12,
                   {{ours, [&] { return cost_of_reading(shared.frozen()); }},
                    {"Boost managed_shared_memory", [&] { return cost_of_reading(boost); }},
                    {"a private map", [&] { return cost_of_reading(own); }}});
    segment.destroy_ptr(&boost);
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
    bi::managed_shared_memory segment = new_segment();
    bench_reading(run, shared, segment);
    bench_building(run, segment);
    bench_blocks(run, segment);
    bench_hand_over(run, shared, size);
}
