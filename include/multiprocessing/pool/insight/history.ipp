// multiprocessing/pool/insight/history.ipp
//
// How calls and losses are remembered: see history.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/insight/history.hpp"

#include <algorithm>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/pool/board/task_place.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE std::string text_of(const WorkerLoss& loss) {
    return "WorkerLoss(when=" + detail::float_repr(loss.when) +
           ", worker=" + std::to_string(loss.worker) + ", pid=" + std::to_string(loss.pid) +
           ", exitcode=" + std::to_string(loss.exitcode) +
           ", is_tried_again=" + (loss.is_tried_again ? "True" : "False") +
           ", what=" + detail::quoted(loss.what) + ")";
}

namespace detail {

MULTIPROCESSING_INLINE History::History() : begin_(monotonic_now()) { runs_.reserve(8); }

MULTIPROCESSING_INLINE void History::note_other_function(std::uint64_t serial, std::uint64_t mark,
                                                         bool is_stream) noexcept {
    const Run run{serial, mark, is_stream};
    last_mark_ = mark;
    last_is_stream_ = is_stream;
    const std::size_t place = run_count_ % most_runs;
    if (place < runs_.size()) {
        runs_[place] = run;
    } else {
        try {
            runs_.push_back(run);
        } catch (...) {  // no memory for it: the calls go without their names
            return;
        }
    }
    ++run_count_;
}

MULTIPROCESSING_INLINE void History::note_loss(WorkerLoss loss,
                                               const std::exception_ptr& error) noexcept {
    ++lost_;
    if (loss.is_tried_again) ++retries_;
    loss.when = static_cast<double>(monotonic_now() - begin_) * 1e-9;
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& thrown) {
        try {
            loss.what = thrown.what();
            if (losses_.size() == most_losses) losses_.pop_front();
            losses_.push_back(std::move(loss));
        } catch (...) {  // no memory for it: it is counted all the same
        }
    } catch (...) {
    }
}

MULTIPROCESSING_INLINE void History::note_present(std::uint32_t worker, pid_t pid) {
    if (worker >= present_.size()) present_.resize(worker + 1);
    present_[worker] = pid;
}

MULTIPROCESSING_INLINE void History::add(std::uint64_t lost, std::uint64_t retries,
                                         const std::vector<WorkerLoss>& losses) {
    lost_ += lost;
    retries_ += retries;
    losses_.insert(losses_.end(), losses.begin(), losses.end());
    losses_.sort([](const WorkerLoss& a, const WorkerLoss& b) { return a.when < b.when; });
    while (losses_.size() > most_losses) losses_.pop_front();
}

MULTIPROCESSING_INLINE std::uint64_t History::run_of(std::uint32_t serial) const noexcept {
    // From the latest run back, the first one that began no later. The difference tells that, also
    // where only the low bits are known.
    const std::uint64_t first = run_count_ - (std::min)(run_count_, std::uint64_t{most_runs});
    for (std::uint64_t run = run_count_; run > first; --run) {
        const std::uint64_t begin = runs_[(run - 1) % most_runs].first;
        if (serial - static_cast<std::uint32_t>(begin) < UINT32_MAX / 2) return run;
    }
    return 0;
}

MULTIPROCESSING_INLINE CallName History::name_of_run(std::uint64_t run) const {
    if (run == 0) return {};
    const Run& calls = runs_[(run - 1) % most_runs];
    return {name_of_function(calls.mark), calls.is_stream};
}

}  // namespace detail
}  // namespace multiprocessing
