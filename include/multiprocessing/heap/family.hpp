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
    /// A shadow is a process that has ended, and has forked others that live: what it had inherited
    /// they still have.
    enum Phase : std::uint32_t { free = 0, starting = 1, running = 2, shadow = 3 };

    enum Copies : std::uint32_t {
        none = 0,
        some = 1,
        // It lets go of nothing that it had at the first fork, so that its copies need no epochs:
        // what it holds is held for them, also after its end.
        held_for = 2
    };

    std::atomic<std::uint64_t> state;     //  0  Phase | generation << 2 | pid << 34
    std::atomic<std::uint64_t> alive_at;  //  8  a moment at which the pid was its, boot time in ns
    std::atomic<std::uint64_t> parent;    // 16  the ProcessId of who started it
    std::atomic<std::uint64_t> fork_epoch;    // 24  when it was forked, see Family; 0: it was not
    std::atomic<std::uint32_t> next_free;     // 32
    std::atomic<std::int32_t> exit_status;    // 36  what it said when it left; -1: nothing yet
    std::atomic<std::uint64_t> ending;        // 40  Ending::Kind | value << 16 | generation << 32
    std::atomic<Offset> ledger;               // 48  what it holds, see ledger.hpp; 0 nothing
    std::atomic<std::uint64_t> forker;        // 56  the ProcessId of whose memory it is a copy
    std::atomic<std::uint32_t> copies;        // 64  Copies: whether others are copies of its memory
    std::atomic<std::uint32_t> has_children;  // 68  whether it has started others
    char name[56];                            // 72  cut to 55 bytes

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
/// `forker`'s. One that was started anew has none; a copy of a process that holds things for its
/// copies has no epoch.
struct ForkOrigin {
    std::uint64_t epoch = 0;
    ProcessId forker{};
};

/// The family's part of the segment's first pages.
struct FamilyState {
    std::atomic<std::uint64_t> free_records;  //  first free record: index | tag << 16
    std::atomic<std::uint32_t> used_records;  //  records from here on were never used
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

    /// Opens a new family's table. Once, by its maker.
    void initialize() {
        state_.used_records.store(1);
        state_.fork_clock.store(1);  // above the epoch 0 of processes that were not forked
    }

    ProcessRecord& operator[](ProcessId id) const noexcept { return records_[id.index]; }

