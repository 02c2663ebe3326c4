// multiprocessing/pool/threads/serial_crew.hpp
//
// What runs the calls of the serial context's pool: the thread that makes a call runs it at once,
// so that a debugger finds the caller below the task. Floor 5. Start at SerialCrew::submit.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/pool/calls/courier.hpp"
#include "multiprocessing/pool/calls/stream_registry.hpp"
#include "multiprocessing/pool/calls/submit_options.hpp"
#include "multiprocessing/pool/insight/history.hpp"
#include "multiprocessing/pool/options.hpp"

namespace multiprocessing::detail {

class ThreadCall;

/// Runs callbacks at once, in the thread that adds them. The interface of Courier.
class InlineCourier {
  public:
    void add(const std::shared_ptr<PendingCall>& call, const Delivery& delivery) {
        deliver(call, delivery);
    }
};

/// The interface of ThreadCrew, without threads.
class SerialCrew : public std::enable_shared_from_this<SerialCrew> {
  public:
    static constexpr bool runs_in_caller = true;

    SerialCrew() = default;
    SerialCrew(const SerialCrew&) = delete;
    SerialCrew& operator=(const SerialCrew&) = delete;

    /// @param workers only what size() returns: the pool cuts its calls into chunks for so many
    /// @param traced  chunks that the log has room for; there is one log, whoever calls
    void start(std::uint32_t workers, std::uint32_t traced, const TaskRules& rules,
               const std::function<void()>& initialize);

    /// Runs the call. A task may end the pool, or cancel the rest of its own call.
    void submit(const std::shared_ptr<ThreadCall>& call, const SubmitOptions& how);

    void forget(const std::shared_ptr<PendingCall>&) const noexcept {}

    void check_running() const;
    /// Changes only what size() returns. @throws ValueError unless the pool is running
    void resize(std::uint32_t workers);
    void close();
    void terminate();
    void add_stream(const std::shared_ptr<StreamFeed>& feed);

    /// Runs what streams have still to come. @throws ValueError before close or terminate
    void join();
    void end() { terminate(); }

    /// As Supervisor's.
    [[nodiscard]] const char* state_name() const noexcept {
        return terminated_ ? "TERMINATE" : closed_ ? "CLOSE" : "RUN";
    }
    [[nodiscard]] std::uint32_t size() const noexcept {
        return workers_.load(std::memory_order_relaxed);
    }
    InlineCourier& courier() noexcept { return courier_; }
    [[nodiscard]] LocalLogs logs() const;
    [[nodiscard, gnu::cold]] History history() const;
    [[nodiscard]] Arrivals arrivals() noexcept { return {&arrivals_, &listeners_}; }

  private:
    [[nodiscard]] bool is_terminated() const;
    void check_running_locked(bool of_stream) const;

    std::atomic<std::uint32_t> workers_{1};
    TaskRules rules_;
    FutexWord arrivals_{0};
    std::atomic<std::uint32_t> listeners_{0};
    InlineCourier courier_;
    std::exception_ptr broken_;

    mutable std::mutex mutex_;  // guards what follows; not held while a task runs
    std::uint64_t last_order_ = 0;
    StreamRegistry streams_;
    LocalLogs logs_;
    History history_;
    std::atomic<bool> closed_{false};
    std::atomic<bool> terminated_{false};
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/threads/serial_crew.ipp"
#endif
