// multiprocessing/pool/board/worker_log.hpp
//
// What a worker writes down about its time: totals, its slowest tasks, and its latest ones. Only
// the worker writes; the owner reads when it is asked for statistics. The log of a worker process
// lies beside the board and outlives the process: the worker that replaces it continues the log.
//
// Nobody waits for anybody here, and a worker may be killed at any store. So a record is written
// where no reader looks yet, and one store publishes it: of the number of records, or of the order
// of the slowest ones. A reader copies a record and looks at that word again: has the worker begun
// to write over the record meanwhile, the copy does not count. Floor 5. Start at WorkerLog.
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
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

/// A record where it lies in a log.
class SharedRecord {
  public:
    void store(const ChunkRecord& record) noexcept {
        // release: pairs with the acquire in load. A reader that gets one of these words also sees
        // what the worker has published before, and so that its copy does not count. By shifts: to
        // read two halves as one word just after they were written would cost 10 ns.
        words_[0].store(record.begin, std::memory_order_release);
        words_[1].store(record.duration, std::memory_order_release);
        words_[2].store(joined(record.call, record.first), std::memory_order_release);
        words_[3].store(joined(record.items, record.pid), std::memory_order_release);
    }
    /// Returns a copy, which may be a mixture if the worker is writing.
    [[nodiscard]] ChunkRecord load() const noexcept {
        const std::uint64_t begin = words_[0].load(std::memory_order_acquire);
        const std::uint64_t duration = words_[1].load(std::memory_order_acquire);
        const std::uint64_t place = words_[2].load(std::memory_order_acquire);
        const std::uint64_t rest = words_[3].load(std::memory_order_acquire);
        return {begin, duration, low(place), low(place >> 32), low(rest), low(rest >> 32)};
    }
    /// For the worker itself.
    [[nodiscard]] std::uint64_t duration() const noexcept {
        return words_[1].load(std::memory_order_relaxed);
    }

  private:
    static std::uint64_t joined(std::uint32_t first, std::uint32_t second) noexcept {
        return first | std::uint64_t{second} << 32;
    }
    static std::uint32_t low(std::uint64_t word) noexcept {
        return static_cast<std::uint32_t>(word);
    }

    std::atomic<std::uint64_t> words_[4];
};
static_assert(sizeof(SharedRecord) == sizeof(ChunkRecord));

/// A worker's slowest chunks. All zero: none yet.
class SlowestRecords {
  public:
    static constexpr std::size_t count = 5;

    /// Takes a chunk in, if it is one of them.
    void note(const ChunkRecord& record) noexcept {
        const std::uint64_t order = order_.load(std::memory_order_relaxed);
        const std::uint64_t places = order ^ in_a_row;
        if (record.duration <= at(places, count - 1).duration()) return;
        std::size_t rank = count - 1;
        while (rank != 0 && at(places, rank - 1).duration() < record.duration) --rank;
        at(places, count).store(record);
        const std::uint64_t free = places >> count * 4 & 15;
        const std::uint64_t before = (std::uint64_t{1} << rank * 4) - 1;
        const std::uint64_t behind = places & ~before & ((std::uint64_t{1} << count * 4) - 1);
        const std::uint64_t next = (places & before) | free << rank * 4 | behind << 4;
        // The one store that commits it. release: pairs with the acquire in read.
        order_.store(((order & ~all_places) + one_change) | (next ^ in_a_row),
                     std::memory_order_release);
    }

    /// Returns them, the slowest first; where there are fewer, the last ones have no duration.
    [[nodiscard]] std::array<ChunkRecord, count> read() const noexcept {
        std::array<ChunkRecord, count> records;
        for (;;) {
            const std::uint64_t order = order_.load(std::memory_order_acquire);
            for (std::size_t i = 0; i < count; ++i) records[i] = at(order ^ in_a_row, i).load();
            // Unchanged: the worker has written nothing but the record that is not among these.
            if (order_.load(std::memory_order_relaxed) == order) return records;
        }
    }

  private:
    static constexpr std::uint64_t in_a_row = 0x543210;
    static constexpr std::uint64_t all_places = 0xFFFFFF;
    static constexpr std::uint64_t one_change = all_places + 1;

    [[nodiscard]] SharedRecord& at(std::uint64_t places, std::size_t rank) noexcept {
        return records_[places >> rank * 4 & 7];
    }
    [[nodiscard]] const SharedRecord& at(std::uint64_t places, std::size_t rank) const noexcept {
        return records_[places >> rank * 4 & 7];
    }

    // Bits 0 … 23: where the records lie by rank, four bits each, the last one being the place that
    // is free; as a difference from in_a_row. Above them: how often that has changed.
    std::atomic<std::uint64_t> order_;  //  0
    SharedRecord records_[count + 1];   //  8
};
static_assert(sizeof(SlowestRecords) == 200);

/// A worker's log; the ring of its latest chunks follows.
struct alignas(64) WorkerLog {
    std::atomic<std::uint64_t> items;     //   0
    std::atomic<std::uint64_t> busy;      //   8  running chunks
    std::atomic<std::uint64_t> idle;      //  16  waiting for chunks
    std::atomic<std::uint64_t> startup;   //  24  of the present worker: from start to readiness
    std::atomic<std::uint64_t> started;   //  32  moment; the owner's
    std::atomic<std::uint32_t> starts;    //  40  the owner's
    std::atomic<std::uint32_t> pid;       //  44
    std::atomic<std::uint64_t> recorded;  //  48  chunks, ever; the ring has the last of them
    SlowestRecords slowest;               //  56
    std::atomic<std::uint64_t> failed;    // 256  items whose call threw
    std::atomic<std::uint64_t> retried;   // 264  how often an item was tried again after it threw
    std::byte unused[48];                 // 272

