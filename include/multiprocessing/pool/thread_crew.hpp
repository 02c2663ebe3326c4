// multiprocessing/pool/thread_crew.hpp
//
// The threads of a ThreadPool and the calls that they run. Floor 5. Start at ThreadCrew::submit and
// ThreadCrew::work. SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/pool/courier.hpp"
#include "multiprocessing/pool/pending_list.hpp"
#include "multiprocessing/pool/spinning.hpp"
#include "multiprocessing/pool/stream_registry.hpp"
#include "multiprocessing/pool/thread_call.hpp"
#include "multiprocessing/pool/worker_log.hpp"
#include "multiprocessing/reduction/exceptions.hpp"

namespace multiprocessing::detail {

/// What the threads of a pool share.
class ThreadCrew : public std::enable_shared_from_this<ThreadCrew> {
  public:
    static constexpr bool runs_in_caller = false;

    ThreadCrew() { courier_.open(arrivals()); }
    ThreadCrew(const ThreadCrew&) = delete;
    ThreadCrew& operator=(const ThreadCrew&) = delete;

    /// @param traced     chunks that each thread's log has room for
    /// @param initialize called by each thread first; may be none
    void start(std::uint32_t threads, std::uint32_t traced, std::function<void()> initialize) {
        initialize_ = std::move(initialize);
        logs_ = LocalLogs(threads, traced);
        try {
            for (std::uint32_t slot = 0; slot < threads; ++slot) {
                const std::uint64_t now = monotonic_now();
                threads_.emplace_back(
                    [self = shared_from_this(), slot, now] { self->work(slot, now); });
            }
        } catch (...) {
            end();
            throw;
        }
    }

    /// Adds a call to the work. @throws ValueError unless the pool is running
    void submit(const std::shared_ptr<ThreadCall>& call, bool of_stream) {
        check_owner();
        const std::lock_guard guard(mutex_);
        check_running_locked(of_stream);
        call->set_place(++last_order_, arrivals(), of_stream);
        pending_.add(call);
        queue_.push_back(call);
        const std::uint32_t chunks = call->chunk_count();
        if (chunks == 1) {
            work_.notify_one();
        } else {
            work_.notify_all();
        }
    }

    void forget(const std::shared_ptr<PendingCall>& call) {
        const std::lock_guard guard(mutex_);
        pending_.remove(call);
    }

    void check_running() const {
        check_owner();
        const std::lock_guard guard(mutex_);
        check_running_locked(false);
    }

    void close() {
        check_owner();
        const std::lock_guard guard(mutex_);
        closed_ = true;
        if (streams_.is_empty()) let_threads_leave();
    }

    void add_stream(const std::shared_ptr<StreamFeed>& feed) {
        check_owner();
        const std::lock_guard guard(mutex_);
        check_running_locked(false);
        streams_.add(feed);
        feed->set_registration({this, [self = shared_from_this()](void*) {
                                    if (!self->is_owner()) return;  // a forked child's copy
                                    const std::lock_guard lock(self->mutex_);
                                    if (self->streams_.remove() && self->closed_) {
                                        self->let_threads_leave();
                                    }
                                }});
    }

    /// Drops what no thread has begun; the threads leave when they are through with their chunks.
    void terminate() {
        check_owner();
        const std::lock_guard guard(mutex_);
        if (terminated_) return;
        terminated_ = true;
        queue_.clear();
        pending_.give_up(nullptr);
        let_threads_leave();
        arrivals().change();
        courier_.look_at_all();
    }

    /// Waits until the threads have left, and the last callback has run.
    void join() {
        check_owner();
        feed_streams();
        const std::lock_guard guard(join_mutex_);
        for (std::thread& thread : threads_) {
            if (thread.get_id() == std::this_thread::get_id()) continue;  // a task ends its pool
            if (thread.joinable()) thread.join();
        }
        courier_.stop();
    }

    /// Ends the pool; in a forked child, which has none of its threads, forgets them.
    void end() {
        if (!is_owner()) {
            new std::vector<std::thread>(std::move(threads_));
            courier_.abandon();
            return;
        }
        terminate();
        join();
        for (std::thread& thread : threads_) {
            if (thread.joinable()) thread.detach();
        }
    }