    /// Takes a record for a process that is about to start.
    /// @throws std::bad_alloc when 65,535 processes live at once
    ProcessId reserve(ProcessId parent, std::string_view name, ForkOrigin origin = {}) {
        std::uint32_t index = pop_free();
        if (index == 0) index = take_unused();
        if (index == 0) throw std::bad_alloc();
        ProcessRecord& record = records_[index];
        const std::uint32_t generation = ProcessRecord::generation_of(record.state.load()) + 1;
        record.alive_at.store(0, std::memory_order_relaxed);
        record.parent.store(pack(parent), std::memory_order_relaxed);
        record.ledger.store(0, std::memory_order_relaxed);
        record.copies.store(ProcessRecord::none, std::memory_order_relaxed);
        record.has_children.store(0, std::memory_order_relaxed);
        if (parent) records_[parent.index].has_children.store(1, std::memory_order_relaxed);
        note_origin({index, generation}, origin);
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

    /// Gives a record back once its process has ended; a second time does nothing. What the process
    /// held must be swept before, see bury(). One that is a copy itself, and has living copies,
    /// leaves a shadow.
    void release(ProcessId id) noexcept {
        if (!id) return;
        ProcessRecord& record = records_[id.index];
        const bool leaves_shadow = record.forker.load() != 0 && has_living_copies(id);
        std::uint64_t state = record.state.load();
        do {
            if (!ProcessRecord::is_of(state, id)) return;
        } while (!record.state.compare_exchange_weak(
            state, ProcessRecord::pack(id.generation, leaves_shadow ? ProcessRecord::shadow
                                                                    : ProcessRecord::free)));
        if (!leaves_shadow) push_free(id.index);
    }

    /// Makes the record of a process that has ended a shadow, with its ledger.
    void make_shadow(ProcessId id) noexcept {
        records_[id.index].state.store(ProcessRecord::pack(id.generation, ProcessRecord::shadow));
    }

    /// Returns whether there are others that are copies of the process's memory.
    [[nodiscard]] bool has_living_copies(ProcessId id) const noexcept {
        if (records_[id.index].copies.load() == ProcessRecord::none) return false;
        const std::uint32_t used = state_.used_records.load();
        for (std::uint32_t index = 1; index < used; ++index) {
            const ProcessRecord& record = records_[index];
            if (record.phase() != ProcessRecord::free && record.forker.load() == pack(id)) {
                return true;
            }
        }
        return false;
    }

    /// Gives back the records of shadows that nobody is a copy of any more.
    /// @param sweep gives back what a shadow held
    /// @returns whether there are others
    template <class Sweep>
    bool release_shadows(Sweep sweep) noexcept {
        const std::uint32_t used = state_.used_records.load();
        bool others = false;
        for (bool again = true; again;) {
            again = others = false;
            for (std::uint32_t index = 1; index < used; ++index) {
                const std::uint64_t state = records_[index].state.load();
                if (ProcessRecord::phase_of(state) != ProcessRecord::shadow) continue;
                const ProcessId id{index, ProcessRecord::generation_of(state)};
                if (has_living_copies(id)) {
                    others = true;
                    continue;
                }
                sweep(records_[index]);
                records_[index].state.store(
                    ProcessRecord::pack(id.generation, ProcessRecord::free));
                push_free(index);
                again = true;  // the one it was a copy of may be next
            }
        }
        return others;
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
    // was made before a fork must outlive the last handle on it for as long as the child lives, or
    // a copy of the child. The fork clock orders the two: it steps when a fork begins (the child's
    // epoch) and when it ends. It would take centuries to use up 48 bits of it.

    /// Begins a fork and returns its epoch.
    std::uint64_t begin_fork() noexcept {
        const std::uint64_t epoch = state_.fork_clock.fetch_add(1) + 1;
        std::uint64_t last = state_.last_fork.load();
        while (last < epoch && !state_.last_fork.compare_exchange_weak(last, epoch)) {
        }
        return epoch;
    }

    void end_fork() noexcept { state_.fork_clock.fetch_add(1); }

    /// Notes where a process that was just forked has its memory from.
    void note_origin(ProcessId id, ForkOrigin origin) noexcept {
        if (origin.forker) {
            std::uint32_t before = ProcessRecord::none;
            records_[origin.forker.index].copies.compare_exchange_strong(before,
                                                                         ProcessRecord::some);
        }
        records_[id.index].forker.store(pack(origin.forker));
        records_[id.index].fork_epoch.store(origin.epoch);
    }

    /// Returns the moment to note in an object that is made, or let go of, now.
    [[nodiscard]] std::uint64_t fork_clock() const noexcept {
        return state_.fork_clock.load(std::memory_order_relaxed);
    }

    /// Returns whether what was born at that moment was made after all forks.
    [[nodiscard]] bool is_younger_than_forks(std::uint64_t birth) const noexcept {
        return birth > state_.last_fork.load();
    }

    /// Returns whether a forked process lives that may have inherited an object that was born and
    /// let go of at these moments: it, or one that it is a copy of, was forked between the two.
    [[nodiscard]] bool may_be_inherited(std::uint64_t birth, std::uint64_t death) const noexcept {
        if (is_younger_than_forks(birth)) return false;
        bool found = false;
        for_each_epoch(
            [&](std::uint64_t epoch) { found = found || (epoch >= birth && epoch <= death); });
        return found;
    }

    /// Calls `visit` with the epoch of each process that lives and was forked, and of each of which
    /// a living one is a copy.
    template <class Visit>
    void for_each_epoch(Visit visit) const noexcept {
        const std::uint32_t used = state_.used_records.load();
        for (std::uint32_t index = 1; index < used; ++index) {
            const ProcessRecord& record = records_[index];
            if (record.phase() == ProcessRecord::free) continue;
            const std::uint64_t epoch = record.fork_epoch.load();
            if (epoch != 0) visit(epoch);
        }
    }

    /// Calls `found` with each process that has ended, and will be missed by nobody: the one that
    /// started it has ended too, or it came to the family by itself.
    /// @param me a process that need not be looked at: it lives
    /// @returns whether there are living ones that nobody will miss
    template <class Found>
    bool find_dead_orphans(ProcessId me, Found found) {
        bool others = false;
        const std::uint32_t used = state_.used_records.load();
        ProcessId last_parent;  // most have the same one
        bool has_parent = false;
        for (std::uint32_t index = 1; index < used; ++index) {
            const ProcessRecord& record = records_[index];
            const std::uint64_t state = record.state.load();
            if (!ProcessRecord::is_process(state)) continue;
            const ProcessId id{index, ProcessRecord::generation_of(state)};
            const ProcessId parent = unpack(record.parent.load());
            if (parent != last_parent) {
                last_parent = parent;
                has_parent = parent && (parent == me || is_alive(parent));
            }
            // The first process, which came by no fork, ends last, or with the family's children.
            if (has_parent || id == me) continue;
            if (is_alive(id)) {
                others = others || parent || record.fork_epoch.load() != 0;
            } else {
                found(id);
            }
        }
        return others;
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

    // The tag changes with every swap (ABA); 48 bits of it last for centuries.
    static std::uint32_t index_of(std::uint64_t head) noexcept { return head & 0xFFFF; }
    static std::uint64_t next_tag(std::uint64_t head) noexcept { return ((head >> 16) + 1) << 16; }
    static_assert(capacity <= 1 << 16);

    std::uint32_t pop_free() noexcept {
        std::uint64_t head = state_.free_records.load(std::memory_order_acquire);
        while (index_of(head) != 0) {
            const std::uint32_t index = index_of(head);
            const std::uint64_t next = records_[index].next_free.load();
            if (state_.free_records.compare_exchange_weak(head, next_tag(head) | next)) {
                return index;
            }
        }
        return 0;
    }

    void push_free(std::uint32_t index) noexcept {
        std::uint64_t head = state_.free_records.load();
        do {
            records_[index].next_free.store(index_of(head));
        } while (!state_.free_records.compare_exchange_weak(head, next_tag(head) | index));
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
