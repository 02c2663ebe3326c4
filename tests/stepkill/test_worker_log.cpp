// Who is killed anywhere in writing to a worker's log leaves whole records, the slowest in order.
// SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <multiprocessing/heap.hpp>
#include <multiprocessing/pool/board/worker_log.hpp>

#include <memory>

#include "tests/stepkill/stepper.hpp"

using stepkill::expect;
using stepkill::Row;
using stepkill::Trial;

namespace {

using mp::detail::ChunkRecord;
using mp::detail::WorkerLog;
using mp::detail::WorkerLogs;

constexpr std::uint32_t capacity = 4;

/// A record all of whose parts follow from its duration.
ChunkRecord record_of(std::uint64_t duration) {
    const auto low = static_cast<std::uint32_t>(duration);
    return {duration * 3, duration, low * 5, ~low, low * 7, low * 11};
}

void expect_whole(const ChunkRecord& record) {
    const ChunkRecord whole = record_of(record.duration);
    expect(record.begin == whole.begin && record.call == whole.call &&
               record.first == whole.first && record.items == whole.items &&
               record.pid == whole.pid,
           "a record is a mixture");
}

/// Writes a record of `duration` to a log that has records of 10, 20, … 60.
Trial write(std::uint64_t duration) {
    void* const block = mp::detail::allocate_zeroed(WorkerLog::size_for(capacity));
    const std::shared_ptr<void> owner(block, [](void* p) { mp::detail::deallocate(p); });
    WorkerLog* const log = &WorkerLogs(block, 1, capacity)[0];
    for (std::uint64_t i = 1; i <= 6; ++i) record_chunk(*log, capacity, record_of(i * 10));
    const auto check = [=] {
        (void)owner;
        bool is_in_order = true;
        bool has_new = false;
        const auto slowest = log->slowest.read();
        for (std::size_t i = 0; i < slowest.size(); ++i) {
            expect_whole(slowest[i]);
            is_in_order &= i == 0 || slowest[i - 1].duration >= slowest[i].duration;
            has_new |= slowest[i].duration == duration;
        }
        expect(is_in_order && slowest.back().duration == (has_new ? 30 : 20), "not the slowest");
        const std::uint64_t end = log->recorded.load();
        expect(end == 6 || end == 7, "another number of records");
        for (std::uint64_t i = end - 3; i < end; ++i) {
            const auto record = log->read(i, capacity);
            expect(record.has_value(), "a record is missing");
            expect_whole(*record);
        }
        // The next worker goes on.
        record_chunk(*log, capacity, record_of(100));
        expect(log->slowest.read()[0].duration == 100, "the slowest does not count");
        expect(log->recorded.load() == end + 1, "the next record does not count");
    };
    return {.operation = [=] { record_chunk(*log, capacity, record_of(duration)); },
            .check = check};
}

const Row rows[] = {
    {"record_chunk, the slowest", [] { return write(90); }},
    {"record_chunk, the third", [] { return write(45); }},
};

}  // namespace

TEST_CASE("Who is killed in writing a record leaves whole ones, the slowest in order", "[steps]") {
    stepkill::kill_everywhere(rows);
}
