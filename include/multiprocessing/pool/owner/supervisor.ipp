// multiprocessing/pool/owner/supervisor.ipp
//
// How a pool of processes takes calls, and how it ends: see supervisor.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/supervisor.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/recycling_allocator.hpp"
#include "multiprocessing/detail/signal_set.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::shared_ptr<Supervisor> Supervisor::make(
    const SupervisorOptions& options, StartWorker start, std::shared_ptr<Target> init) {
    const SignalBlock block;
    auto crew = std::make_unique<Crew>(start, std::move(init), block.before());
    auto made = std::make_shared<Supervisor>(options, std::move(crew));
    made->open();
    return made;
}

MULTIPROCESSING_INLINE Supervisor::Supervisor(const SupervisorOptions& options,
                                              std::unique_ptr<Crew> crew)
    : place_(options, std::move(crew)), watcher_(place_) {}

MULTIPROCESSING_INLINE void Supervisor::end(OtherCallbacks others) {
    if (!place_.is_owner()) return;
    terminate();
    leave(others);
}

MULTIPROCESSING_INLINE void Supervisor::finish(OtherCallbacks others) {
    if (!place_.is_owner()) return;
    close();
    feed_streams();
    leave(others);
}

MULTIPROCESSING_INLINE std::shared_ptr<PendingBatch> Supervisor::submit(BatchOwner batch,
                                                                        const SubmitOptions& how) {
    auto pending = std::allocate_shared<PendingBatch>(RecyclingAllocator<PendingBatch>(),
                                                      std::move(batch), how.wish.priority);
    check_owner();
    PoolBoard& board = *place_.board;
    std::unique_lock guard(place_.mutex);
    check_running_locked(how);
    const bool counts = place_.door.is_set() && !how.caller_waits && !how.of_stream;
    if (counts) [[unlikely]]
        come_in(guard, how, pending);
    // A caller that waits cannot cancel.
    if (!how.caller_waits) pending->set_canceller(weak_from_this());
    // The records of workers have the low half. In front of it stands what makes it the only one,
    // and keeps the order.
    (*pending)->serial = how.number == 0 ? ++last_serial_ : ++last_serial_ << 32 | how.number;
    (*pending)->keep_errors = how.of_stream ? 1 : 0;
    (*pending)->commit_each = place_.options.retries > 0 || how.of_stream ? 1 : 0;
    (*pending)->notice.store(how.of_stream ? Batch::of_each_chunk : Batch::nobody,
                             std::memory_order_relaxed);
    if (!how.wish.timeout.is_forever()) [[unlikely]]
        (*pending)->time_limit = watcher_.note_limit(how.wish.timeout);
    EntryList& entries = list(pending, how);
    place_.history.note_call((*pending)->serial, (*pending)->function, how.of_stream);
    const bool nobody_is_awake = board.spinner.load() == 0;
    if (how.caller_waits && nobody_is_awake) {
        pending->announce_when_waiting(board);
    } else if (announce_work(board, (*pending)->chunk_count(), how.caller_waits)) {
        pending->expect_soon();
    }
    entries.free_passed();
    if (watcher_.misses_new_tasks()) place_.wake.stir();
    return pending;
}

/// Lets the workers see a call. @returns the list that it is in
MULTIPROCESSING_INLINE EntryList& Supervisor::list(const std::shared_ptr<PendingBatch>& pending,
                                                   const SubmitOptions& how) {
    try {
        EntryList& entries = place_.entries.list_of(how.wish.priority);
        place_.pending.add(pending);
        entries.append((*pending)->whole, pending);
        return entries;
    } catch (...) {  // no memory; it must not keep its place at the door, nor be waited for
        pending->give_up(std::current_exception());
        throw;
    }
}

/// Waits until one more call may wait for a worker, and notes it.
MULTIPROCESSING_INLINE void Supervisor::come_in(std::unique_lock<LocalMutex>& lock,
                                                const SubmitOptions& how,
                                                const std::shared_ptr<PendingBatch>& pending) {
    TaskPolicy& policy = *heap().at<TaskPolicy>(place_.board->policy);
    const Deadline deadline(how.wish.submit_timeout);
    while (!place_.door.has_place()) {
        place_.door.wait(policy, lock, deadline);
        check_running_locked(how);
    }
    place_.door.add(pending);
}

