// multiprocessing/pool/owner/watcher.ipp
//
// How a pool's workers are watched, replaced and buried: see watcher.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/watcher.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/heap/local_mutex.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/owner/workplace.hpp"
#include "multiprocessing/pool/worker/worker.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// A worker whose end the thread waits for.
struct Watcher::Watched {
    std::uint32_t slot;
    std::shared_ptr<Child> child;
    bool has_ended = false;
};

MULTIPROCESSING_INLINE Watcher::Watcher(Workplace& place)
    : place_(place),
      settlement_(place.options.retries, place.options.task_timeout,
                  place.options.rules.memory_limit),
      memory_watch_(place.options.rules.memory_limit),
      time_limit_(place.options.task_timeout) {
    settlement_.open(*place.board, place.entries, place.delays, place.history);
    looks_ = time_limit_.is_set() || place.delays.is_set() || place.soft_stop.is_set() ||
             memory_watch_.is_set();
}

MULTIPROCESSING_INLINE bool Watcher::misses_new_tasks() const noexcept {
    return (looks_ && !ticking_) || place_.roster.has_vacancies();
}

MULTIPROCESSING_INLINE void Watcher::run() {
    std::vector<pollfd> ends;
    std::vector<Watched> watched;
    for (bool goes_on = true; goes_on;) {
        survive([&] {
            goes_on = prepare_poll(ends, watched);
            if (goes_on) watch_once(ends, watched);
        });
    }
    Lock lock(place_.mutex);
    is_over_ = true;
    while (!survive([&] {
        if (!lock.owns_lock()) lock.lock();
        place_.soft_stop.ask_all(*place_.crew, *place_.board, lock);
        place_.crew->end(termination_grace, lock);
    })) {
    }
    place_.pending.give_up(nullptr);  // nothing, unless the pool was terminated
    place_.tell_of_withdrawn();
}

/// Does something for which memory, a descriptor or a permission may be missing. A moment later it
/// may be there.
/// @returns whether it was done
template <class Action>
bool Watcher::survive(Action action) {
    try {
        action();
        return true;
    } catch (const std::exception& error) {
        try {
            place_.report_later("in the thread that watches a pool, which tries again",
                                error.what());
        } catch (...) {  // no memory to say so
        }
        ::usleep(restart_delay * 1000);
        return false;
    }
}

/// Waits for the end of a worker, or until a thread wakes this one, and handles it.
MULTIPROCESSING_INLINE void Watcher::watch_once(std::vector<pollfd>& ends,
                                                std::vector<Watched>& watched) {
    // A worker that has ended may have no descriptor.
    const bool any_ended = std::ranges::any_of(ends, [](const auto& end) { return end.fd < 0; });
    const int ready = ::poll(ends.data(), ends.size(), any_ended ? 0 : poll_milliseconds());
    if (ready < 0) return;  // EINTR; ENOMEM: again
    if (ready == 0) settlement_.look_at_memory();
    // Without the lock: it may take long to learn how a worker has ended, if only a fork server
    // knows.
    for (std::size_t i = 0; i < watched.size(); ++i) {
        const pollfd& end = ends[i + 1];
        watched[i].has_ended = (end.fd < 0 || end.revents != 0) && !watched[i].child->is_alive();
    }
    Lock lock(place_.mutex);
    if (ends[0].revents != 0) place_.wake.heed(ends[0].revents);
    bool all_buried = true;
    for (const Watched& each : watched) {
        if (each.has_ended) all_buried &= bury(each.slot);
    }
    if (ticking_) look_at_tasks(lock);
    lock.unlock();
    if (!all_buried) ::usleep(restart_delay * 1000);
}

/// Has missing workers replaced, and lists the descriptors to wait on. @returns false: it is over
MULTIPROCESSING_INLINE bool Watcher::prepare_poll(std::vector<pollfd>& ends,
                                                  std::vector<Watched>& watched) {
    const std::lock_guard guard(place_.mutex);
    const auto phase = place_.board->phase.load();
    if (phase == PoolBoard::terminated) return false;
    const bool work_left = place_.entries.has_untaken_chunks();
    // The workers of a closed pool leave when there is nothing to take.
    missing_workers_ = false;
    if (phase == PoolBoard::running || work_left) replace_workers();
    ends.assign(1, {place_.wake.get(), POLLIN, 0});
    watched.clear();
    bool any_under_way = false;
    for (std::uint32_t slot = 0; slot < place_.crew->size(); ++slot) {
        CrewMember& member = (*place_.crew)[slot];
        if (!member.child) continue;
        ends.push_back({member.child->end_descriptor(), POLLIN, 0});
        watched.push_back({slot, member.child});
        any_under_way |= looks_ && place_.crew->batch_under_way(slot) != nullptr;
    }
    // After that: a chunk that is not under way any more has left its note before.
    if (place_.delays.is_set()) place_.delays.take_notes(*place_.board, place_.pending);
    const bool some_rest = !place_.delays.is_empty();
    ticking_ = looks_ && (work_left || any_under_way || some_rest);
    // Workers on demand: who looked free may have taken another chunk meanwhile.
    looks_again_ = work_left && place_.roster.has_vacancies();
    // Only closed pools run out of workers; a start that failed is tried again.
    return !watched.empty() || phase != PoolBoard::closing || work_left || some_rest;
}

