// multiprocessing/pool/calls/courier.ipp
//
// How callbacks are run: see courier.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/calls/courier.hpp"

#include <exception>
#include <iterator>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE bool Arrivals::wait(std::uint32_t seen, const Deadline& deadline) const {
    if (deadline.has_passed()) return false;
    listeners->fetch_add(1);  // seq_cst: pairs with announce_arrival
    if (word->load() == seen) futex_wait_until(*word, seen, deadline);
    listeners->fetch_sub(1);
    return true;
}

MULTIPROCESSING_INLINE void Arrivals::change() const noexcept {
    word->fetch_add(1);
    futex_wake(*word);
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void report_callback_error() noexcept {
    try {
        report_error("exception in a callback of a pool",
                     describe_exception(std::current_exception()));
    } catch (...) {  // out of memory
    }
}

MULTIPROCESSING_INLINE void deliver(const std::shared_ptr<PendingCall>& call,
                                    const Delivery& delivery) noexcept {
    const bool before = std::exchange(runs_callbacks, true);
    try {
        delivery(call);
    } catch (...) {
        report_callback_error();
    }
    runs_callbacks = before;
    call->open_gate();
}

MULTIPROCESSING_INLINE void Courier::add(const std::shared_ptr<PendingCall>& call,
                                         Delivery delivery) {
    Parcels fresh;
    fresh.push_back({call, std::move(delivery)});
    if (!accept(fresh)) deliver(call, fresh.front().delivery);
}

MULTIPROCESSING_INLINE void Courier::look_at_all() {
    const std::lock_guard guard(mutex_);
    if (thread_.was_started()) hurry();
}

MULTIPROCESSING_INLINE void Courier::drain() {
    const std::lock_guard guard(mutex_);
    if (phase_ != open_) return;
    phase_ = thread_.was_started() ? draining : gone;
    if (phase_ == draining) hurry();
}

MULTIPROCESSING_INLINE void Courier::drain_here() {
    drain();
    deliver_all();
}

MULTIPROCESSING_INLINE bool Courier::accept(Parcels& fresh) {
    PendingCall& asked = *fresh.front().call;
    const std::lock_guard guard(mutex_);
    if (phase_ == gone) return false;
    if (!thread_.was_started()) thread_.start(owner_.lock(), [this] { run(); });
    Parcels& parcels = parcels_[asked.priority()];
    auto place = parcels.end();
    while (place != parcels.begin() && std::prev(place)->call->order() > asked.order()) {
        --place;
    }
    parcels.splice(place, fresh);
    asked.ask_for_notice();
    if (asked.is_over()) hurry();
    return true;
}

MULTIPROCESSING_INLINE void Courier::hurry() {
    all_ = true;
    arrivals_.change();
}

MULTIPROCESSING_INLINE void Courier::run() {
    for (;;) {
        const std::uint32_t seen = arrivals_.word->load();
        deliver_all();
        {
            const std::lock_guard guard(mutex_);
            if (phase_ == gone) return;
        }
        arrivals_.wait(seen, Timeout());
    }
}

MULTIPROCESSING_INLINE void Courier::deliver_all() {
    for (;;) {
        const Parcels next = take_next();
        if (next.empty()) return;
        deliver(next.front().call, next.front().delivery);
    }
}

MULTIPROCESSING_INLINE Courier::Parcels Courier::take_next() {
    Parcels next;
    const std::lock_guard guard(mutex_);
    if (due_.empty()) {
        const bool look_at_all = std::exchange(all_, false);
        // Again as long as there are any: a call that was looked at too early may have been over
        // before one behind it.
        for (auto& [priority, parcels] : parcels_) {
            while (take_what_is_over(parcels, look_at_all)) {
            }
        }
        std::erase_if(parcels_, [](const auto& one) { return one.second.empty(); });
    }
    if (!due_.empty()) {
        next.splice(next.begin(), due_, due_.begin());
    } else if (phase_ == draining && parcels_.empty()) {
        phase_ = gone;
    }
    return next;
}

MULTIPROCESSING_INLINE bool Courier::take_what_is_over(Parcels& parcels, bool look_at_all) {
    bool any = false;
    // If a call is not over for its first parcel, it is not over for its others: they keep their
    // order.
    const PendingCall* not_over = nullptr;
    for (auto parcel = parcels.begin(); parcel != parcels.end();) {
        const auto next = std::next(parcel);
        if (parcel->call.get() != not_over && parcel->call->is_over()) {
            insert_by_arrival(parcels, parcel);
            any = true;
        } else if (look_at_all || parcel->call->is_started()) {
            not_over = parcel->call.get();
        } else {
            break;  // those behind it are not begun either
        }
        parcel = next;
    }
    return any;
}

MULTIPROCESSING_INLINE void Courier::insert_by_arrival(Parcels& parcels, Parcels::iterator parcel) {
    auto place = due_.end();
    const std::uint64_t arrival = parcel->call->arrival();
    while (place != due_.begin() && std::prev(place)->call->arrival() > arrival) --place;
    due_.splice(place, parcels, parcel);
}

}  // namespace multiprocessing::detail
