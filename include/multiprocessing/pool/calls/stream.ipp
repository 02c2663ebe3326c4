// multiprocessing/pool/calls/stream.ipp
//
// How a stream reads its input and waits for its calls: see stream.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/calls/stream.hpp"

#include <algorithm>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void StreamBase::begin() {
    const std::lock_guard guard(mutex_);
    feed();
}

MULTIPROCESSING_INLINE void StreamBase::finish_input() {
    if (!options_.read_at_join) {
        return cut(std::make_exception_ptr(
            ValueError("Pool not running: it was joined before all of the input was read")));
    }
    const std::lock_guard guard(mutex_);
    options_.window = SIZE_MAX / 4;
    while (!input_has_ended()) feed();
}

// Without mutex_: the thread that holds it may be waiting for the input.
MULTIPROCESSING_INLINE void StreamBase::cut(std::exception_ptr error) {
    {
        const std::lock_guard guard(cut_mutex_);
        if (cut_) return;
        cut_error_ = std::move(error);
        cut_.store(true);
    }
    release();
    arrivals_.change();
}

MULTIPROCESSING_INLINE StreamBase::StreamBase(std::unique_ptr<ItemSource> source,
                                              const StreamOptions& options)
    : source_(std::move(source)), options_(options), arrivals_(source_->arrivals()) {}

MULTIPROCESSING_INLINE void StreamBase::discard_open() noexcept {
    const auto discard = [](PendingCall& call) {
        if (!call.is_over()) (void)call.cancel(false);
        call.discard();
    };
    try {
        for (const Open& open : open_) discard(*open.call);
        if (fed_) discard(*fed_);
    } catch (const ValueError&) {  // a forked child's copy: the calls are its parent's
    }
}

MULTIPROCESSING_INLINE void StreamBase::feed() {
    list_fed();
    try {
        std::size_t items = 0;
        auto call = source_->feed(options_.window - in_flight_, items);
        if (items == 0) return end_input();
        in_flight_ += items;
        fed_ = std::move(call);
        listed_ = 0;
    } catch (...) {
        input_error_ = std::current_exception();
        end_input();
    }
    list_fed();
}

MULTIPROCESSING_INLINE void StreamBase::list_fed() {
    if (!fed_) return;
    for (; listed_ < fed_->chunk_count(); ++listed_) open_.push_back({fed_, listed_});
    fed_.reset();
}

MULTIPROCESSING_INLINE void StreamBase::end_input() {
    exhausted_ = true;
    release();  // last: it may let a closed pool's workers leave
}

MULTIPROCESSING_INLINE void StreamBase::note_cut() {
    const std::lock_guard guard(cut_mutex_);
    if (!cut_ || exhausted_) return;
    exhausted_ = true;
    input_error_ = cut_error_;
}

MULTIPROCESSING_INLINE void StreamBase::throw_input_error() {
    note_cut();
    if (input_error_) std::rethrow_exception(std::exchange(input_error_, nullptr));
}

MULTIPROCESSING_INLINE void StreamBase::wait_for_arrivals(std::uint32_t seen,
                                                          const Deadline& deadline) {
    const auto something_new = [&] { return arrivals_.word->load() != seen; };
    // Not after the deadline: a thread that only looks must not spin.
    if (!deadline.has_passed() && spinning_.spin(something_new)) return;
    if (!arrivals_.wait(seen, deadline)) throw TimeoutError("the next result is not there yet");
}

MULTIPROCESSING_INLINE bool StreamBase::is_last_of(const Open& open) const noexcept {
    // What is left of a call is near the front: few chunks are under way at a time.
    return open.call != fed_ && std::none_of(open_.begin(), open_.end(), [&](const Open& other) {
               return other.call == open.call;
           });
}

MULTIPROCESSING_INLINE std::string stream_text(const void* state) {
    return "<multiprocessing.pool.IMapIterator object at " + address_text(state) + ">";
}

}  // namespace multiprocessing::detail
