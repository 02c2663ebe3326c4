// multiprocessing/pool/owner/crew.ipp
//
// How a pool's workers are started, stopped and ended: see crew.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/crew.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <utility>
#include <vector>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/detail/signal_set.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/heap/local_mutex.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/pool/worker/worker.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/process/descendants.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

// --- signals and ends of workers ---

/// Sends a signal, unless there is no descriptor for it, or no permission.
[[gnu::cold]] MULTIPROCESSING_INLINE void try_to_signal(Child& child, int number) noexcept {
    try {
        child.signal(number);
    } catch (const std::exception&) {  // the caller does without it
    }
}

/// Kills a worker that is stopped, with everything that it has started, as far as there is memory
/// to find that.
/// @returns false when the system does not allow it
[[gnu::cold]] MULTIPROCESSING_INLINE bool try_to_kill(Child& child) noexcept {
    try {
        kill_descendants(std::array{child.pid()});
    } catch (const std::exception&) {  // above all, the worker itself must not go on
    }
    try {
        child.signal(SIGKILL);
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

/// Waits for a worker's end. Until the deadline the worker may end by itself; then it is killed.
[[gnu::cold]] MULTIPROCESSING_INLINE void see_off(Child& child, const Deadline& deadline) noexcept {
    for (bool has_ended = false; !has_ended;) {
        try {
            has_ended = child.wait(deadline);
            if (!has_ended) child.signal(SIGKILL);
            has_ended = child.wait(Timeout());
            state().remove(child);
        } catch (const std::exception&) {
            ::usleep(1000);  // out of descriptors or memory; again
        }
    }
}

/// Returns whether a process has stopped, where there is no /proc. Of a process that a fork server
/// has forked nobody tells: this returns false until it has ended, and the caller waits for as long
/// as it may.
[[gnu::cold]] MULTIPROCESSING_INLINE bool has_stopped(pid_t pid) noexcept {
    siginfo_t info{};
    const int options = WSTOPPED | WEXITED | WNOHANG | WNOWAIT;
    const bool is_child = ::waitid(P_PID, static_cast<id_t>(pid), &info, options) == 0;
    return is_child ? info.si_pid != 0 : !pid_is_running(pid);
}

/// Waits until SIGSTOP has taken effect, which is a moment after it is sent. A process that a
/// device keeps from stopping does not run a task to its end either.
[[gnu::cold]] MULTIPROCESSING_INLINE void wait_for_stop(pid_t pid) {
    const Deadline deadline(std::chrono::milliseconds(50));
    while (!deadline.has_passed()) {
        const auto status = process_status(pid);
        if (status ? status->state != 'R' && status->state != 'S' : has_stopped(pid)) return;
        ::usleep(20);
    }
}

/// Stops the busy ones of the workers, and kills what they have started.
[[gnu::cold]] MULTIPROCESSING_INLINE void stop_and_strip(
    const std::vector<std::shared_ptr<Child>>& workers, const std::vector<pid_t>& busy) {
    if (busy.empty()) return;
    for (const auto& child : workers) {
        if (std::ranges::find(busy, child->pid()) != busy.end()) {
            try_to_signal(*child, SIGSTOP);
        }
    }
    for (const pid_t pid : busy) wait_for_stop(pid);
    try {
        kill_descendants(busy);
    } catch (const std::exception&) {  // out of memory: the workers themselves must end
    }
}

// --- Crew ---

MULTIPROCESSING_INLINE Crew::Crew(StartWorker starter, std::shared_ptr<Target> initializer,
                                  const sigset_t& mask)
    : start_(starter), initializer_(std::move(initializer)), signal_mask_(to_bits(mask)) {}

MULTIPROCESSING_INLINE void Crew::open(PoolBoard& board) {
    board_ = &board;
    fit_to_board();
}

MULTIPROCESSING_INLINE void Crew::fit_to_board() {
    while (size() < board_->worker_count.load()) {
        members_.push_back(std::make_unique<CrewMember>());
    }
}

MULTIPROCESSING_INLINE std::uint32_t Crew::size() const noexcept {
    return static_cast<std::uint32_t>(members_.size());
}

MULTIPROCESSING_INLINE bool Crew::is_empty() const noexcept {
    return std::all_of(members_.begin(), members_.end(),
                       [](const auto& member) { return member->child == nullptr; });
}

MULTIPROCESSING_INLINE void Crew::start(std::uint32_t slot) { admit(slot, launch(expect(slot))); }

MULTIPROCESSING_INLINE WorkerOrders Crew::expect(std::uint32_t slot) noexcept {
    CrewMember& member = *members_[slot];
    WorkerLog& log = board_->logs()[slot];
    member = {};
    member.expected = true;
    member.ticket = ++last_ticket_ & (UINT32_MAX >> 2);
    member.started = monotonic_now();
    member.records_before = log.recorded.load();
    board_->worker_slots()[slot].ready.store(0);
    board_->worker_slots()[slot].stay.store(Stay::here);
    board_->worker_slots()[slot].stop_turn.store(0);
    log.started.store(member.started, std::memory_order_relaxed);
    return {heap().offset_of(board_), slot, member.ticket, signal_mask_};
}

MULTIPROCESSING_INLINE std::shared_ptr<Child> Crew::launch(const WorkerOrders& orders) const {
    std::shared_ptr<Child> child = start_(orders, initializer_);
    log_if_enabled(log_level::debug, [] { return "added worker"; });
    return child;
}

MULTIPROCESSING_INLINE void Crew::admit(std::uint32_t slot, std::shared_ptr<Child> child) noexcept {
    WorkerLog& log = board_->logs()[slot];
    members_[slot]->child = std::move(child);
    members_[slot]->expected = false;
    log.starts.store(log.starts.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

MULTIPROCESSING_INLINE Batch* Crew::batch_under_way(std::uint32_t slot) const noexcept {
    const WorkerSlot& place = board_->worker_slots()[slot];
    const Offset entry = place.entry.load();
    if (entry == 0 || heap().at<Entry>(entry)->batch == 0) return nullptr;
    Batch& batch = *heap().at<Batch>(heap().at<Entry>(entry)->batch);
    const std::uint32_t chunk = place.chunk.load();
    const std::uint32_t mine = members_[slot]->ticket << 2 | Chunk::taken;
    return chunk < batch.chunk_count() && batch.chunks()[chunk].state.load() == mine ? &batch
                                                                                     : nullptr;
}

MULTIPROCESSING_INLINE TaskMark Crew::mark_of(std::uint32_t slot) const noexcept {
    const WorkerSlot& place = board_->worker_slots()[slot];
    return {place.turn.load(), place.item.load()};
}

MULTIPROCESSING_INLINE bool Crew::may_have_to_record(std::uint32_t slot,
                                                     std::uint64_t turn) const noexcept {
    const WorkerSlot& place = board_->worker_slots()[slot];
    if (!members_[slot]->child || place.ready.load() == 0) return false;
    if (place.parked.load() != 0 || place.turn.load() != turn) return false;  // it has gone on
    return batch_under_way(slot) == nullptr;
}

MULTIPROCESSING_INLINE void Crew::kill_if(std::uint32_t slot, Doom doom, Lock& lock,
                                          const std::function<bool()>& condition) {
    const std::shared_ptr<Child> child = members_[slot]->child;
    if (!child || members_[slot]->doom != Doom::none || !condition()) return;
    lock.unlock();
    {
        // Else one thread could let it go on while another takes it for stopped.
        const std::lock_guard alone(examining_);
        child->signal(SIGSTOP);
        wait_for_stop(child->pid());
        lock.lock();
        const bool is_there = members_[slot]->child == child && members_[slot]->doom == Doom::none;
        const bool doomed = is_there && condition();
        if (doomed) members_[slot]->doom = doom;
        lock.unlock();
        if (!doomed) {
            child->signal(SIGCONT);
        } else if (!try_to_kill(*child)) {
            // It stays stopped until it is looked at again.
            lock.lock();
            if (members_[slot]->child == child) members_[slot]->doom = Doom::none;
            return;
        }
    }
    lock.lock();
}

MULTIPROCESSING_INLINE void Crew::ask_if(std::uint32_t slot, Doom doom, Lock& lock,
                                         const std::function<bool()>& condition) {
    const std::shared_ptr<Child> child = members_[slot]->child;
    if (!child || members_[slot]->doom != Doom::none || is_asked(slot) || !condition()) return;
    lock.unlock();
    {
        // As in kill_if: the signal must not meet another task.
        const std::lock_guard alone(examining_);
        child->signal(SIGSTOP);
        wait_for_stop(child->pid());
        lock.lock();
        const bool is_there = members_[slot]->child == child && members_[slot]->doom == Doom::none;
        const bool is_meant = is_there && !is_asked(slot) && condition();
        if (is_meant) note_asked(slot, doom);
        lock.unlock();
        if (is_meant) child->signal(SIGTERM);
        child->signal(SIGCONT);
    }
    lock.lock();
}

MULTIPROCESSING_INLINE void Crew::note_asked(std::uint32_t slot, Doom doom) noexcept {
    CrewMember& member = *members_[slot];
    WorkerSlot& place = board_->worker_slots()[slot];
    member.asked = doom;
    member.asked_mark = mark_of(slot);
    member.asked_since = monotonic_now();
    // A cancelled call's other items are not wanted either.
    const bool all = doom == Doom::cancelled;
    place.stop_item.store(all ? WorkerSlot::all_items : member.asked_mark.item);
    place.stop_turn.store(member.asked_mark.turn);  // release: pairs with WorkerTask's load
    place.stops.fetch_add(1);
    futex_wake(place.stops);
}

MULTIPROCESSING_INLINE bool Crew::is_asked(std::uint32_t slot) const noexcept {
    const CrewMember& member = *members_[slot];
    if (member.asked_since == 0 || batch_under_way(slot) == nullptr) return false;
    const TaskMark mark = mark_of(slot);
    if (member.asked == Doom::cancelled) return mark.turn == member.asked_mark.turn;
    return mark == member.asked_mark;
}

MULTIPROCESSING_INLINE void Crew::end(std::chrono::milliseconds grace, Lock& lock) {
    std::vector<std::shared_ptr<Child>> leaving;
    std::vector<pid_t> busy;
    leaving.reserve(size());
    busy.reserve(size());
    for (std::uint32_t slot = 0; slot < size(); ++slot) {
        if (!members_[slot]->child) continue;
        if (batch_under_way(slot) != nullptr) busy.push_back(members_[slot]->child->pid());
        leaving.push_back(std::move(members_[slot]->child));
    }
    lock.unlock();
    stop_and_strip(leaving, busy);
    for (const auto& child : leaving) try_to_signal(*child, SIGTERM);
    for (const auto& child : leaving) try_to_signal(*child, SIGCONT);
    const Deadline deadline(grace);
    for (const auto& child : leaving) see_off(*child, deadline);
    lock.lock();
}

}  // namespace multiprocessing::detail
