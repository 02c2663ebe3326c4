// multiprocessing/pool/threads/thread_call.ipp
//
// How a call that threads run is waited for and cancelled: see thread_call.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/threads/thread_call.hpp"

#include <time.h>
#include <unistd.h>

#include <chrono>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// How long the threads of this process should spin for the result of a single task.
inline constinit SpinBudget thread_result_spinning;

MULTIPROCESSING_INLINE void throw_no_timeout() {
    throw ValueError(
        "a pool of threads cannot end a task, so its calls take no timeout: use Pool, or "
        "let the task look at the time");
}

MULTIPROCESSING_INLINE ThreadCall::ThreadCall(std::uint64_t items, std::uint32_t chunk_size)
    : items_(items),
      chunk_size_(chunk_size),
      chunk_count_(static_cast<std::uint32_t>((items + chunk_size - 1) / chunk_size)),
      finished_(chunk_count_),
      users_(chunk_count_),
      left_(chunk_count_) {}

MULTIPROCESSING_INLINE ChunkRecord ThreadCall::record_of(std::uint32_t index, std::uint64_t begin,
                                                         std::uint64_t end) const noexcept {
    const std::uint64_t first = std::uint64_t{index} * chunk_size_;
    return {begin,
            end - begin,
            static_cast<std::uint32_t>(order_),
            static_cast<std::uint32_t>(first_item_ + first),
            static_cast<std::uint32_t>(std::min<std::uint64_t>(items_ - first, chunk_size_)),
            static_cast<std::uint32_t>(::gettid())};
}

MULTIPROCESSING_INLINE bool ThreadCall::wait_until_over(const Deadline& deadline) {
    // Not after the deadline: a thread that only looks must not spin.
    const bool spins = items_ == 1 && !deadline.has_passed();
    if (spins && thread_result_spinning.spin([this] { return is_over(); })) return true;
    for (;;) {
        const std::uint32_t seen = events_.load();
        if (is_over()) return true;
        if (deadline.has_passed()) return false;
        futex_wait_until(events_, seen, deadline);
    }
}

MULTIPROCESSING_INLINE bool ThreadCall::waits_for_next_try(ThreadTask& task) noexcept {
    const std::uint32_t failed = task.attempt();
    if (!may_try_again() || failed > rules_->retries || is_given_up()) return false;
    if (!rules_->retry_on.matches()(std::current_exception())) return false;
    const auto delay = static_cast<std::int64_t>(rules_->delay_after(failed, ticks()));
    const Deadline due{Timeout(std::chrono::nanoseconds(delay))};
    while (!due.has_passed()) {
        const std::uint32_t seen = events_.load();
        if (is_given_up()) return false;
        futex_wait_until(events_, seen, due);
    }
    task.begin_again();
    return true;
}

MULTIPROCESSING_INLINE bool ThreadTask::stop_requested() const noexcept {
    return call_.is_asked_to_stop();
}

MULTIPROCESSING_INLINE void ThreadCall::ask_to_stop() noexcept {
    if (asked_.exchange(true)) return;
#ifdef __cpp_lib_jthread
    std::stop_source source(std::nostopstate);
    {
        const std::lock_guard guard(stop_mutex_);
        source = stop_;
    }
    source.request_stop();
#endif
}

#ifdef __cpp_lib_jthread
MULTIPROCESSING_INLINE std::stop_token ThreadTask::stop_token() { return call_.stop_token(); }

MULTIPROCESSING_INLINE std::stop_token ThreadCall::stop_token() {
    const std::lock_guard guard(stop_mutex_);
    if (!stop_.stop_possible()) stop_ = std::stop_source();
    if (is_asked_to_stop()) stop_.request_stop();
    return stop_.get_token();
}
#endif

MULTIPROCESSING_INLINE bool ThreadCall::cancel(bool kill_running) {
    if (is_over()) return is_cancelled();
    if (kill_running) ask_to_stop();
    if (next_.exchange(chunk_count_) >= chunk_count_) return false;
    const bool cancelled = give_up_as_cancelled();
    let_go();
    arrivals_.change();
    return cancelled;
}

MULTIPROCESSING_INLINE void ThreadCall::wait_for_threads() noexcept {
    for (;;) {
        const std::uint32_t seen = events_.load();
        if (running_.load() == 0) return;
        const timespec wait{0, 10'000'000};  // the thread that ends last may not see give_up
        futex_wait(events_, seen, &wait);
    }
}

MULTIPROCESSING_INLINE void ThreadCall::wake() noexcept {
    events_.fetch_add(1);
    futex_wake(events_);
}

}  // namespace multiprocessing::detail
