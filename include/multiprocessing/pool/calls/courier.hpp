// multiprocessing/pool/calls/courier.hpp
//
// The pool's own thread for callbacks. It waits for the end of calls that have callbacks, and runs
// these in the order in which the calls ended. The first such call starts it. Mirrors the result
// handler of CPython Lib/multiprocessing/pool.py, Pool. Floor 5. Start at Courier::add.
//
// A courier is open at first. When its pool has no more ends of calls to tell, it drains: it
// delivers what it has. Then it is gone. What is added later is delivered by the thread that adds
// it. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/pool/calls/pending_call.hpp"
#include "multiprocessing/pool/calls/pool_thread.hpp"

namespace multiprocessing::detail {

/// Where a pool tells that a call is over, if the call has asked for it.
struct Arrivals {
    FutexWord* word;
    std::atomic<std::uint32_t>* listeners;

    /// Sleeps until the word is no longer `seen`.
    /// @returns false when the deadline passed first
    bool wait(std::uint32_t seen, const Deadline& deadline) const;
    /// Changes the word, and wakes the threads that sleep on it.
    void change() const noexcept;
};

/// Logs that a callback threw; without a log, says it on standard error.
[[gnu::cold]] void report_callback_error() noexcept;

/// What is to be done after a call.
using Delivery = std::function<void(const std::shared_ptr<PendingCall>&)>;

/// Runs what is to be done after a call that is over, and then lets the threads that wait for it go
/// on.
[[gnu::cold]] void deliver(const std::shared_ptr<PendingCall>& call,
                           const Delivery& delivery) noexcept;

/// Runs what is to be done after calls that are over.
class Courier {
  public:
    /// @param owner the object that the arrivals are a part of
    void open(const Arrivals& arrivals, std::weak_ptr<void> owner) {
        arrivals_ = arrivals;
        owner_ = std::move(owner);
    }

    /// Runs the delivery when the call is over, or soon if it is over already. Then the call's gate
    /// is opened.
    /// @throws std::system_error EAGAIN when the thread cannot be started; std::bad_alloc
    void add(const std::shared_ptr<PendingCall>& call, Delivery delivery);

    /// Tells it that calls were given up; no worker will tell it.
    [[gnu::cold]] void look_at_all();

    /// Makes it deliver what it has, and end then. @pre every call is over
    [[gnu::cold]] void drain();
    /// Does the same when one of its own deliveries is the caller. The other deliveries cannot wait
    /// until that one returns, so they run here and now.
    [[gnu::cold]] void drain_here();

    /// Returns whether this is its thread, which runs a delivery.
    [[nodiscard]] bool is_current() const noexcept { return thread_.is_current(); }
    /// Waits until it is gone. @pre it drains; the caller is another thread
    [[gnu::cold]] void wait() { thread_.wait(); }

  private:
    struct Parcel {
        std::shared_ptr<PendingCall> call;
        Delivery delivery;
    };
    /// Lists: their parcels change hands without an allocation, for which there may be no memory.
    using Parcels = std::list<Parcel>;

    enum Phase : std::uint8_t { open_, draining, gone };

    /// @returns false when it is gone
    bool accept(Parcels& fresh);

    [[gnu::cold]] void hurry();

    [[gnu::cold]] void run();

    /// Delivers all that is over. A delivery may do this, too.
    [[gnu::cold]] void deliver_all();

    /// Takes the next parcel that is due. @returns an empty list when there is none
    [[gnu::cold]] Parcels take_next();

    bool take_what_is_over(Parcels& parcels, bool look_at_all);

    void insert_by_arrival(Parcels& parcels, Parcels::iterator parcel);

    Arrivals arrivals_{};
    std::weak_ptr<void> owner_;
    PoolThread thread_;

    std::mutex mutex_;  // guards what follows
    Phase phase_ = open_;
    // By priority; those of one in the order in which workers begin them.
    std::map<int, Parcels> parcels_;
    Parcels due_;       // in the order of their arrival
    bool all_ = false;  // look also at those behind one that is not begun
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/calls/courier.ipp"
#endif
