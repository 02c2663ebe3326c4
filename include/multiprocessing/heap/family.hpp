// multiprocessing/heap/family.hpp
//
// The table of a family's processes, in the segment. It answers two questions: is the process that
// did this still alive, also where its pid was recycled; and may a forked child still hold what its
// parent had. Floor 1. Start at Family::reserve. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "multiprocessing/heap/segment.hpp"

namespace multiprocessing::detail {

/// Names a process of the family for as long as the family lives. The index is the place of its
/// record; the generation tells it from the others that have had this place before or after it.
/// Index 0 is no process.
struct ProcessId {
    std::uint32_t index = 0;
    std::uint32_t generation = 0;

    explicit operator bool() const noexcept { return index != 0; }
    friend bool operator==(ProcessId, ProcessId) = default;
};

/// How a process ended. The process that collects its status notes it here for the others.
struct Ending {
    enum Kind : std::uint16_t {
        none = 0,
        ended = 1,   // `value` is its exit code
        refused = 2  // there was none: fork failed with the errno `value`
    };
    Kind kind = none;
    std::int16_t value = 0;
};

/// A process of the family. `state` says whether the other fields mean anything. It changes last
/// when the record is filled, and first when it is given back.
struct ProcessRecord {
    /// A shadow is a process that has ended, but has forked others that live: they still have what
    /// it had inherited.
    enum Phase : std::uint32_t { free = 0, starting = 1, running = 2, shadow = 3 };

    enum Copies : std::uint32_t {
        none = 0,
        some = 1,
        // It lets go of nothing that it had at the first fork. So its copies need no epochs: what
        // it holds is held for them, also after its end.
        held_for = 2
    };

    std::atomic<std::uint64_t> state;         //  0  Phase | generation << 2 | pid << 34
    std::atomic<std::uint64_t> alive_at;      //  8  a time when it had the pid, boot time in ns
    std::atomic<std::uint64_t> parent;        // 16  the ProcessId of the process that started it
    std::atomic<std::uint64_t> fork_epoch;    // 24  when it was forked, see Family; 0: it was not
    std::atomic<std::uint32_t> next_free;     // 32
    std::atomic<std::int32_t> exit_status;    // 36  what it said when it left, or said_nothing, …
    std::atomic<std::uint64_t> ending;        // 40  Ending::Kind | value << 16 | generation << 32
    std::atomic<Offset> ledger;               // 48  what it holds, see ledger.hpp; 0 nothing
    std::atomic<std::uint64_t> forker;        // 56  the ProcessId of the one it is a copy of
    std::atomic<std::uint32_t> copies;        // 64  Copies: whether others are copies of it
    std::atomic<std::uint32_t> has_children;  // 68  whether it has started others
    char name[56];                            // 72  cut to 55 bytes

    static constexpr std::int32_t said_nothing = -1;
    static constexpr std::int32_t on_hold = -2;  // it said nothing, and is not to begin yet
    static constexpr std::int32_t arrived = -3;  // it said nothing, but has begun

