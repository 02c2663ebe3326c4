// multiprocessing/pool/threads/thread_crew.ipp
//
// How the threads of a ThreadPool take calls and run them: see thread_crew.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/threads/thread_crew.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/threads/thread_call.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void ThreadCrew::start(std::uint32_t threads, std::uint32_t traced,
                                              const TaskRules& rules,
                                              std::function<void()> initialize) {
    initialize_ = std::move(initialize);
    rules_ = rules;
    logs_ = LocalLogs(threads, traced);
    courier_.open(arrivals(), weak_from_this());
    try {
        const std::lock_guard guard(mutex_);
        size_.store(threads, std::memory_order_relaxed);
        occupied_.resize(threads);
        start_missing_locked();
    } catch (...) {
        end();
        throw;
    }
}

MULTIPROCESSING_INLINE void ThreadCrew::submit(const std::shared_ptr<ThreadCall>& call,
                                               const SubmitOptions& how) {
    check_owner();
    Calls dropped;  // declared before the lock, so that calls are destroyed without it
    std::unique_lock guard(mutex_);
    check_running_locked(how.of_stream);
    if (rules_.max_pending != 0) come_in(guard, how);
    call->set_place(++last_order_, arrivals(), how, rules_);
    history_.note_call(last_order_, call->function(), how.of_stream);
    queue_.push(call, how.wish.priority);
    try {
        note_locked(call, dropped);
    } catch (...) {
        queue_.pop_latest(how.wish.priority);
        throw;
    }
    const std::uint32_t chunks = call->chunk_count();
    if (chunks == 1) {
        work_.notify_one();
    } else {
        work_.notify_all();
    }
}

/// Waits until one more call may wait for a thread. A task does not wait: the thread that it waited
/// for may be its own.
MULTIPROCESSING_INLINE void ThreadCrew::come_in(std::unique_lock<std::mutex>& lock,
                                                const SubmitOptions& how) {
    if (how.caller_waits || how.of_stream || is_own_thread()) return;
    const Deadline deadline(how.wish.submit_timeout);
    while (!has_place()) {
        if (deadline.has_passed()) throw_no_place(rules_.max_pending);
        // A call that is cancelled tells nobody, so nobody sleeps for longer.
        begun_.wait_for(lock, (std::min)(deadline.left(), std::chrono::nanoseconds(50'000'000)));
        check_running_locked(false);
    }
}

MULTIPROCESSING_INLINE bool ThreadCrew::has_place() const {
    std::size_t waiting = 0;
    queue_.for_each([&](const auto& call) {
        if (call->counts_as_waiting()) ++waiting;
    });
    return waiting < rules_.max_pending;
}

MULTIPROCESSING_INLINE void ThreadCrew::check_running() const {
    check_owner();
    const std::lock_guard guard(mutex_);
    check_running_locked(false);
}

MULTIPROCESSING_INLINE void ThreadCrew::resize(std::uint32_t threads) {
    check_owner();
    const std::lock_guard guard(mutex_);
    check_running_locked(false);
    if (threads > occupied_.size()) {
        logs_.add(threads - static_cast<std::uint32_t>(occupied_.size()));
        occupied_.resize(threads);
    }
    size_.store(threads, std::memory_order_relaxed);
    work_.notify_all();  // those that are to leave
    start_missing_locked();
}

/// Starts a thread for each place that has none. Threads that have ended are forgotten.
MULTIPROCESSING_INLINE void ThreadCrew::start_missing_locked() {
    threads_.remove_if(
        [](const PoolThread& thread) { return !thread.was_started() || thread.has_ended(); });
    for (std::uint32_t slot = 0; slot < size(); ++slot) {
        if (occupied_[slot]) continue;
        PoolThread& thread = threads_.emplace_back();
        thread.start_unblocked(shared_from_this(),
                               [this, slot, now = monotonic_now()] { work(slot, now); });
        occupied_[slot] = true;
    }
}

