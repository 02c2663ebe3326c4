// multiprocessing/pool/calls/pending_call.ipp
//
// How a call is given up, and its gate: see pending_call.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/calls/pending_call.hpp"

#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void PendingCall::give_up(std::exception_ptr error) {
    if (is_over() || giving_up_.exchange(true)) return;
    error_ = std::move(error);
    given_up_.store(true);  // seq_cst: pairs with ThreadCall::take_chunk
    wake();
}

MULTIPROCESSING_INLINE bool PendingCall::give_up_as_cancelled() {
    cancelled_.store(true, std::memory_order_relaxed);
    give_up(std::make_exception_ptr(CancelledError()));
    return is_given_up();
}

MULTIPROCESSING_INLINE void PendingCall::open_gate() noexcept {
    gate_.store(open, std::memory_order_release);
    futex_wake(gate_);
}

[[gnu::noinline]] MULTIPROCESSING_INLINE bool PendingCall::wait_at_gate(const Deadline& deadline) {
    while (gate_.load(std::memory_order_acquire) == closed) {
        if (deadline.has_passed()) return false;
        futex_wait_until(gate_, closed, deadline);
    }
    return true;
}

MULTIPROCESSING_INLINE void PendingCall::throw_not_own() {
    throw ValueError("the result is another process's: a child that was forked meanwhile "
                     "cannot read it. Get it before, and pass on what it is");
}

}  // namespace multiprocessing::detail