    [[nodiscard]] Phase phase() const noexcept {
        return phase_of(state.load(std::memory_order_acquire));
    }
    static constexpr std::uint64_t pack(std::uint32_t generation, Phase phase,
                                        pid_t pid = 0) noexcept {
        return phase | std::uint64_t{generation} << 2 | static_cast<std::uint64_t>(pid) << 34;
    }
    static constexpr Phase phase_of(std::uint64_t state) noexcept {
        return static_cast<Phase>(state & 3);
    }
    static constexpr std::uint32_t generation_of(std::uint64_t state) noexcept {
        return static_cast<std::uint32_t>(state >> 2);
    }
    static constexpr pid_t pid_of(std::uint64_t state) noexcept {
        return static_cast<pid_t>(state >> 34);
    }
    /// Returns whether a process with this id has the record in `state`.
    static constexpr bool is_of(std::uint64_t state, ProcessId id) noexcept {
        return generation_of(state) == id.generation && is_process(state);
    }
    static constexpr bool is_process(std::uint64_t state) noexcept {
        return phase_of(state) == starting || phase_of(state) == running;
    }
};
static_assert(sizeof(ProcessRecord) == 128);

/// Where a process has its memory from: at the moment `epoch` of the fork clock it was a copy of
/// the memory of `forker`. A process that was started anew has neither. A copy of a process that
/// holds things for its copies has no epoch.
struct ForkOrigin {
    std::uint64_t epoch = 0;
    ProcessId forker{};
};

/// The family's part of the segment's first pages.
struct FamilyState {
    std::atomic<std::uint64_t> free_records;  //  first free record: index | tag << 16
    std::atomic<std::uint32_t> used_records;  //  the first record that was never used
    std::uint32_t unused;                     //
    std::atomic<std::uint64_t> fork_clock;    //  counts the beginnings and ends of forks
    std::atomic<std::uint64_t> last_fork;     //  the epoch of the latest fork
};

/// The table, as one process uses it.
class Family {
  public:
    static constexpr std::uint32_t capacity = 1 << 16;
    static constexpr std::size_t table_size = capacity * sizeof(ProcessRecord);

    Family(FamilyState& state, ProcessRecord* records) : state_(state), records_(records) {}

    /// Opens a new family's table. Its maker calls this once.
    void initialize();

    ProcessRecord& operator[](ProcessId id) const noexcept { return records_[id.index]; }

    /// Takes a record for a process that is about to start.
    /// @throws std::bad_alloc when 65,535 processes live at once
    ProcessId reserve(ProcessId parent, std::string_view name, ForkOrigin origin = {});

    /// Fills in the pid, which makes the process a running one. The process itself and its parent
    /// both call this; the first call counts.
    /// @returns false when the record is no longer this process's
    bool activate(ProcessId id, pid_t pid) noexcept;

    /// Takes the record back from a process that has not begun to run. If the process begins later,
    /// its own `activate` tells it. @returns false when it has begun
    bool withdraw(ProcessId id) noexcept;

    /// Gives a record back once its process has ended; a second time does nothing. What the process
    /// held must be swept before, see bury(). A process that is a copy itself, and has living
    /// copies, leaves a shadow.
    void release(ProcessId id) noexcept;

    /// Makes the record of a process that has ended a shadow, with its ledger.
    void make_shadow(ProcessId id) noexcept {
        records_[id.index].state.store(ProcessRecord::pack(id.generation, ProcessRecord::shadow));
    }

    /// Returns whether there are others that are copies of the process's memory.
    [[nodiscard]] bool has_living_copies(ProcessId id) const noexcept;

    /// Gives back the records of shadows that no process is a copy of any more.
    /// @param sweep_one gives back what a shadow held
    /// @returns whether there are others
    bool release_shadows(void (*sweep_one)(ProcessRecord&) noexcept) noexcept;

    /// Returns whether the process still runs; a zombie does not. Costs two system calls or more.
    [[nodiscard]] bool is_alive(ProcessId id) const;

    /// Returns whether the process runs and is not stopped, as far as the system tells.
    [[nodiscard]] bool may_run(ProcessId id) const;

    // --- beginnings ---

    /// Makes a process that is about to be started wait at its beginning.
    void hold(ProcessId id) noexcept {
        records_[id.index].exit_status.store(ProcessRecord::on_hold);
    }

    /// Lets it go on. Nothing happens to a process that was not held.
    void let_go(ProcessId id) noexcept;

    /// Waits for as long as this process is held and its parent lives. The process itself calls
    /// this.
    void wait_while_held(ProcessId id) const;

    /// Notes that a process has begun with what it was started for. The process itself calls this.
    void note_arrival(ProcessId id) noexcept {
        std::int32_t expected = ProcessRecord::said_nothing;
        records_[id.index].exit_status.compare_exchange_strong(expected, ProcessRecord::arrived);
    }
    /// Returns whether it ever has. @pre it has ended, and its record is not another's
    [[nodiscard]] bool has_arrived(ProcessId id) const noexcept {
        return records_[id.index].exit_status.load() != ProcessRecord::said_nothing;
    }