MULTIPROCESSING_INLINE int Watcher::poll_milliseconds() const noexcept {
    if (missing_workers_) return restart_delay;
    int tick = looks_again_ ? second_look_delay : longest_tick;
    if (!ticking_) {
        if (looks_again_) return tick;
        return settlement_.has_looked_at_memory() ? -1 : first_look_delay;
    }
    if (time_limit_.is_set()) tick = (std::min)(tick, time_limit_.tick());
    if (memory_watch_.is_set()) tick = (std::min)(tick, memory_watch_.tick());
    if (place_.soft_stop.is_set()) tick = (std::min)(tick, place_.soft_stop.tick());
    if (place_.delays.is_set()) tick = (std::min)(tick, place_.delays.tick());
    return tick;
}

/// Looks at the tasks under way, and at those that rest.
MULTIPROCESSING_INLINE void Watcher::look_at_tasks(Lock& lock) {
    if (time_limit_.is_set()) time_limit_.end_slow_tasks(*place_.crew, place_.soft_stop, lock);
    if (memory_watch_.is_set()) memory_watch_.end_big_tasks(*place_.crew, *place_.board, lock);
    if (place_.soft_stop.is_set()) place_.soft_stop.end_deaf_tasks(*place_.crew, lock);
    if (place_.delays.is_set()) {
        place_.delays.take_notes(*place_.board, place_.pending);
        place_.delays.look(*place_.board, place_.entries);
    }
}

// --- new workers ---

/// Has the missing workers started. The thread that starts them wakes this one.
MULTIPROCESSING_INLINE void Watcher::replace_workers() {
    std::uint32_t hires = place_.roster.hires();
    for (std::uint32_t slot = 0; slot < place_.roster.size() && hires != 0; ++slot) {
        CrewMember& member = (*place_.crew)[slot];
        if (member.child || member.expected) continue;
        if (last_start_failed_ && monotonic_now() < next_start_) {
            missing_workers_ = true;
            return;
        }
        place_.recruiter.send([this, slot] { replace(slot); });
        member.expected = true;
        --hires;
    }
}

/// Ends a worker that came too late.
[[gnu::cold]] MULTIPROCESSING_INLINE void dismiss(Child& child) noexcept {
    try {
        child.signal(SIGKILL);
        child.wait(Timeout());
        state().remove(child);
    } catch (...) {  // it ends with this process at the latest
    }
}

/// Starts a worker, as an errand.
MULTIPROCESSING_INLINE void Watcher::replace(std::uint32_t slot) noexcept {
    WorkerOrders orders{};
    {
        const std::lock_guard guard(place_.mutex);
        if (is_over_) return;
        if (slot >= place_.roster.size()) {  // the pool has become smaller meanwhile
            (*place_.crew)[slot].expected = false;
            return;
        }
        orders = place_.crew->expect(slot);
    }
    std::shared_ptr<Child> child;
    try {
        child = place_.crew->launch(orders);
    } catch (const std::exception& error) {
        return note_failed_start(slot, error.what());
    } catch (...) {  // from an initializer's argument, when it is written
        return note_failed_start(slot, "an object that is not a std::exception");
    }
    Lock lock(place_.mutex);
    if (is_over_) {
        lock.unlock();
        dismiss(*child);
        return;
    }
    place_.crew->admit(slot, std::move(child));
    last_start_failed_ = false;
    failed_starts_ = 0;
    place_.wake.stir();
    try {
        kill_if_cancelled(slot, lock);
    } catch (const std::exception&) {  // no descriptor, or no permission: the task goes on
    }
}

