// multiprocessing/heap/family.hpp
//
// The table of a family's processes, in the segment. It answers "is the process that did this still
// alive?" without being fooled by a recycled pid, and "may a forked child still hold what its
// parent had?". Floor 1. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include "multiprocessing/detail/futex.hpp"
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

/// How a process ended, as whoever collects its status has noted it for the others.
struct Ending {
    enum Kind : std::uint16_t {
        none = 0,
        ended = 1,   // `value` is its exit code
        refused = 2  // it never was: fork failed with the errno `value`
    };
    Kind kind = none;
    std::int16_t value = 0;
};

/// A process of the family. `state` says whether the other fields mean anything; it changes last
/// when the record is filled and first when it is given back.
struct ProcessRecord {
    enum Phase : std::uint32_t { free = 0, starting = 1, running = 2 };

    std::atomic<std::uint64_t> state;     //  0  Phase | generation << 2 | pid << 32
    std::atomic<std::uint64_t> alive_at;  //  8  a moment at which the pid was its, boot time in ns
    std::atomic<std::uint64_t> parent;    // 16  the ProcessId of who started it
    std::atomic<std::uint32_t> fork_epoch;  // 24  when it was forked, see Family; 0: it was not
    std::atomic<std::uint32_t> next_free;   // 28
    std::atomic<std::int32_t> exit_status;  // 32  what it said when it left; -1: nothing yet
    std::uint32_t unused;                   // 36
    std::atomic<std::uint64_t> ending;      // 40  Ending::Kind | value << 16 | generation << 32
    char name[80];                          // 48  cut to 79 bytes

    [[nodiscard]] Phase phase() const noexcept {
        return phase_of(state.load(std::memory_order_acquire));
    }
    static constexpr std::uint64_t pack(std::uint32_t generation, Phase phase,
                                        pid_t pid = 0) noexcept {
        return static_cast<std::uint32_t>(generation << 2 | phase) | static_cast<std::uint64_t>(pid)
                                                                         << 32;
    }
    static constexpr Phase phase_of(std::uint64_t state) noexcept {
        return static_cast<Phase>(state & 3);
    }
    static constexpr std::uint32_t generation_of(std::uint64_t state) noexcept {
        return static_cast<std::uint32_t>(state) >> 2;
    }
    static constexpr pid_t pid_of(std::uint64_t state) noexcept {
        return static_cast<pid_t>(state >> 32);
    }
    /// Returns whether a process with this id has the record in `state`.
    static constexpr bool is_of(std::uint64_t state, ProcessId id) noexcept {
        return generation_of(state) == id.generation && phase_of(state) != free;
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
        const std::uint32_t generation = ProcessRecord::generation_of(record.state.load()) + 1;
        record.alive_at.store(0, std::memory_order_relaxed);
        record.parent.store(pack(parent), std::memory_order_relaxed);
        record.fork_epoch.store(fork_epoch, std::memory_order_relaxed);
        record.exit_status.store(-1, std::memory_order_relaxed);
        record.ending.store(pack_ending(generation, {}), std::memory_order_relaxed);
        const std::size_t length = std::min(name.size(), sizeof record.name - 1);
        std::memcpy(record.name, name.data(), length);
        record.name[length] = '\0';
        // release: whoever sees the phase sees the fields.
        record.state.store(ProcessRecord::pack(generation, ProcessRecord::starting),
                           std::memory_order_release);
        return {index, generation};
    }

    /// Fills in the pid, which makes the process a running one. By the process itself and by its
    /// parent, whichever is first.
    /// @returns false when the record is not this process's any more
    bool activate(ProcessId id, pid_t pid) noexcept {
        ProcessRecord& record = records_[id.index];
        // It only grows: whoever comes too late, when the record is another's, does no harm.
        const std::uint64_t now = boot_time_now();
        std::uint64_t known = record.alive_at.load(std::memory_order_relaxed);
        while (known < now && !record.alive_at.compare_exchange_weak(known, now)) {
        }
        std::uint64_t expected = ProcessRecord::pack(id.generation, ProcessRecord::starting);
        const std::uint64_t running =
            ProcessRecord::pack(id.generation, ProcessRecord::running, pid);
        // Commits: from here on the process counts.
        return record.state.compare_exchange_strong(expected, running) || expected == running;
    }

    /// Takes the record back from a process that has not begun to run; if it does so later, its own
    /// `activate` tells it. @returns false when it has begun
    bool withdraw(ProcessId id) noexcept {
        std::uint64_t expected = ProcessRecord::pack(id.generation, ProcessRecord::starting);
        const std::uint64_t free = ProcessRecord::pack(id.generation, ProcessRecord::free);
        if (!records_[id.index].state.compare_exchange_strong(expected, free)) return false;
        push_free(id.index);
        return true;
    }

    /// Gives a record back once its process has ended; a second time does nothing.
    void release(ProcessId id) noexcept {
        if (!id) return;
        ProcessRecord& record = records_[id.index];
        std::uint64_t state = record.state.load();
        do {
            if (!ProcessRecord::is_of(state, id)) return;
        } while (!record.state.compare_exchange_weak(
            state, ProcessRecord::pack(id.generation, ProcessRecord::free)));
        push_free(id.index);
    }

    /// Returns whether the process still runs; a zombie does not. Costs two system calls or more.
    [[nodiscard]] bool is_alive(ProcessId id) const {
        const ProcessRecord& record = records_[id.index];
        const std::uint64_t state = record.state.load(std::memory_order_acquire);
        if (!ProcessRecord::is_of(state, id)) return false;
        if (ProcessRecord::phase_of(state) == ProcessRecord::starting) {
            return is_alive(unpack(record.parent.load()));
        }
        const pid_t pid = ProcessRecord::pid_of(state);
        return process_is_alive_since(pid, record.alive_at.load()) && record.state.load() == state;
    }

    // --- endings ---
    //
    // The status of a process goes to its parent in the kernel's sense. Where that is not the one
    // that started it, it is passed on here.

    /// Notes how the process ended, once, and wakes who waits for it to run or to end.
    void note_ending(ProcessId id, Ending ending) noexcept {
        ProcessRecord& record = records_[id.index];
        std::uint64_t none = pack_ending(id.generation, {});
        // release: pairs with the acquire in ending(). Compared: the record may be another's.
        if (!record.ending.compare_exchange_strong(none, pack_ending(id.generation, ending),
                                                   std::memory_order_release)) {
            return;
        }
        futex_wake(futex_half(record.ending));
        futex_wake(futex_half(record.state));
    }

    /// Returns what was noted.
    [[nodiscard]] Ending ending(ProcessId id) const noexcept {
        const std::uint64_t word = records_[id.index].ending.load(std::memory_order_acquire);
        if (word >> 32 != id.generation) return {};
        return {static_cast<Ending::Kind>(word & 0xFFFF),
                static_cast<std::int16_t>(word >> 16 & 0xFFFF)};
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
            const std::uint64_t state = record.state.load();
            const ProcessId id{index, ProcessRecord::generation_of(state)};
            const ProcessId parent = unpack(record.parent.load());
            const bool taken = ProcessRecord::phase_of(state) != ProcessRecord::free;
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
    static constexpr std::uint64_t pack_ending(std::uint32_t generation, Ending ending) noexcept {
        return ending.kind | std::uint64_t{static_cast<std::uint16_t>(ending.value)} << 16 |
               std::uint64_t{generation} << 32;
    }

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