MULTIPROCESSING_INLINE void ThreadCrew::close() {
    check_owner();
    const std::lock_guard guard(mutex_);
    closed_ = true;
    if (streams_.is_empty()) let_threads_leave();
}

MULTIPROCESSING_INLINE void ThreadCrew::add_stream(const std::shared_ptr<StreamFeed>& feed) {
    check_owner();
    const std::lock_guard guard(mutex_);
    check_running_locked(false);
    streams_.add(feed);
    feed->set_registration({this, [self = shared_from_this()](void*) {
                                if (!self->is_owner()) return;  // a forked child's copy
                                const std::lock_guard lock(self->mutex_);
                                if (self->streams_.remove() && self->closed_) {
                                    self->let_threads_leave();
                                }
                            }});
}

MULTIPROCESSING_INLINE void ThreadCrew::terminate() {
    check_owner();
    Calls dropped;
    {
        const std::lock_guard guard(mutex_);
        if (terminated_) return;
        terminated_ = true;
        dropped = give_up_locked(nullptr);
    }
    for (const auto& call : dropped) call->let_go();
}

MULTIPROCESSING_INLINE void ThreadCrew::join() {
    check_owner();
    {
        const std::lock_guard guard(mutex_);
        if (!leaving_ && !closed_) throw ValueError("Pool is still running");
    }
    if (is_own_thread()) {
        throw RuntimeError(
            "a task or a callback cannot join its own pool: it would wait for its own end. It "
            "may close or terminate the pool; let another thread join it");
    }
    feed_streams();
    leave();
}

MULTIPROCESSING_INLINE void ThreadCrew::end() {
    if (!is_owner()) return;  // a forked child has none of its threads
    terminate();
    leave();
}

MULTIPROCESSING_INLINE const char* ThreadCrew::state_name() const noexcept {
    if (!is_owner()) return "INHERITED";
    return terminated_ ? "TERMINATE" : closed_ ? "CLOSE" : "RUN";
}

MULTIPROCESSING_INLINE History ThreadCrew::history() const {
    const std::lock_guard guard(mutex_);
    return history_;
}

MULTIPROCESSING_INLINE LocalLogs ThreadCrew::logs() const {
    check_owner();  // another thread may have had the lock when the process forked
    const std::lock_guard guard(mutex_);
    return logs_;
}

MULTIPROCESSING_INLINE void ThreadCrew::check_owner() const {
    if (!is_owner()) {
        throw ValueError("Pool not running in this process: it is another's");
    }
}

MULTIPROCESSING_INLINE void ThreadCrew::check_running_locked(bool of_stream) const {
    if (broken_) std::rethrow_exception(broken_);
    if (of_stream) {
        if (leaving_) throw CancelledError();
    } else if (closed_ || leaving_) {
        throw ValueError("Pool not running");
    }
}

MULTIPROCESSING_INLINE bool ThreadCrew::is_own_thread() const noexcept {
    return courier_.is_current() || std::ranges::any_of(threads_, &PoolThread::is_current);
}

/// Waits for the threads; not for one that waits here, which leaves when its task is over.
MULTIPROCESSING_INLINE void ThreadCrew::leave() {
    for (PoolThread& thread : threads_) {
        if (!thread.is_current()) thread.wait();
    }
    if (courier_.is_current()) {
        courier_.drain_here();
    } else {
        courier_.drain();
        courier_.wait();
    }
}

/// Notes a call that may have to be given up. @param dropped what is to be destroyed later
MULTIPROCESSING_INLINE void ThreadCrew::note_locked(const std::shared_ptr<ThreadCall>& call,
                                                    Calls& dropped) {
    dropped.reserve(2);
    calls_.push_back(call);
    // Looks at two calls for each one added, so that calls that are over do not pile up.
    for (int i = 0; i < 2 && !calls_.empty(); ++i) {
        if (next_call_ >= calls_.size()) next_call_ = 0;
        std::shared_ptr<ThreadCall> known = calls_[next_call_].lock();
        if (known == nullptr || known->is_over()) {
            calls_[next_call_].swap(calls_.back());
            calls_.pop_back();
        } else {
            ++next_call_;
        }
        dropped.push_back(std::move(known));
    }
}

