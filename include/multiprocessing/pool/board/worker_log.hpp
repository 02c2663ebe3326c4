// multiprocessing/pool/board/worker_log.hpp
//
// What a worker writes down about its time: totals, its slowest tasks, and its latest ones. Only
// the worker writes; the owner reads when it is asked for statistics. The log of a worker process
// lies beside the board and outlives the process: the worker that replaces it continues the log.
// Floor 5. Start at WorkerLog. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// One chunk that a worker has run. Times are nanoseconds; moments are on the monotonic clock.
struct ChunkRecord {
    std::uint64_t begin;     //  0
    std::uint64_t duration;  //  8  0: nothing is recorded here
    std::uint32_t call;      // 16  its number among the pool's calls, the low bits
    std::uint32_t first;     // 20  its first item's number in the call, the low bits
    std::uint32_t items;     // 24
    std::uint32_t pid;       // 28  a thread has its own
};
static_assert(sizeof(ChunkRecord) == 32);

/// A worker's log; the ring of its latest chunks follows.
struct alignas(64) WorkerLog {
    static constexpr std::size_t slowest_count = 5;

    std::atomic<std::uint64_t> items;     //   0
    std::atomic<std::uint64_t> busy;      //   8  running chunks
    std::atomic<std::uint64_t> idle;      //  16  waiting for chunks
    std::atomic<std::uint64_t> startup;   //  24  of the present worker: from start to readiness
    std::atomic<std::uint64_t> started;   //  32  moment; the owner's
    std::atomic<std::uint32_t> starts;    //  40  the owner's
    std::atomic<std::uint32_t> pid;       //  44
    std::atomic<std::uint64_t> recorded;  //  48  chunks, ever; the ring has the last of them
    std::uint64_t unused;                 //  56
    ChunkRecord slowest[slowest_count];   //  64
    std::byte unused2[32];                // 224

    [[nodiscard]] ChunkRecord* ring() noexcept { return reinterpret_cast<ChunkRecord*>(this + 1); }

    static constexpr std::size_t size_for(std::uint32_t records) noexcept;
};
static_assert(sizeof(WorkerLog) == 256);

constexpr std::size_t WorkerLog::size_for(std::uint32_t records) noexcept {
    return (sizeof(WorkerLog) + records * sizeof(ChunkRecord) + 63) / 64 * 64;
}

/// The logs of a pool's workers, side by side in memory.
class WorkerLogs {
  public:
    /// @param capacity of each one's ring, in records
    WorkerLogs(void* first, std::uint32_t count, std::uint32_t capacity) noexcept
        : first_(static_cast<std::byte*>(first)), count_(count), capacity_(capacity) {}

    [[nodiscard]] std::uint32_t size() const noexcept { return count_; }
    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] WorkerLog& operator[](std::uint32_t slot) const noexcept {
        return *reinterpret_cast<WorkerLog*>(first_ + slot * WorkerLog::size_for(capacity_));
    }

  private:
    std::byte* first_;
    std::uint32_t count_;
    std::uint32_t capacity_;
};

/// The logs of workers that are threads, in this process's own memory. A copy is a snapshot.
class LocalLogs {
  public:
    LocalLogs() = default;
    LocalLogs(std::uint32_t count, std::uint32_t capacity)
        : lines_(count * WorkerLog::size_for(capacity) / sizeof(Line)),
          count_(count),
          capacity_(capacity) {}

    [[nodiscard]] WorkerLogs view() noexcept { return {lines_.data(), count_, capacity_}; }
    operator WorkerLogs() noexcept { return view(); }  // NOLINT(google-explicit-constructor)

  private:
    struct alignas(64) Line {
        std::byte bytes[64];
    };
    std::vector<Line> lines_;
    std::uint32_t count_ = 0;
    std::uint32_t capacity_ = 0;
};

/// Adds to a total that only this thread changes.
inline void add_to(std::atomic<std::uint64_t>& total, std::uint64_t more) noexcept {
    total.store(total.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

/// Writes down a chunk.
/// @param capacity of the ring
inline void record_chunk(WorkerLog& log, std::uint32_t capacity,
                         const ChunkRecord& record) noexcept {
    add_to(log.items, record.items);
    add_to(log.busy, record.duration);
    const std::uint64_t number = log.recorded.load(std::memory_order_relaxed);
    if (capacity != 0) log.ring()[number % capacity] = record;
    // release: a thread that sees the number sees the record. Pairs with TraceFile::write_worker.
    log.recorded.store(number + 1, std::memory_order_release);
    // The last one is the least slow of them.
    ChunkRecord* place = &log.slowest[WorkerLog::slowest_count - 1];
    if (record.duration <= place->duration) return;
    for (; place != log.slowest && place[-1].duration < record.duration; --place) {
        *place = place[-1];
    }
    *place = record;
}

}  // namespace multiprocessing::detail
