// multiprocessing/heap/family.ipp
//
// How the table of processes changes, and who in it is alive: see family.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/family.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/pidfd.hpp"

namespace multiprocessing::detail {

/// Returns the futex of a word. Only its address is used.
MULTIPROCESSING_INLINE const FutexWord& futex_of(const std::atomic<std::int32_t>& word) noexcept {
    return reinterpret_cast<const FutexWord&>(word);
}

constexpr std::uint64_t pack_ending(std::uint32_t generation, Ending ending) noexcept {
    return ending.kind | std::uint64_t{static_cast<std::uint16_t>(ending.value)} << 16 |
           std::uint64_t{generation} << 32;
}

MULTIPROCESSING_INLINE void Family::initialize() {
    state_.used_records.store(1);
    state_.fork_clock.store(1);  // above the epoch 0 of processes that were not forked
}

MULTIPROCESSING_INLINE ProcessId Family::reserve(ProcessId parent, std::string_view name,
                                                 ForkOrigin origin) {
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
    record.exit_status.store(ProcessRecord::said_nothing, std::memory_order_relaxed);
    record.ending.store(pack_ending(generation, {}), std::memory_order_relaxed);
    const std::size_t length = (std::min)(name.size(), sizeof record.name - 1);
    std::memcpy(record.name, name.data(), length);
    record.name[length] = '\0';
    // release: whoever sees the phase sees the fields.
    record.state.store(ProcessRecord::pack(generation, ProcessRecord::starting),
                       std::memory_order_release);
    return {index, generation};
}

MULTIPROCESSING_INLINE bool Family::activate(ProcessId id, pid_t pid) noexcept {
    ProcessRecord& record = records_[id.index];
    // It only grows: a call that comes too late, when the record is another's, does no harm.
    const std::uint64_t now = boot_time_now();
    std::uint64_t known = record.alive_at.load(std::memory_order_relaxed);
    while (known < now && !record.alive_at.compare_exchange_weak(known, now)) {
    }
    std::uint64_t expected = ProcessRecord::pack(id.generation, ProcessRecord::starting);
    const std::uint64_t running = ProcessRecord::pack(id.generation, ProcessRecord::running, pid);
    // Commits: from here on the process counts.
    return record.state.compare_exchange_strong(expected, running) || expected == running;
}

MULTIPROCESSING_INLINE bool Family::withdraw(ProcessId id) noexcept {
    std::uint64_t expected = ProcessRecord::pack(id.generation, ProcessRecord::starting);
    const std::uint64_t free = ProcessRecord::pack(id.generation, ProcessRecord::free);
    if (!records_[id.index].state.compare_exchange_strong(expected, free)) return false;
    push_free(id.index);
    return true;
}

MULTIPROCESSING_INLINE void Family::release(ProcessId id) noexcept {
    if (!id) return;
    ProcessRecord& record = records_[id.index];
    const bool leaves_shadow = record.forker.load() != 0 && has_living_copies(id);
    std::uint64_t state = record.state.load();
    do {
        if (!ProcessRecord::is_of(state, id)) return;
    } while (!record.state.compare_exchange_weak(
        state, ProcessRecord::pack(id.generation,
                                   leaves_shadow ? ProcessRecord::shadow : ProcessRecord::free)));
    if (!leaves_shadow) push_free(id.index);
}

MULTIPROCESSING_INLINE bool Family::has_living_copies(ProcessId id) const noexcept {
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

MULTIPROCESSING_INLINE bool Family::release_shadows(
    void (*sweep_one)(ProcessRecord&) noexcept) noexcept {
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
            sweep_one(records_[index]);
            records_[index].state.store(ProcessRecord::pack(id.generation, ProcessRecord::free));
            push_free(index);
            again = true;  // the one it was a copy of may be next
        }
    }
    return others;
}

MULTIPROCESSING_INLINE bool Family::is_alive(ProcessId id) const {
    const ProcessRecord& record = records_[id.index];
    const std::uint64_t state = record.state.load(std::memory_order_acquire);
    if (!ProcessRecord::is_of(state, id)) return false;
    if (ProcessRecord::phase_of(state) == ProcessRecord::starting) {
        return is_alive(unpack(record.parent.load()));
    }
    const pid_t pid = ProcessRecord::pid_of(state);
    return process_is_alive_since(pid, record.alive_at.load()) && record.state.load() == state;
}

