// multiprocessing/pool/threads/serial_crew.ipp
//
// How the calls of the serial context's pool are run: see serial_crew.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/threads/serial_crew.hpp"

#include <unistd.h>

#include <vector>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/threads/thread_call.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void SerialCrew::start(std::uint32_t workers, std::uint32_t traced,
                                              const TaskRules& rules,
                                              const std::function<void()>& initialize) {
    workers_ = workers;
    rules_ = rules;
    logs_ = LocalLogs(1, traced);
    WorkerLog& log = logs_.view()[0];
    log.pid = static_cast<std::uint32_t>(::gettid());
    log.starts = 1;
    const std::uint64_t now = monotonic_now();
    try {
        if (initialize) initialize();
    } catch (...) {
        broken_ = std::make_exception_ptr(BrokenProcessPool(
            "the initializer failed: " + describe_exception(std::current_exception())));
    }
    log.startup = monotonic_now() - now;
}

MULTIPROCESSING_INLINE void SerialCrew::submit(const std::shared_ptr<ThreadCall>& call,
                                               const SubmitOptions& how) {
    {
        const std::lock_guard guard(mutex_);
        check_running_locked(how.of_stream);
        call->set_place(++last_order_, arrivals(), how, rules_);
        history_.note_call(last_order_, call->function(), how.of_stream);
    }
    for (;;) {
        if (is_terminated()) call->give_up_as_cancelled();
        const std::uint32_t chunk = call->take_chunk();
        if (chunk == call->chunk_count()) return call->let_go();
        const std::uint64_t begin = monotonic_now();
        const ChunkOutcome outcome = call->run_chunk(chunk);
        const std::uint64_t end = monotonic_now();
        const std::lock_guard guard(mutex_);
        const WorkerLogs logs = logs_.view();
        record_chunk(logs[0], logs.capacity(), call->record_of(chunk, begin, end), outcome);
    }
}

MULTIPROCESSING_INLINE void SerialCrew::check_running() const {
    const std::lock_guard guard(mutex_);
    check_running_locked(false);
}

MULTIPROCESSING_INLINE void SerialCrew::resize(std::uint32_t workers) {
    const std::lock_guard guard(mutex_);
    check_running_locked(false);
    workers_.store(workers, std::memory_order_relaxed);
}

MULTIPROCESSING_INLINE void SerialCrew::close() {
    const std::lock_guard guard(mutex_);
    closed_ = true;
}

MULTIPROCESSING_INLINE void SerialCrew::terminate() {
    const std::lock_guard guard(mutex_);
    terminated_ = true;
}

MULTIPROCESSING_INLINE void SerialCrew::add_stream(const std::shared_ptr<StreamFeed>& feed) {
    const std::lock_guard guard(mutex_);
    check_running_locked(false);
    streams_.add(feed);
    feed->set_registration({this, [self = shared_from_this()](void*) {
                                const std::lock_guard lock(self->mutex_);
                                self->streams_.remove();
                            }});
}

MULTIPROCESSING_INLINE void SerialCrew::join() {
    std::vector<std::shared_ptr<StreamFeed>> feeds;
    {
        const std::lock_guard guard(mutex_);
        if (terminated_) return;
        if (!closed_) throw ValueError("Pool is still running");
        feeds = streams_.feeds();
    }
    for (const auto& feed : feeds) feed->finish_input();
    terminate();
}

MULTIPROCESSING_INLINE LocalLogs SerialCrew::logs() const {
    const std::lock_guard guard(mutex_);
    return logs_;
}

MULTIPROCESSING_INLINE History SerialCrew::history() const {
    const std::lock_guard guard(mutex_);
    return history_;
}

MULTIPROCESSING_INLINE bool SerialCrew::is_terminated() const {
    const std::lock_guard guard(mutex_);
    return terminated_;
}

MULTIPROCESSING_INLINE void SerialCrew::check_running_locked(bool of_stream) const {
    if (broken_) std::rethrow_exception(broken_);
    if (of_stream) {
        if (terminated_) throw CancelledError();
    } else if (closed_ || terminated_) {
        throw ValueError("Pool not running");
    }
}

}  // namespace multiprocessing::detail