    // --- endings ---
    //
    // The kernel gives the status of a process to the parent that the kernel knows. Where another
    // process started it, the status is passed on here.

    /// Notes how the process ended, once, and wakes those who wait for it to run or to end.
    void note_ending(ProcessId id, Ending ending) noexcept;

    /// Returns what was noted.
    [[nodiscard]] Ending ending(ProcessId id) const noexcept;

    // --- forks ---
    //
    // A forked child has a copy of every handle its parent had, without asking. So an object that
    // was made before a fork must outlive the last handle on it for as long as the child lives, or
    // a copy of the child. The fork clock orders the two: it steps when a fork begins (the child's
    // epoch) and when it ends. It would take centuries to use up 48 bits of it.

    /// Begins a fork and returns its epoch.
    std::uint64_t begin_fork() noexcept;

    /// Ends it.
    void end_fork() noexcept { state_.fork_clock.fetch_add(1); }

    /// Notes where a process that was just forked has its memory from.
    void note_origin(ProcessId id, ForkOrigin origin) noexcept;

    /// Returns the moment to note in an object that is made, or let go of, now.
    [[nodiscard]] std::uint64_t fork_clock() const noexcept {
        return state_.fork_clock.load(std::memory_order_relaxed);
    }

    /// Returns whether what was born at that moment was made after all forks.
    [[nodiscard]] bool is_younger_than_forks(std::uint64_t birth) const noexcept {
        return birth > state_.last_fork.load();
    }

    /// Returns whether a forked process lives that may have inherited an object that was born and
    /// let go of at these moments: it was forked between the two, or is a copy of one that was.
    [[nodiscard]] bool may_be_inherited(std::uint64_t birth, std::uint64_t death) const noexcept;

    /// Calls `matches` with the epoch of each process that lives and was forked, and of each that a
    /// living process is a copy of, until `matches` returns true. @returns whether it did
    template <class Predicate>
    bool any_epoch(Predicate matches) const noexcept {
        // From the last one on. A program that waits for many children begins with the first, as a
        // rule, so a living one is soon found.
        for (std::uint32_t index = state_.used_records.load(); --index > 0;) {
            const ProcessRecord& record = records_[index];
            if (record.phase() == ProcessRecord::free) continue;
            const std::uint64_t epoch = record.fork_epoch.load();
            if (epoch != 0 && matches(epoch)) return true;
        }
        return false;
    }

    /// Calls `bury_one` with each process that has ended, and will be missed by nobody: the process
    /// that started it has ended too, or it came to the family by itself.
    /// @param me a process that need not be looked at: it lives
    /// @param buried counts them, also when this throws
    /// @returns whether there are living ones that nobody will miss
    bool bury_dead_orphans(ProcessId me, void (*bury_one)(ProcessId) noexcept, int& buried);

    /// Returns a process's id in one word, for an atomic one.
    static std::uint64_t pack(ProcessId id) noexcept {
        return id.index | std::uint64_t{id.generation} << 32;
    }
    /// Returns the id that pack() made the word of.
    static ProcessId unpack(std::uint64_t word) noexcept {
        return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32)};
    }

  private:
    // The tag changes with every swap (ABA); 48 bits of it last for centuries.
    static std::uint32_t index_of(std::uint64_t head) noexcept { return head & 0xFFFF; }
    static std::uint64_t next_tag(std::uint64_t head) noexcept { return ((head >> 16) + 1) << 16; }
    static_assert(capacity <= 1 << 16);

    std::uint32_t pop_free() noexcept;
    void push_free(std::uint32_t index) noexcept;
    std::uint32_t take_unused() noexcept;

    FamilyState& state_;
    ProcessRecord* records_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/family.ipp"
#endif