MULTIPROCESSING_INLINE void Supervisor::forget(const std::shared_ptr<PendingBatch>& pending) {
    const std::lock_guard guard(place_.mutex);
    place_.pending.remove(pending);
}

MULTIPROCESSING_INLINE bool Supervisor::cancel(PendingBatch& batch, bool kill_running) {
    check_owner();
    std::unique_lock lock(place_.mutex);
    if (batch.is_over()) return batch.is_cancelled();
    const bool any_untaken = batch.cancel_untaken();
    if (!any_untaken && !kill_running) return false;
    if (kill_running) batch.kill_workers();
    const bool cancelled = batch.give_up_as_cancelled();
    place_.tell_of_withdrawn();
    for (std::uint32_t slot = 0; kill_running && slot < place_.crew->size(); ++slot) {
        const auto is_at_it = [&] { return place_.crew->batch_under_way(slot) == &*batch; };
        place_.soft_stop.end_if(*place_.crew, slot, Doom::cancelled, lock, std::ref(is_at_it));
    }
    return cancelled;
}

MULTIPROCESSING_INLINE void Supervisor::cancel_untaken() {
    check_owner();
    std::vector<std::shared_ptr<StreamFeed>> feeds;
    {
        const std::lock_guard guard(place_.mutex);
        feeds = streams_.feeds();
        for (const auto& pending : place_.pending) {
            if (!pending->is_over() && !pending->is_started() && pending->cancel_untaken()) {
                pending->give_up_as_cancelled();
            }
        }
        place_.tell_of_withdrawn();
    }
    for (const auto& feed : feeds) feed->cut(std::make_exception_ptr(CancelledError()));
}

MULTIPROCESSING_INLINE void Supervisor::check_running() const {
    check_owner();
    const std::lock_guard guard(place_.mutex);
    check_running_locked({});
}

MULTIPROCESSING_INLINE void Supervisor::resize(std::uint32_t workers) {
    check_owner();
    const std::lock_guard guard(place_.mutex);
    check_running_locked({});
    place_.roster.resize(workers);
    place_.wake.stir();  // the thread that watches starts those that are missing
}

MULTIPROCESSING_INLINE void Supervisor::set_on_exit(const Target& call) {
    check_owner();
    Payload message(heap().at(make_exit_message(call)));
    const std::lock_guard guard(place_.mutex);
    check_running_locked({});
    auto& former = place_.former_exit_messages;
    former.reserve(former.size() + 1);
    // seq_cst: a worker that sees the message sees what is in it.
    const Offset before =
        place_.board->staffing.on_exit.exchange(heap().offset_of(message.release()));
    if (before != 0) former.push_back(before);
}

MULTIPROCESSING_INLINE void Supervisor::close() {
    check_owner();
    log_if_enabled(log_level::debug, [] { return "closing pool"; });
    const std::lock_guard guard(place_.mutex);
    closed_ = true;
    if (streams_.is_empty()) let_workers_leave();
}

MULTIPROCESSING_INLINE void Supervisor::add_stream(const std::shared_ptr<StreamFeed>& feed) {
    check_owner();
    const std::lock_guard guard(place_.mutex);
    check_running_locked({});
    streams_.add(feed);
    feed->set_registration({this, [self = shared_from_this()](void*) {
                                if (!self->is_owner()) return;  // a forked child's copy
                                const std::lock_guard lock(self->place_.mutex);
                                if (self->streams_.remove() && self->closed_) {
                                    self->let_workers_leave();
                                }
                            }});
}

MULTIPROCESSING_INLINE void Supervisor::terminate() {
    check_owner();
    if (place_.board->phase.load() == PoolBoard::terminated) return;
    log_if_enabled(log_level::debug, [] { return "terminating pool"; });
    const std::lock_guard guard(place_.mutex);
    if (place_.board->phase.load() == PoolBoard::terminated) return;
    place_.terminate_locked(nullptr);
}

MULTIPROCESSING_INLINE void Supervisor::terminate_and_wait() {
    terminate();
    leave(OtherCallbacks::after);
}

