// multiprocessing/heap/family.hpp
//
// The table of a family's processes, in the segment. It answers "is the process that did this still
// alive?" without being fooled by a recycled pid, and "may a forked child still hold what its
// parent had?". Floor 1. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/heap/segment.hpp"

namespace multiprocessing::detail {

/// Names a process of the family for as long as the family lives: the place of its record, and
/// which of the processes that had the place one after the other it is. Index 0 is no process.
struct ProcessId {
    std::uint32_t index = 0;
    std::uint32_t generation = 0;

    explicit operator bool() const noexcept { return index != 0; }
    friend bool operator==(ProcessId, ProcessId) = default;
};

/// A process of the family. `state` says whether the other fields mean anything; it changes last
/// when the record is filled and first when it is given back.
struct ProcessRecord {
    enum Phase : std::uint32_t { free = 0, starting = 1, running = 2 };

    std::atomic<std::uint32_t> state;     //  0  generation << 2 | Phase
    std::atomic<std::int32_t> pid;        //  4  0 while it is starting
    std::atomic<std::uint64_t> alive_at;  //  8  a moment at which the pid was its, boot time in ns
    std::atomic<std::uint64_t> parent;    // 16  the ProcessId of who started it
    std::atomic<std::uint32_t> fork_epoch;  // 24  when it was forked, see Family; 0: it was not
    std::atomic<std::uint32_t> next_free;   // 28
    std::atomic<std::int32_t> exit_status;  // 32  what it said when it left; -1: nothing yet
    std::uint32_t unused;                   // 36
    char name[88];                          // 40  cut to 87 bytes

    [[nodiscard]] Phase phase() const noexcept {
        return static_cast<Phase>(state.load(std::memory_order_acquire) & 3);
    }
};
static_assert(sizeof(ProcessRecord) == 128);

/// The family's part of the segment's first pages.
struct FamilyState {
    std::atomic<std::uint64_t> free_records;  //  first free record: index | tag << 32
    std::atomic<std::uint32_t> used_records;  //  records from here on were never used
    std::atomic<std::uint32_t> fork_clock;    //  counts the beginnings and ends of forks
    std::atomic<std::uint32_t> last_fork;     //  the epoch of the latest fork
    std::uint32_t unused;                     //
    std::atomic<std::uint64_t> limbo;  //  objects that wait for a forked child, see handle.hpp
};

/// The table, as one process uses it.
class Family {
  public:
    static constexpr std::uint32_t capacity = 1 << 16;
    static constexpr std::size_t table_size = capacity * sizeof(ProcessRecord);

    Family(FamilyState& state, ProcessRecord* records) : state_(state), records_(records) {}

    /// Opens a new family's table. Once, by its maker.
    void initialize() {
        state_.used_records.store(1);
        state_.fork_clock.store(1);  // above the epoch 0 of processes that were not forked
    }

    ProcessRecord& operator[](ProcessId id) const noexcept { return records_[id.index]; }

    /// Takes a record for a process that is about to start.
    /// @throws std::bad_alloc when 65,535 processes live at once
    ProcessId reserve(ProcessId parent, std::string_view name, std::uint32_t fork_epoch) {
        std::uint32_t index = pop_free();
        if (index == 0) index = take_unused();
        if (index == 0 && release_dead_orphans() > 0) index = pop_free();
        if (index == 0) throw std::bad_alloc();
        ProcessRecord& record = records_[index];
        const std::uint32_t generation = (record.state.load() >> 2) + 1;
        record.pid.store(0, std::memory_order_relaxed);
        record.parent.store(pack(parent), std::memory_order_relaxed);
        record.fork_epoch.store(fork_epoch, std::memory_order_relaxed);
        record.exit_status.store(-1, std::memory_order_relaxed);
        const std::size_t length = std::min(name.size(), sizeof record.name - 1);
        std::memcpy(record.name, name.data(), length);
        record.name[length] = '\0';
        // release: whoever sees the phase sees the fields.
        record.state.store(generation << 2 | ProcessRecord::starting, std::memory_order_release);
        return {index, generation};
    }

    /// Fills in the pid. By the process itself and by its parent, whichever is first.
    /// @returns false when the record is not this process's any more
    bool activate(ProcessId id, pid_t pid) noexcept {
        ProcessRecord& record = records_[id.index];
        record.pid.store(pid, std::memory_order_relaxed);
        record.alive_at.store(boot_time_now(), std::memory_order_relaxed);
        std::uint32_t expected = id.generation << 2 | ProcessRecord::starting;
        const std::uint32_t running = id.generation << 2 | ProcessRecord::running;
        return record.state.compare_exchange_strong(expected, running) || expected == running;
    }