MULTIPROCESSING_INLINE bool Family::may_run(ProcessId id) const {
    if (!is_alive(id)) return false;
    const auto status = process_status(ProcessRecord::pid_of(records_[id.index].state.load()));
    return !status || (status->state != 'T' && status->state != 't');
}

// --- beginnings ---

MULTIPROCESSING_INLINE void Family::let_go(ProcessId id) noexcept {
    std::int32_t expected = ProcessRecord::on_hold;
    std::atomic<std::int32_t>& word = records_[id.index].exit_status;
    if (word.load(std::memory_order_relaxed) != expected) [[likely]]
        return;
    word.compare_exchange_strong(expected, ProcessRecord::said_nothing);
    futex_wake(futex_of(word));
}

MULTIPROCESSING_INLINE void Family::wait_while_held(ProcessId id) const {
    const ProcessRecord& record = records_[id.index];
    while (record.exit_status.load(std::memory_order_relaxed) == ProcessRecord::on_hold)
        [[unlikely]] {
        constexpr timespec interval{0, 5'000'000};
        const bool timed_out =
            futex_wait(futex_of(record.exit_status),
                       static_cast<std::uint32_t>(ProcessRecord::on_hold), &interval);
        if (timed_out && !is_alive(unpack(record.parent.load()))) return;
    }
}

// --- endings ---

MULTIPROCESSING_INLINE void Family::note_ending(ProcessId id, Ending ending) noexcept {
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

MULTIPROCESSING_INLINE Ending Family::ending(ProcessId id) const noexcept {
    const std::uint64_t word = records_[id.index].ending.load(std::memory_order_acquire);
    if (word >> 32 != id.generation) return {};
    return {static_cast<Ending::Kind>(word & 0xFFFF),
            static_cast<std::int16_t>(word >> 16 & 0xFFFF)};
}

// --- forks ---

MULTIPROCESSING_INLINE std::uint64_t Family::begin_fork() noexcept {
    const std::uint64_t epoch = state_.fork_clock.fetch_add(1) + 1;
    std::uint64_t last = state_.last_fork.load();
    while (last < epoch && !state_.last_fork.compare_exchange_weak(last, epoch)) {
    }
    return epoch;
}

MULTIPROCESSING_INLINE void Family::note_origin(ProcessId id, ForkOrigin origin) noexcept {
    if (origin.forker) {
        std::uint32_t before = ProcessRecord::none;
        records_[origin.forker.index].copies.compare_exchange_strong(before, ProcessRecord::some);
    }
    records_[id.index].forker.store(pack(origin.forker));
    records_[id.index].fork_epoch.store(origin.epoch);
}

MULTIPROCESSING_INLINE bool Family::may_be_inherited(std::uint64_t birth,
                                                     std::uint64_t death) const noexcept {
    if (is_younger_than_forks(birth)) return false;
    return any_epoch([&](std::uint64_t epoch) { return epoch >= birth && epoch <= death; });
}

MULTIPROCESSING_INLINE bool Family::bury_dead_orphans(ProcessId me,
                                                      void (*bury_one)(ProcessId) noexcept,
                                                      int& buried) {
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
            bury_one(id);
            ++buried;
        }
    }
    return others;
}

MULTIPROCESSING_INLINE std::uint32_t Family::pop_free() noexcept {
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

MULTIPROCESSING_INLINE void Family::push_free(std::uint32_t index) noexcept {
    std::uint64_t head = state_.free_records.load();
    do {
        records_[index].next_free.store(index_of(head));
    } while (!state_.free_records.compare_exchange_weak(head, next_tag(head) | index));
}

MULTIPROCESSING_INLINE std::uint32_t Family::take_unused() noexcept {
    std::uint32_t index = state_.used_records.load();
    do {
        if (index == capacity) return 0;
    } while (!state_.used_records.compare_exchange_weak(index, index + 1));
    return index;
}

}  // namespace multiprocessing::detail
