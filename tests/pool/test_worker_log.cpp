// A worker's log: whoever reads it while its worker writes, or after that was killed, finds whole
// records. SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <multiprocessing/pool/board/worker_log.hpp>
#include <thread>

using mp::detail::ChunkRecord;
using mp::detail::LocalLogs;
using mp::detail::SlowestRecords;
using mp::detail::WorkerLog;
using mp::detail::WorkerLogs;

namespace {

constexpr std::uint32_t capacity = 4;

/// A record all of whose parts follow from its duration.
ChunkRecord record_of(std::uint64_t duration) {
    const auto low = static_cast<std::uint32_t>(duration);
    return {duration * 3, duration, low * 5, ~low, low * 7, low * 11};
}

bool is_whole(const ChunkRecord& record) {
    const ChunkRecord expected = record_of(record.duration);
    return record.begin == expected.begin && record.call == expected.call &&
           record.first == expected.first && record.items == expected.items &&
           record.pid == expected.pid;
}

/// Reads all there is. @returns whether each record is whole, and the slowest ones are in order
bool is_sound(WorkerLog& log) {
    const auto slowest = log.slowest.read();
    for (std::size_t i = 0; i < slowest.size(); ++i) {
        if (slowest[i].duration != 0 && !is_whole(slowest[i])) return false;
        if (i != 0 && slowest[i - 1].duration < slowest[i].duration) return false;
    }
    const std::uint64_t end = log.recorded.load(std::memory_order_acquire);
    for (std::uint64_t i = end - (std::min)(end, std::uint64_t{capacity}); i < end; ++i) {
        const auto record = log.read(i, capacity);
        if (record && !is_whole(*record)) return false;
    }
    return true;
}

/// Writes records, most of which are slower than the ones before, until it is told to stop.
void write_records(WorkerLog& log, const std::atomic<std::uint32_t>& stop) {
    support::Random random(7);
    std::uint64_t slowness = log.recorded.load();
    while (stop.load(std::memory_order_relaxed) == 0) {
        slowness += random() % 3;
        record_chunk(log, capacity,
                     record_of(slowness + 1 - (std::min)(slowness, std::uint64_t{random() % 4})));
    }
}

/// A log in shared memory, and whether its writers are to stop.
struct SharedLog {
    std::atomic<std::uint32_t> stop;
    alignas(64) std::byte bytes[WorkerLog::size_for(capacity)];

    [[nodiscard]] WorkerLog& log() { return WorkerLogs(bytes, 1, capacity)[0]; }
};

void write_to(std::uint64_t offset) {
    auto& shared = in_heap<SharedLog>(offset);
    write_records(shared.log(), shared.stop);
}

}  // namespace

TEST_CASE("A log keeps the slowest chunks, in order", "[pool]") {
    LocalLogs logs(1, capacity);
    WorkerLog& log = logs.view()[0];
    support::Random random(3);
    std::vector<std::uint64_t> durations;
    for (int i = 0; i < 1000; ++i) {
        durations.push_back(1 + random() % 500);
        record_chunk(log, capacity, record_of(durations.back()));
        std::ranges::sort(durations, std::greater());
        const auto slowest = log.slowest.read();
        for (std::size_t rank = 0; rank < slowest.size(); ++rank) {
            REQUIRE(slowest[rank].duration == (rank < durations.size() ? durations[rank] : 0));
        }
        REQUIRE(is_sound(log));
    }
    REQUIRE(log.recorded == 1000);
    REQUIRE(!log.read(996, capacity));  // the worker may be writing there next
    for (std::uint64_t i = 997; i < 1000; ++i) REQUIRE(log.read(i, capacity));
}

TEST_CASE("A log without a ring keeps the slowest chunks", "[pool]") {
    LocalLogs logs(2, 0);
    for (std::uint64_t i = 1; i < 10; ++i)
        record_chunk(logs.view()[1], 0, record_of(i), {.failed = 2});
    REQUIRE(logs.view()[1].slowest.read()[4].duration == 5);
    REQUIRE(logs.view()[1].failed == 18);
    REQUIRE(logs.view()[0].slowest.read()[0].duration == 0);
}

TEST_CASE("Records are read whole while a thread writes them", "[pool]") {
    const Tidy tidy;
    LocalLogs logs(1, capacity);
    WorkerLog& log = logs.view()[0];
    std::atomic<std::uint32_t> stop{0};
    std::thread writer([&] { write_records(log, stop); });
    // Else this thread might be through before the other one had a core.
    const bool writes = support::eventually([&] { return log.recorded.load() > 0; });
    bool sound = true;
    for (int i = 0; i < (support::sanitized ? 20'000 : 200'000); ++i) sound &= is_sound(log);
    stop = 1;
    writer.join();
    REQUIRE(sound);
    REQUIRE(writes);
}

TEMPLATE_TEST_CASE("Records are read whole when their worker was killed", "[pool][kills]",
                   START_METHODS) {
    const Tidy tidy;
    auto* const shared = new (mp::detail::allocate_zeroed(sizeof(SharedLog))) SharedLog{};
    const std::uint64_t offset = mp::detail::heap().offset_of(shared);
    support::Random random(5);
    for (int round = 0; round < 30; ++round) {
        const std::uint64_t before = shared->log().recorded.load();
        mp::BasicProcess<TestType> writer(write_to, offset);
        writer.start();
        REQUIRE(support::eventually([&] { return shared->log().recorded.load() > before + 100; }));
        bool sound = true;
        for (std::uint64_t i = random() % 200; i > 0; --i) sound &= is_sound(shared->log());
        writer.kill();
        writer.join();
        REQUIRE(sound);
        REQUIRE(is_sound(shared->log()));
    }
    mp::detail::deallocate(shared);
}