    /// Gives a record back once its process has ended; a second time does nothing.
    void release(ProcessId id) noexcept {
        if (!id) return;
        ProcessRecord& record = records_[id.index];
        std::uint32_t state = record.state.load();
        do {
            if (state >> 2 != id.generation || (state & 3) == ProcessRecord::free) return;
        } while (!record.state.compare_exchange_weak(state, id.generation << 2));
        push_free(id.index);
    }

    /// Returns whether the process still runs; a zombie does not. Costs two system calls or more.
    [[nodiscard]] bool is_alive(ProcessId id) const {
        const ProcessRecord& record = records_[id.index];
        const std::uint32_t state = record.state.load(std::memory_order_acquire);
        if (state >> 2 != id.generation || (state & 3) == ProcessRecord::free) return false;
        if ((state & 3) == ProcessRecord::starting) return is_alive(unpack(record.parent.load()));
        const bool alive = process_is_alive_since(record.pid.load(), record.alive_at.load());
        return alive && record.state.load() == state;
    }

    // --- forks ---
    //
    // A forked child has, without asking, a copy of every handle its parent had. So an object that
    // was made before a fork must outlive the last handle on it for as long as the child lives. The
    // fork clock orders the two: it steps when a fork begins (the child's epoch) and when it ends.

    /// Begins a fork and returns its epoch.
    std::uint32_t begin_fork() noexcept {
        const std::uint32_t epoch = state_.fork_clock.fetch_add(1) + 1;
        std::uint32_t last = state_.last_fork.load();
        while (last < epoch && !state_.last_fork.compare_exchange_weak(last, epoch)) {
        }
        return epoch;
    }

    void end_fork() noexcept { state_.fork_clock.fetch_add(1); }

    /// Returns the time of birth to note in an object that is made now.
    [[nodiscard]] std::uint32_t birth() const noexcept {
        return state_.fork_clock.load(std::memory_order_relaxed);
    }

    /// Returns whether a forked process lives that may have inherited an object born at `birth`.
    [[nodiscard]] bool may_be_inherited(std::uint32_t birth) const noexcept {
        if (birth > state_.last_fork.load()) return false;
        const std::uint32_t used = state_.used_records.load();
        for (std::uint32_t index = 1; index < used; ++index) {
            const ProcessRecord& record = records_[index];
            if (record.phase() != ProcessRecord::free && record.fork_epoch.load() >= birth) {
                return true;
            }
        }
        return false;
    }

    std::atomic<std::uint64_t>& limbo() const noexcept { return state_.limbo; }

    /// Gives back the records of processes that ended after the one that would have done it.
    /// @returns how many there were
    int release_dead_orphans() {
        int released = 0;
        const std::uint32_t used = state_.used_records.load();
        for (std::uint32_t index = 1; index < used; ++index) {
            const ProcessRecord& record = records_[index];
            const std::uint32_t state = record.state.load();
            const ProcessId id{index, state >> 2};
            const ProcessId parent = unpack(record.parent.load());
            const bool taken = (state & 3) != ProcessRecord::free;
            if (taken && parent && !is_alive(parent) && !is_alive(id)) {
                release(id);
                ++released;
            }
        }
        return released;
    }

    static std::uint64_t pack(ProcessId id) noexcept {
        return id.index | std::uint64_t{id.generation} << 32;
    }
    static ProcessId unpack(std::uint64_t word) noexcept {
        return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32)};
    }

  private:
    std::uint32_t pop_free() noexcept {
        std::uint64_t head = state_.free_records.load(std::memory_order_acquire);
        while (static_cast<std::uint32_t>(head) != 0) {
            const std::uint64_t next = records_[static_cast<std::uint32_t>(head)].next_free.load();
            const std::uint64_t tagged = next | (((head >> 32) + 1) << 32);
            if (state_.free_records.compare_exchange_weak(head, tagged)) {
                return static_cast<std::uint32_t>(head);
            }
        }
        return 0;
    }

    void push_free(std::uint32_t index) noexcept {
        std::uint64_t head = state_.free_records.load();
        std::uint64_t tagged = 0;
        do {
            records_[index].next_free.store(static_cast<std::uint32_t>(head));
            tagged = index | (((head >> 32) + 1) << 32);
        } while (!state_.free_records.compare_exchange_weak(head, tagged));
    }

    std::uint32_t take_unused() noexcept {
        std::uint32_t index = state_.used_records.load();
        do {
            if (index == capacity) return 0;
        } while (!state_.used_records.compare_exchange_weak(index, index + 1));
        return index;
    }

    FamilyState& state_;
    ProcessRecord* records_;
};

}  // namespace multiprocessing::detail
