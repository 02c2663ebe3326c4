// multiprocessing/pool/owner/recruiter.ipp
//
// The thread that runs a pool's errands: see recruiter.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/recruiter.hpp"

#include <cstdint>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void Recruiter::send(Errand errand) {
    std::list<Errand> fresh;
    fresh.push_back(std::move(errand));
    const std::lock_guard guard(mutex_);
    if (stopped_) return;
    if (!thread_.was_started()) thread_.start(owner_.lock(), [this] { run(); });
    errands_.splice(errands_.end(), fresh);
    stir();
}

MULTIPROCESSING_INLINE void Recruiter::stop() {
    const std::lock_guard guard(mutex_);
    stopped_ = true;
    stir();
}

MULTIPROCESSING_INLINE void Recruiter::wait() {
    if (!thread_.is_current()) (void)thread_.wait(Timeout(patience));
}

MULTIPROCESSING_INLINE void Recruiter::stir() {
    changes_.fetch_add(1);
    futex_wake(changes_);
}

MULTIPROCESSING_INLINE void Recruiter::run() {
    for (;;) {
        const std::uint32_t seen = changes_.load();
        std::list<Errand> next;
        {
            const std::lock_guard guard(mutex_);
            if (!errands_.empty()) {
                next.splice(next.begin(), errands_, errands_.begin());
            } else if (stopped_) {
                return;
            }
        }
        if (next.empty()) {
            futex_wait(changes_, seen, nullptr);
        } else {
            next.front()();
        }
    }
}

}  // namespace multiprocessing::detail
