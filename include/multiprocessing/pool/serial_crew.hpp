// multiprocessing/pool/serial_crew.hpp
//
// What runs the calls of the serial context's pool: whoever makes a call, at once, so that a
// debugger finds the caller below the task. Floor 5. Start at SerialCrew::submit.
// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/courier.hpp"
#include "multiprocessing/pool/spinning.hpp"
#include "multiprocessing/pool/stream_registry.hpp"
#include "multiprocessing/pool/thread_call.hpp"
#include "multiprocessing/pool/worker_log.hpp"
#include "multiprocessing/reduction/exceptions.hpp"

namespace multiprocessing::detail {

/// Runs callbacks where they come up. The interface of Courier.
class InlineCourier {
  public:
    void add(const std::shared_ptr<PendingCall>& call, const Courier::Delivery& deliver) {
        const bool before = std::exchange(runs_callbacks, true);
        try {
            deliver(call);
        } catch (...) {
            report_callback_error();
        }
        runs_callbacks = before;
        call->open_gate();
    }
};

/// The interface of ThreadCrew, without threads.
class SerialCrew : public std::enable_shared_from_this<SerialCrew> {
  public:
    static constexpr bool runs_in_caller = true;

    SerialCrew() = default;
    SerialCrew(const SerialCrew&) = delete;
    SerialCrew& operator=(const SerialCrew&) = delete;

    /// @param workers only what is told: chunks are made for so many
    /// @param traced  chunks that the log has room for: there is one, whoever calls
    void start(std::uint32_t workers, std::uint32_t traced,
               const std::function<void()>& initialize) {
        workers_ = workers;
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

    /// Runs the call. A task may end the pool, or cancel the rest of its own call.
    void submit(const std::shared_ptr<ThreadCall>& call, bool of_stream) {
        {
            const std::lock_guard guard(mutex_);
            check_running_locked(of_stream);
            call->set_place(++last_order_, arrivals(), of_stream);
        }
        for (;;) {
            if (is_terminated()) call->give_up_as_cancelled();
            const std::uint32_t chunk = call->take_chunk();
            if (chunk == call->chunk_count()) return;
            const std::uint64_t begin = monotonic_now();
            call->run_chunk(chunk);
            const std::uint64_t end = monotonic_now();
            const std::lock_guard guard(mutex_);
            const WorkerLogs logs = logs_.view();
            record_chunk(logs[0], logs.capacity(), call->record_of(chunk, begin, end));
        }
    }

    void forget(const std::shared_ptr<PendingCall>&) const noexcept {}

    void check_running() const {
        const std::lock_guard guard(mutex_);
        check_running_locked(false);
    }
    void close() {
        const std::lock_guard guard(mutex_);
        closed_ = true;
    }
    void terminate() {
        const std::lock_guard guard(mutex_);
        terminated_ = true;
    }
    void add_stream(const std::shared_ptr<StreamFeed>& feed) {
        const std::lock_guard guard(mutex_);
        check_running_locked(false);
        streams_.add(feed);
        feed->set_registration({this, [self = shared_from_this()](void*) {
                                    const std::lock_guard lock(self->mutex_);
                                    self->streams_.remove();
                                }});
    }

    /// Runs what streams have still to come. @throws ValueError before close or terminate
    void join() {
        std::vector<std::shared_ptr<StreamFeed>> feeds;
        {
            const std::lock_guard guard(mutex_);
            if (terminated_) return;
            if (!closed_) throw ValueError("Pool is still running");
            feeds = streams_.feeds();
        }
        for (const auto& feed : feeds) {
            while (feed->feed_on()) {
            }
        }
        terminate();
    }
    void end() { terminate(); }

    /// As Supervisor's.
    [[nodiscard]] const char* state_name() const noexcept {
        return terminated_ ? "TERMINATE" : closed_ ? "CLOSE" : "RUN";
    }
    [[nodiscard]] std::uint32_t size() const noexcept { return workers_; }
    InlineCourier& courier() noexcept { return courier_; }
    [[nodiscard]] LocalLogs logs() const {
        const std::lock_guard guard(mutex_);
        return logs_;
    }
    [[nodiscard]] Arrivals arrivals() noexcept { return {&arrivals_, &listeners_}; }

  private:
    [[nodiscard]] bool is_terminated() const {
        const std::lock_guard guard(mutex_);
        return terminated_;
    }
    void check_running_locked(bool of_stream) const {
        if (broken_) std::rethrow_exception(broken_);
        if (of_stream) {
            if (terminated_) throw CancelledError();
        } else if (closed_ || terminated_) {
            throw ValueError("Pool not running");
        }
    }

    std::uint32_t workers_ = 1;
    FutexWord arrivals_{0};
    std::atomic<std::uint32_t> listeners_{0};
    InlineCourier courier_;
    std::exception_ptr broken_;

    mutable std::mutex mutex_;  // guards what follows; not held while a task runs
    std::uint64_t last_order_ = 0;
    StreamRegistry streams_;
    LocalLogs logs_;
    std::atomic<bool> closed_{false};
    std::atomic<bool> terminated_{false};
};

}  // namespace multiprocessing::detail