    [[nodiscard]] SharedRecord* ring() noexcept {
        return reinterpret_cast<SharedRecord*>(this + 1);
    }

    /// Returns a chunk of the ring, unless the worker has begun to write over it.
    /// @param number below `recorded`, as loaded with acquire
    [[nodiscard]] std::optional<ChunkRecord> read(std::uint64_t number,
                                                  std::uint32_t capacity) noexcept {
        const ChunkRecord record = ring()[number % capacity].load();
        // After the acquire loads of the record: it is no mixture if this is still low enough.
        if (recorded.load(std::memory_order_relaxed) >= number + capacity) return std::nullopt;
        if (record.begin == 0) return std::nullopt;  // of a copy of a log, which lacks it
        return record;
    }

    static constexpr std::size_t size_for(std::uint32_t records) noexcept;
};
static_assert(sizeof(WorkerLog) == 320);

constexpr std::size_t WorkerLog::size_for(std::uint32_t records) noexcept {
    return (sizeof(WorkerLog) + records * sizeof(ChunkRecord) + 63) / 64 * 64;
}

/// The logs of a pool's workers. They lie side by side in memory, and those of places that the pool
/// got later in blocks of their own.
class WorkerLogs {
  public:
    /// Makes one that has no logs yet. @param capacity of each one's ring, in records
    explicit WorkerLogs(std::uint32_t capacity) noexcept : capacity_(capacity) {}
    WorkerLogs(void* first, std::uint32_t count, std::uint32_t capacity) noexcept
        : WorkerLogs(capacity) {
        add(first, count);
    }

    /// Adds a block of logs. There are at most `most_blocks`: each has as many as all before it.
    void add(void* first, std::uint32_t count) noexcept {
        if (block_count_ == most_blocks) return;
        blocks_[block_count_++] = {static_cast<std::byte*>(first), count};
        count_ += count;
    }

    [[nodiscard]] std::uint32_t size() const noexcept { return count_; }
    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] WorkerLog& operator[](std::uint32_t slot) const noexcept {
        const Block* block = blocks_.data();
        for (; slot >= block->count; ++block) slot -= block->count;
        return *reinterpret_cast<WorkerLog*>(block->first + slot * WorkerLog::size_for(capacity_));
    }

  private:
    static constexpr std::size_t most_blocks = 24;
    struct Block {
        std::byte* first;
        std::uint32_t count;
    };

    std::array<Block, most_blocks> blocks_;
    std::size_t block_count_ = 0;
    std::uint32_t count_ = 0;
    std::uint32_t capacity_;
};

/// The logs of workers that are threads, in this process's own memory. A copy is a snapshot.
class LocalLogs {
  public:
    LocalLogs() = default;
    LocalLogs(std::uint32_t count, std::uint32_t capacity) : capacity_(capacity) { add(count); }

    /// Adds logs. Those that are there stay where they are.
    void add(std::uint32_t count) {
        blocks_.push_back(
            {std::vector<Line>(count * WorkerLog::size_for(capacity_) / sizeof(Line)), count});
    }

    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] WorkerLogs view() noexcept {
        WorkerLogs logs(capacity_);
        for (Block& block : blocks_) logs.add(block.lines.data(), block.count);
        return logs;
    }
    operator WorkerLogs() noexcept { return view(); }  // NOLINT(google-explicit-constructor)

  private:
    struct alignas(64) Line {
        std::byte bytes[64];
    };
    struct Block {
        std::vector<Line> lines;
        std::uint32_t count;  // logs
    };

    std::vector<Block> blocks_;
    std::uint32_t capacity_ = 0;
};

/// Adds to a total that only this thread changes.
inline void add_to(std::atomic<std::uint64_t>& total, std::uint64_t more) noexcept {
    total.store(total.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

/// What became of a chunk that a worker has run.
struct ChunkOutcome {
    std::uint32_t failed = 0;   // items that threw
    std::uint32_t retried = 0;  // how often one was tried again, or will be
    bool rests = false;         // whether the rest of it is still to be run: its items count then
};

/// Writes down a chunk. @param capacity of the ring
inline void record_chunk(WorkerLog& log, std::uint32_t capacity, const ChunkRecord& record,
                         const ChunkOutcome& outcome = {}) noexcept {
    if (!outcome.rests) [[likely]]
        add_to(log.items, record.items);
    if (outcome.failed != 0) add_to(log.failed, outcome.failed);
    if (outcome.retried != 0) add_to(log.retried, outcome.retried);
    add_to(log.busy, record.duration);
    const std::uint64_t number = log.recorded.load(std::memory_order_relaxed);
    if (capacity != 0) log.ring()[number % capacity].store(record);
    // The one store that commits the record. release: pairs with the acquire of those who read().
    log.recorded.store(number + 1, std::memory_order_release);
    log.slowest.note(record);
}

}  // namespace multiprocessing::detail