MULTIPROCESSING_INLINE void Supervisor::join() {
    check_owner();
    if (!closed_ && place_.board->phase.load() == PoolBoard::running) {
        throw ValueError("Pool is still running");
    }
    if (place_.courier.is_current()) {
        throw RuntimeError(
            "a callback cannot join its own pool: it would wait for its own end. It may close "
            "or terminate the pool; let another thread join it");
    }
    feed_streams();
    leave(OtherCallbacks::after);
}

MULTIPROCESSING_INLINE const char* Supervisor::state_name() const noexcept {
    if (!is_owner()) return "INHERITED";
    if (place_.board->phase.load() == PoolBoard::terminated) return "TERMINATE";
    return closed_ ? "CLOSE" : "RUN";
}

MULTIPROCESSING_INLINE History Supervisor::history() const {
    // In a forked child the rest may have been changing just then.
    if (!is_owner()) return History(place_.history.begin());
    const std::lock_guard guard(place_.mutex);
    History history = place_.history;
    for (std::uint32_t slot = 0; slot < place_.crew->size(); ++slot) {
        const auto& child = (*place_.crew)[slot].child;
        history.note_present(slot, child ? child->pid() : 0);
    }
    return history;
}

MULTIPROCESSING_INLINE void Supervisor::wait_for_records() const {
    if (!is_owner()) return;
    const Deadline deadline(std::chrono::milliseconds(50));
    std::unique_lock lock(place_.mutex);
    std::vector<std::uint64_t> turns;
    for (std::uint32_t slot = 0; slot < place_.crew->size(); ++slot) {
        turns.push_back(place_.crew->mark_of(slot).turn);
    }
    for (std::uint32_t slot = 0; slot < turns.size(); ++slot) {
        while (place_.crew->may_have_to_record(slot, turns[slot]) && !deadline.has_passed()) {
            lock.unlock();
            ::usleep(20);
            lock.lock();
        }
    }
}

MULTIPROCESSING_INLINE void Supervisor::open() {
    place_.open(weak_from_this());
    try {
        const bool at_once = !place_.options.staff.on_demand;
        for (std::uint32_t slot = 0; at_once && slot < worker_count(); ++slot) {
            place_.crew->start(slot);
        }
        watching_.start(shared_from_this(), [this] { watcher_.run(); });
    } catch (...) {
        std::unique_lock lock(place_.mutex);
        place_.crew->end(std::chrono::milliseconds(0), lock);
        throw;
    }
}

/// A pool that came to a child by fork is not the child's: there, its lock may be locked for ever.
MULTIPROCESSING_INLINE void Supervisor::check_owner() const {
    if (!is_owner()) throw ValueError("Pool not running in this process: it is another's");
}

MULTIPROCESSING_INLINE void Supervisor::check_running_locked(const SubmitOptions& how) const {
    if (place_.broken) std::rethrow_exception(place_.broken);
    const std::uint32_t phase = place_.board->phase.load();
    if (how.of_stream && phase == PoolBoard::terminated) throw CancelledError();
    if (phase != PoolBoard::running || (closed_ && !how.of_stream)) {
        throw ValueError("Pool not running");
    }
}

MULTIPROCESSING_INLINE void Supervisor::let_workers_leave() {
    std::uint32_t running = PoolBoard::running;
    if (place_.board->phase.compare_exchange_strong(running, PoolBoard::closing)) {
        place_.stir();
    }
}

/// Reads the input of streams to its end: a closed pool finishes what it was given, and nobody else
/// may be reading it.
MULTIPROCESSING_INLINE void Supervisor::feed_streams() {
    for (;;) {
        std::vector<std::shared_ptr<StreamFeed>> feeds;
        {
            const std::lock_guard guard(place_.mutex);
            if (place_.board->phase.load() != PoolBoard::running) return;
            feeds = streams_.feeds();
        }
        for (const auto& feed : feeds) feed->finish_input();
    }
}

/// Waits for the pool's threads; not for those that wait for this one.
MULTIPROCESSING_INLINE void Supervisor::leave(OtherCallbacks others) {
    watching_.wait();
    Courier& courier = place_.courier;
    if (!courier.is_current()) {
        courier.drain();
        courier.wait();
    } else if (others == OtherCallbacks::within) {
        courier.drain_here();
    } else {
        courier.drain();
    }
    place_.recruiter.stop();
    place_.recruiter.wait();
}

}  // namespace multiprocessing::detail