/// Ends all calls, with `error`; null: CancelledError. @returns what is to be let go later
MULTIPROCESSING_INLINE ThreadCrew::Calls ThreadCrew::give_up_locked(
    const std::exception_ptr& error) {
    Calls dropped;
    queue_.for_each([&](const auto& call) { dropped.push_back(call); });
    queue_.clear();
    for (const auto& weak : calls_) {
        auto call = weak.lock();
        if (call == nullptr) continue;
        if (error) {
            call->give_up(error);
        } else if (!call->is_over()) {
            call->give_up_as_cancelled();
        }
        dropped.push_back(std::move(call));
    }
    calls_.clear();
    let_threads_leave();
    arrivals().change();
    courier_.look_at_all();
    return dropped;
}

MULTIPROCESSING_INLINE void ThreadCrew::let_threads_leave() {
    leaving_ = true;
    work_.notify_all();
    begun_.notify_all();
}

MULTIPROCESSING_INLINE void ThreadCrew::feed_streams() {
    for (;;) {
        std::vector<std::shared_ptr<StreamFeed>> feeds;
        {
            const std::lock_guard guard(mutex_);
            if (leaving_) return;
            feeds = streams_.feeds();
        }
        for (const auto& feed : feeds) feed->finish_input();
    }
}

// --- a thread ---

/// Runs chunks until the pool ends.
/// @param started nanoseconds on the monotonic clock
MULTIPROCESSING_INLINE void ThreadCrew::work(std::uint32_t slot, std::uint64_t started) {
    if (!initialize()) return;
    std::unique_lock lock(mutex_);
    std::uint64_t now = monotonic_now();
    WorkerLog& log = logs_.view()[slot];
    log.pid = static_cast<std::uint32_t>(::gettid());
    log.starts = log.starts + 1;
    log.startup = now - started;
    const auto is_surplus = [&] { return slot >= size(); };
    for (;;) {
        if (queue_.empty() && !leaving_ && !is_surplus()) {
            work_.wait(lock, [&] { return leaving_ || is_surplus() || !queue_.empty(); });
            const std::uint64_t begin = std::exchange(now, monotonic_now());
            add_to(log.idle, now - begin);
        }
        if (is_surplus()) {
            occupied_[slot] = false;
            log.pid = 0;
            // It may be the one thread that was woken for a call.
            if (!queue_.empty()) work_.notify_one();
            return;
        }
        if (queue_.empty()) return;
        std::shared_ptr<ThreadCall> call = queue_.front();
        const std::uint32_t chunk = call->take_chunk();
        if (chunk == call->chunk_count() || !call->has_untaken_chunks()) queue_.pop_front();
        lock.unlock();
        if (rules_.max_pending != 0) begun_.notify_all();
        if (chunk == call->chunk_count()) {  // it was cancelled
            call->let_go();
            call.reset();
            lock.lock();
            continue;
        }
        const ChunkOutcome outcome = call->run_chunk(chunk);
        const std::uint64_t begin = std::exchange(now, monotonic_now());
        const ChunkRecord record = call->record_of(chunk, begin, now);
        call.reset();  // frees the results too, if nobody wants them
        lock.lock();
        record_chunk(log, logs_.capacity(), record, outcome);
    }
}

MULTIPROCESSING_INLINE bool ThreadCrew::initialize() {
    if (!initialize_) return true;
    try {
        initialize_();
        return true;
    } catch (...) {
        const std::string why = describe_exception(std::current_exception());
        Calls dropped;
        {
            const std::lock_guard guard(mutex_);
            if (broken_) return false;  // the first thread's error is told; others are like it
            broken_ =
                std::make_exception_ptr(BrokenProcessPool("a thread's initializer failed: " + why));
            dropped = give_up_locked(broken_);
        }
        for (const auto& call : dropped) call->let_go();
        return false;
    }
}

}  // namespace multiprocessing::detail
