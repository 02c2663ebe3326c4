// multiprocessing/pool/worker/this_task.ipp
//
// How a task learns about itself: see this_task.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/worker/this_task.hpp"

#include <signal.h>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing {
namespace detail {

/// Returns the task under way, null when there is none.
MULTIPROCESSING_INLINE TaskView* find_task() noexcept {
    if (task_of_thread != nullptr && task_of_thread->is_own()) return task_of_thread;
    TaskView* const task = task_of_process.load(std::memory_order_relaxed);
    return task != nullptr && task->is_own() ? task : nullptr;
}

/// Returns the batch whose chunk the worker runs, null when it runs none.
MULTIPROCESSING_INLINE Batch* WorkerTask::batch() const noexcept {
    const Offset entry = slot_.entry.load(std::memory_order_relaxed);
    if (entry == 0 || heap().at<Entry>(entry)->batch == 0) return nullptr;
    Batch& batch = *heap().at<Batch>(heap().at<Entry>(entry)->batch);
    const std::uint32_t chunk = slot_.chunk.load(std::memory_order_relaxed);
    if (chunk >= batch.chunk_count()) return nullptr;
    const auto state = batch.chunks()[chunk].state.load(std::memory_order_relaxed);
    return state == (ticket_ << 2 | Chunk::taken) ? &batch : nullptr;
}

MULTIPROCESSING_INLINE std::optional<std::size_t> WorkerTask::index() const noexcept {
    const Batch* const its = batch();
    if (its == nullptr) return std::nullopt;
    const std::uint64_t chunk = slot_.chunk.load(std::memory_order_relaxed);
    return its->first_item + chunk * its->chunk_size + slot_.item.load(std::memory_order_relaxed);
}

MULTIPROCESSING_INLINE std::uint32_t WorkerTask::attempt() const noexcept {
    Batch* const its = batch();
    if (its == nullptr) return 0;
    const Chunk& chunk = its->chunks()[slot_.chunk.load(std::memory_order_relaxed)];
    const bool was_tried = slot_.item.load(std::memory_order_relaxed) == chunk.start;
    return (was_tried ? chunk.attempts : 0) + 1;
}

MULTIPROCESSING_INLINE bool WorkerTask::stop_requested() const noexcept {
    if (batch() == nullptr) return false;
    if (board_.phase.load(std::memory_order_relaxed) == PoolBoard::terminated) return true;
    // acquire: the item, which the owner wrote before.
    const std::uint64_t turn = slot_.stop_turn.load(std::memory_order_acquire);
    if (turn != slot_.turn.load(std::memory_order_relaxed)) return false;
    const std::uint32_t item = slot_.stop_item.load(std::memory_order_relaxed);
    return item == WorkerSlot::all_items || item == slot_.item.load(std::memory_order_relaxed);
}

MULTIPROCESSING_INLINE WorkerTask::~WorkerTask() {
    task_of_process.store(nullptr);
#ifdef __cpp_lib_jthread
    leaving_.store(true);
    if (!thread_.was_started() || !is_own()) return;
    slot_.stops.fetch_add(1);
    futex_wake(slot_.stops);
    (void)thread_.wait();
#endif
}

MULTIPROCESSING_INLINE void WorkerTask::catch_signal() noexcept {
    struct sigaction action {};
    if (::sigaction(SIGTERM, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
    action.sa_handler = on_signal;  // no SA_RESTART: what the task waits for is to end
    (void)::sigaction(SIGTERM, &action, nullptr);
}

MULTIPROCESSING_INLINE void WorkerTask::on_signal(int number) noexcept {
    const auto* const task = static_cast<const WorkerTask*>(task_of_process.load());
    const bool is_worker = task != nullptr && task->pid_ == ::getpid();
    const bool is_over =
        is_worker && task->board_.phase.load(std::memory_order_relaxed) == PoolBoard::terminated;
    if (is_over || (is_worker && task->stop_requested())) return;
    // It is from somebody else, or meant for a child that the task has forked.
    (void)::signal(number, SIG_DFL);
    (void)::raise(number);
}

#ifdef __cpp_lib_jthread

MULTIPROCESSING_INLINE WorkerTask::Mark WorkerTask::mark() const noexcept {
    return {slot_.turn.load(std::memory_order_relaxed), slot_.item.load(std::memory_order_relaxed)};
}

MULTIPROCESSING_INLINE std::stop_token WorkerTask::stop_token() {
    if (batch() == nullptr) return {};
    const std::lock_guard guard(mutex_);
    if (!source_.stop_possible() || source_mark_ != mark()) {
        source_ = std::stop_source();
        source_mark_ = mark();
    }
    if (!thread_.was_started()) thread_.start(nullptr, [this] { pass_on_wishes(); });
    if (stop_requested()) source_.request_stop();
    return source_.get_token();
}

/// Tells the tokens of each task that is asked to stop.
MULTIPROCESSING_INLINE void WorkerTask::pass_on_wishes() {
    while (!leaving_.load()) {
        const std::uint32_t seen = slot_.stops.load();
        std::stop_source source(std::nostopstate);
        {
            const std::lock_guard guard(mutex_);
            if (source_mark_ == mark() && stop_requested()) source = source_;
        }
        source.request_stop();  // without the lock: it calls what the task has registered
        if (!leaving_.load()) futex_wait(slot_.stops, seen, nullptr);
    }
}

#endif

}  // namespace detail

namespace this_task {

MULTIPROCESSING_INLINE std::optional<std::size_t> index() noexcept {
    const detail::TaskView* const task = detail::find_task();
    return task != nullptr ? task->index() : std::nullopt;
}

MULTIPROCESSING_INLINE std::uint32_t attempt() noexcept {
    const detail::TaskView* const task = detail::find_task();
    return task != nullptr ? task->attempt() : 0;
}

MULTIPROCESSING_INLINE bool stop_requested() noexcept {
    const detail::TaskView* const task = detail::find_task();
    return task != nullptr && task->stop_requested();
}

#ifdef __cpp_lib_jthread
MULTIPROCESSING_INLINE std::stop_token stop_token() {
    detail::TaskView* const task = detail::find_task();
    return task != nullptr ? task->stop_token() : std::stop_token();
}
#endif

}  // namespace this_task
}  // namespace multiprocessing