/// Kills the worker if its batch was cancelled while the worker was being admitted.
MULTIPROCESSING_INLINE void Watcher::kill_if_cancelled(std::uint32_t slot, Lock& lock) {
    const auto is_at_a_cancelled_batch = [&] {
        Batch* const batch = place_.crew->batch_under_way(slot);
        if (batch == nullptr) return false;
        const auto pending = place_.entries.find(heap().offset_of(batch));
        return pending != nullptr && pending->kills_workers();
    };
    place_.soft_stop.end_if(*place_.crew, slot, Doom::cancelled, lock,
                            std::ref(is_at_a_cancelled_batch));
}

MULTIPROCESSING_INLINE void Watcher::note_failed_start(std::uint32_t slot,
                                                       const char* why) noexcept {
    const std::lock_guard guard(place_.mutex);
    (*place_.crew)[slot].expected = false;
    last_start_failed_ = true;
    next_start_ = monotonic_now() + restart_delay * 1'000'000ULL;
    try {
        if (++failed_starts_ > most_failed_starts && place_.crew->is_empty()) {
            place_.break_locked(std::string("no worker can be started: ") + why);
        }
    } catch (...) {  // no memory to say so; the next one will
    }
    place_.wake.stir();
}

// --- dead workers ---

/// Finds out what a worker that has ended was doing, and settles it.
/// @returns false when there was no memory for it: it stays dead, and is looked at again
MULTIPROCESSING_INLINE bool Watcher::bury(std::uint32_t slot) {
    try {
        settle(slot);
        return true;
    } catch (const std::exception& error) {
        place_.report_later("a worker was lost, and what it did cannot be told yet", error.what());
        return false;
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void Watcher::settle(std::uint32_t slot_index) {
    CrewMember& member = (*place_.crew)[slot_index];
    if (!member.child) return;
    // One that has ended because it was asked to: not by itself.
    const Doom doom =
        member.doom == Doom::none && place_.crew->is_asked(slot_index) ? member.asked : member.doom;
    const WorkerEnd end{*member.child->exitcode(), member.child->pid(), slot_index, member.ticket,
                        doom};
    state().remove(*member.child);
    WorkerSlot& slot = place_.board->worker_slots()[slot_index];
    const bool held_a_chunk = settlement_.settle(slot, end);
    if (slot.parked.exchange(0) != 0) place_.board->parked.fetch_sub(1);
    std::uint32_t as_spinner = slot_index + 1;
    place_.board->spinner.compare_exchange_strong(as_spinner, 0);
    slot.entry.store(0);
    member.child.reset();
    // It may have been woken for new work, and have ended before it took any. Who replaces it may
    // be long in coming, or need not come.
    if (place_.entries.has_untaken_chunks()) announce_work(*place_.board, 1, false);
    if (member.told_to_leave || slot.stay.load() == Stay::left_idle) {
        place_.board->logs()[slot_index].pid.store(0, std::memory_order_relaxed);
        return log_burial(slot_index, end);
    }
    const bool was_ready = slot.ready.load() != 0;
    const bool finished_some =
        place_.board->logs()[slot_index].recorded.load() != member.records_before;
    const bool lived = was_ready && monotonic_now() - member.started > 1'000'000'000;
    if (held_a_chunk || finished_some || lived) {
        useless_starts_ = 0;
    } else {
        note_useless_start(was_ready ? "before they take a task" : "before they are ready",
                           end.exitcode);
    }
    log_burial(slot_index, end);
}

MULTIPROCESSING_INLINE void Watcher::log_burial(std::uint32_t slot, const WorkerEnd& end) {
    place_.log_later([&] {
        return joined(
            {"cleaning up worker ", slot, " (pid ", end.pid, ", exitcode ", end.exitcode, ")"});
    });
}

/// Notes that a worker ended before it took anything. When that goes on, other workers would be
/// started for ever: the pool is of no use.
MULTIPROCESSING_INLINE void Watcher::note_useless_start(const char* how, int exitcode) {
    if (const Offset failure = place_.board->failure.load()) {
        const PayloadView payload(heap().at(failure));
        InputArchive archive(payload.bytes(), payload.handles());
        place_.break_locked(archive.read<std::string>());
        return;  // the text goes with the board
    }
    // A SIGKILL comes from outside, and may be meant for the present workers only.
    useless_starts_ += exitcode == -SIGKILL ? 1 : 10;
    if (useless_starts_ > 10 * (4 * place_.options.workers + 8)) {
        place_.break_locked(
            joined({"the workers end ", how, ", the last one with exit code ", exitcode}));
    }
}

}  // namespace multiprocessing::detail
