// multiprocessing/pool/courier.hpp
//
// The pool's own thread for callbacks: it waits for the end of calls that have some and runs them,
// in order of arrival. It is started with the first of them. Mirrors the result handler of CPython
// Lib/multiprocessing/pool.py, Pool. Floor 5. Start at Courier::add. SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/pool/pending_call.hpp"
#include "multiprocessing/process/fork_hooks.hpp"
#include "multiprocessing/reduction/exceptions.hpp"

namespace multiprocessing::detail {

/// Where a pool says that a call with a wish for it is over.
struct Arrivals {
    FutexWord* word;
    std::atomic<std::uint32_t>* listeners;

    /// Sleeps until the word is no longer `seen`.
    /// @returns false when the deadline passed first
    bool wait(std::uint32_t seen, const Deadline& deadline) const {
        if (deadline.has_passed()) return false;
        listeners->fetch_add(1);
        if (word->load() == seen) futex_wait_until(*word, seen, deadline);
        listeners->fetch_sub(1);
        return true;
    }
    void change() const noexcept {
        word->fetch_add(1);
        futex_wake(*word);
    }
};

/// Blocks all signals for this thread while it lives: a thread started meanwhile gets none of those
/// that are meant for the program.
class SignalBlock {
  public:
    SignalBlock() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    SignalBlock(const SignalBlock&) = delete;
    SignalBlock& operator=(const SignalBlock&) = delete;
    ~SignalBlock() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

    [[nodiscard]] const sigset_t& before() const noexcept { return before_; }

  private:
    sigset_t before_;
};

/// Logs that a callback threw; without a log it is said on standard error.
[[gnu::cold, gnu::noinline]] inline void report_callback_error() noexcept {
    try {
        report_error("exception in a callback of a pool",
                     describe_exception(std::current_exception()));
    } catch (...) {  // out of memory
    }
}

/// Runs what is to follow calls that are over.
class Courier {
  public:
    using Delivery = std::function<void(const std::shared_ptr<PendingCall>&)>;

    Courier() = default;
    Courier(const Courier&) = delete;
    Courier& operator=(const Courier&) = delete;
    [[gnu::cold]] ~Courier() {
        if (!thread_.joinable()) return;
        // A callback has destroyed its pool. The state lives as long as the loop.
        state_->orphaned = true;
        thread_.detach();
    }

    void open(Arrivals arrivals) { state_ = std::make_shared<State>(arrivals); }

    /// Runs `deliver(call)` when the call is over, or soon if it is. Its gate is opened then.
    void add(std::shared_ptr<PendingCall> call, Delivery deliver) {
        const std::lock_guard guard(state_->mutex);
        if (!thread_.joinable()) {
            const SignalBlock block;
            thread_ = std::thread([state = state_, counted = OwnThread()] { state->run(); });
        }
        PendingCall& asked = *call;
        auto place = state_->parcels.end();
        while (place != state_->parcels.begin() && place[-1].call->order() > asked.order()) --place;
        state_->parcels.insert(place, {std::move(call), std::move(deliver)});
        asked.ask_for_notice();
        if (asked.is_over()) state_->hurry();
    }

    /// Tells it that calls were given up, which no worker will tell it.
    [[gnu::cold]] void look_at_all() {
        const std::lock_guard guard(state_->mutex);
        if (thread_.joinable()) state_->hurry();
    }

    /// Delivers what is over and ends. @pre no call can come to its end any more
    [[gnu::cold]] void stop() {
        {
            const std::lock_guard guard(state_->mutex);
            if (!thread_.joinable()) return;
            state_->stopping = true;
            state_->hurry();
        }
        if (thread_.get_id() != std::this_thread::get_id()) thread_.join();
    }

    /// In a forked child: the thread is the parent's.
    [[gnu::cold]] void abandon() noexcept { new std::thread(std::move(thread_)); }

  private:
    struct Parcel {
        std::shared_ptr<PendingCall> call;
        Delivery deliver;
    };

    struct State {
        explicit State(Arrivals where) : arrivals(where) {}

        const Arrivals arrivals;
        std::mutex mutex;            // guards what follows
        std::deque<Parcel> parcels;  // in the order in which workers begin them
        bool all = false;            // look at those behind one that is not begun, too
        bool stopping = false;
        bool orphaned = false;  // the thread's own: the pool is gone, and its arrivals

        [[gnu::cold]] void hurry() {
            all = true;
            arrivals.change();
        }

        [[gnu::cold]] void run() {
            runs_callbacks = true;
            while (!orphaned) {
                const std::uint32_t seen = arrivals.word->load();
                std::vector<Parcel> due = take_due();
                for (Parcel& parcel : due) deliver(parcel);
                if (!due.empty()) continue;
                {
                    const std::lock_guard guard(mutex);
                    if (stopping) return;
                }
                arrivals.wait(seen, Timeout());
            }
        }

        std::vector<Parcel> take_due() {
            std::vector<Parcel> due;
            const std::lock_guard guard(mutex);
            const bool look_at_all = std::exchange(all, false);
            // Again while there are any: one that was looked at too early may have been over before
            // one behind it.
            while (take_what_is_over(due, look_at_all)) {
            }
            return due;
        }

        bool take_what_is_over(std::vector<Parcel>& due, bool look_at_all) {
            const std::size_t before = due.size();
            // What is not over for its first parcel is not for the others: they go in order.
            std::shared_ptr<PendingCall> not_over;
            for (auto parcel = parcels.begin(); parcel != parcels.end();) {
                if (parcel->call != not_over && parcel->call->is_over()) {
                    insert_by_arrival(due, std::move(*parcel));
                    parcel = parcels.erase(parcel);
                } else if (look_at_all || parcel->call->is_started()) {
                    not_over = parcel->call;
                    ++parcel;
                } else {
                    break;  // those behind it are not begun either
                }
            }
            return due.size() != before;
        }

        static void insert_by_arrival(std::vector<Parcel>& due, Parcel parcel) {
            auto place = due.end();
            const std::uint64_t arrival = parcel.call->arrival();
            while (place != due.begin() && place[-1].call->arrival() > arrival) --place;
            due.insert(place, std::move(parcel));
        }

        static void deliver(Parcel& parcel) noexcept {
            try {
                parcel.deliver(parcel.call);
            } catch (...) {
                report_callback_error();
            }
            parcel.call->open_gate();
        }
    };

    std::shared_ptr<State> state_;
    std::thread thread_;
};

}  // namespace multiprocessing::detail