    /// As Supervisor's.
    [[nodiscard]] const char* state_name() const noexcept {
        if (!is_owner()) return "INHERITED";
        return terminated_ ? "TERMINATE" : closed_ ? "CLOSE" : "RUN";
    }
    [[nodiscard]] std::uint32_t size() const noexcept {
        return static_cast<std::uint32_t>(threads_.size());
    }
    Courier& courier() noexcept { return courier_; }
    [[nodiscard]] LocalLogs logs() const {
        check_owner();  // another thread may have had the lock when the process forked
        const std::lock_guard guard(mutex_);
        return logs_;
    }
    [[nodiscard]] Arrivals arrivals() noexcept { return {&arrivals_, &listeners_}; }

  private:
    [[nodiscard]] bool is_owner() const noexcept { return fork_depth() == owner_depth_; }
    void check_owner() const {
        if (!is_owner()) {
            throw ValueError("Pool not running in this process: it is another's");
        }
    }
    void check_running_locked(bool of_stream) const {
        if (broken_) std::rethrow_exception(broken_);
        if (of_stream) {
            if (leaving_) throw CancelledError();
        } else if (closed_ || leaving_) {
            throw ValueError("Pool not running");
        }
    }

    void let_threads_leave() {
        leaving_ = true;
        work_.notify_all();
    }

    void feed_streams() {
        for (;;) {
            std::vector<std::shared_ptr<StreamFeed>> feeds;
            {
                const std::lock_guard guard(mutex_);
                if (leaving_) return;
                if (!closed_) throw ValueError("Pool is still running");
                feeds = streams_.feeds();
            }
            for (const auto& feed : feeds) {
                while (feed->feed_on()) {
                }
            }
        }
    }

    // --- a thread ---

    /// @param started nanoseconds on the monotonic clock
    void work(std::uint32_t slot, std::uint64_t started) {
        if (!initialize()) return;
        std::unique_lock lock(mutex_);
        std::uint64_t now = monotonic_now();
        WorkerLog& log = logs_.view()[slot];
        log.pid = static_cast<std::uint32_t>(::gettid());
        log.starts = 1;
        log.startup = now - started;
        for (;;) {
            if (queue_.empty() && !leaving_) {
                work_.wait(lock, [this] { return leaving_ || !queue_.empty(); });
                const std::uint64_t begin = std::exchange(now, monotonic_now());
                add_to(log.idle, now - begin);
            }
            if (queue_.empty()) return;
            const std::shared_ptr<ThreadCall> call = queue_.front();
            const std::uint32_t chunk = call->take_chunk();
            if (!call->has_untaken_chunks()) queue_.pop_front();
            if (chunk == call->chunk_count()) continue;  // it was cancelled
            lock.unlock();
            call->run_chunk(chunk);
            const std::uint64_t begin = std::exchange(now, monotonic_now());
            lock.lock();
            record_chunk(log, logs_.view().capacity(), call->record_of(chunk, begin, now));
        }
    }

    [[nodiscard]] bool initialize() {
        if (!initialize_) return true;
        try {
            initialize_();
            return true;
        } catch (...) {
            const std::string why = describe_exception(std::current_exception());
            const std::lock_guard guard(mutex_);
            if (broken_) return false;  // the first thread's error is told; this one's is the same
            broken_ =
                std::make_exception_ptr(BrokenProcessPool("a thread's initializer failed: " + why));
            queue_.clear();
            pending_.give_up(broken_);
            let_threads_leave();
            arrivals().change();
            courier_.look_at_all();
            return false;
        }
    }

    const std::uint32_t owner_depth_ = fork_depth();
    std::function<void()> initialize_;
    std::vector<std::thread> threads_;
    FutexWord arrivals_{0};
    std::atomic<std::uint32_t> listeners_{0};
    Courier courier_;

    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable work_;
    std::deque<std::shared_ptr<ThreadCall>> queue_;
    PendingList<PendingCall> pending_;
    std::uint64_t last_order_ = 0;
    StreamRegistry streams_;
    LocalLogs logs_;
    std::exception_ptr broken_;
    std::atomic<bool> closed_{false};
    bool leaving_ = false;
    std::atomic<bool> terminated_{false};

    std::mutex join_mutex_;
};

}  // namespace multiprocessing::detail
