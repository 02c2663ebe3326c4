// multiprocessing/pool/calls/async_result.hpp
//
// AsyncResult: the result of a call that a pool runs meanwhile, and what to do when it is there.
// Mirrors CPython Lib/multiprocessing/pool.py, ApplyResult and MapResult. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/local_mutex.hpp"
#include "multiprocessing/pool/calls/pending_call.hpp"
#include "multiprocessing/pool/calls/submit_options.hpp"

namespace multiprocessing {

/// The options of a call that does not wait; designated initialisers name the fields.
template <class R>
struct AsyncOptions {
    /// Items that a worker takes at a time; by default, so many that each worker gets about four
    /// chunks.
    std::optional<int> chunksize = {};
    /// Called with the result, on the pool's own thread. If it throws, the error is reported on
    /// standard error and stops nothing.
    std::function<void(R)> callback = {};
    /// Called with the error in place of a result.
    std::function<void(std::exception_ptr)> error_callback = {};
    /// Workers begin waiting calls of a higher priority first, and those of one priority in the
    /// order in which they were made. What is under way goes on.
    int priority = 0;
    /// How long each task of the call may run, in place of PoolOptions::task_timeout. A pool of
    /// threads refuses it (ValueError), because it cannot end a task.
    Timeout timeout = std::nullopt;
    /// How long to wait for a place where PoolOptions::max_pending calls wait already. Then the
    /// call is not made: Full. By default as long as `timeout`.
    Timeout submit_timeout = std::nullopt;
};

/// The options of a call that returns nothing: its callback gets nothing.
template <>
struct AsyncOptions<void> {
    std::optional<int> chunksize = {};    ///< as above
    std::function<void()> callback = {};  ///< called when the call has succeeded
    std::function<void(std::exception_ptr)> error_callback = {};  ///< called with the error
    int priority = 0;                                             ///< as above
    Timeout timeout = std::nullopt;                               ///< as above
    Timeout submit_timeout = std::nullopt;                        ///< as above
};

namespace detail {

/// Returns the part of the options that is not about results.
template <class R>
[[nodiscard]] CallWish wish_of(const AsyncOptions<R>& options) noexcept {
    const bool is_set = !options.submit_timeout.is_forever();
    return {options.priority, is_set ? options.submit_timeout : options.timeout, options.timeout};
}

}  // namespace detail

/// The result of a call that a pool runs meanwhile. Copies stand for the same result; they may
/// outlive the pool.
/// @par Source CPython Lib/multiprocessing/pool.py, ApplyResult
template <class R>
class AsyncResult {
  public:
    /// Returns the result. It is made anew each time, so R may be a type that can only be moved.
    ///
    /// **Blocking**: until the result is there and its callbacks have run.
    /// @throws TimeoutError when the result is not there in time
    /// @throws the task's own error, WorkerLost, BrokenProcessPool; CancelledError after cancel, or
    ///         when the pool was terminated before
    R get(Timeout timeout = std::nullopt) const {
        if (!kept_) return none();
        if (!kept_->call->wait(timeout)) throw TimeoutError("the result is not there yet");
        kept_->call->throw_if_given_up();
        if (!kept_->call->is_own() && kept_->is_noted.exchange(false)) return kept_->take_note();
        return kept_->read(*kept_->call);
    }

    /// Waits until there is a result or an error, or until the timeout has passed. A result that
    /// was waited for is there for processes that are forked later, too: get() gives it, once. Of
    /// any other result, get() is a ValueError there.
    void wait(Timeout timeout = std::nullopt) const {
        if (kept_ && kept_->call->wait(timeout)) kept_->note_result();
    }

    /// Returns whether there is a result or an error.
    [[nodiscard]] bool ready() const noexcept { return !kept_ || kept_->call->is_ready(); }

    /// Returns whether there is a result, not an error. @throws ValueError before it is ready
    [[nodiscard]] bool successful() const {
        if (!ready()) throw ValueError("the result is not ready");
        return !kept_ || kept_->is_noted.load(std::memory_order_acquire) ||
               !kept_->call->has_failed();
    }

    /// Takes the call back: its tasks that no worker has begun are never begun.
    /// @param kill_running whether workers that are running its tasks are killed; others replace
    ///        them. Threads cannot be killed
    /// @returns whether the result is a CancelledError now; false when all tasks have been begun
    ///          and go on
    bool cancel(bool kill_running = false) const {
        return kept_ && kept_->call->cancel(kill_running);
    }

    /// Two results are equal when they are of the same call.
    friend bool operator==(const AsyncResult& a, const AsyncResult& b) noexcept {
        return a.kept_ == b.kept_;
    }
    /// For the library: what tells this result from others.
    [[nodiscard]] const void* identity() const noexcept { return kept_.get(); }

    /// For the library: reads the result of a call.
    using Reader = R (*)(detail::PendingCall&);
    /// For the library: makes the result of `call`, which is null for a call without items.
    explicit AsyncResult(std::shared_ptr<detail::PendingCall> call, Reader read)
        : kept_(call ? std::make_shared<Kept>(std::move(call), read) : nullptr) {}

    friend std::string text_of(const AsyncResult& result) {
        return "<AsyncResult " + std::string(result.state_name()) + ">";
    }

  private:
    /// What all copies share. The results are freed with the last copy.
    struct Kept {
        Kept(std::shared_ptr<detail::PendingCall> made, Reader reader)
            : call(std::move(made)), read(reader) {}
        Kept(const Kept&) = delete;
        Kept& operator=(const Kept&) = delete;
        ~Kept() { call->discard(); }

        /// Reads the result into memory of this process, of which a forked child has a copy.
        void note_result() {
            if (!call->is_own()) return;
            const std::scoped_lock lock(noting);
            if (is_noted.load() || call->has_failed()) return;
            try {
                if constexpr (std::is_void_v<R>) {
                    read(*call);
                } else {
                    note.emplace(read(*call));
                }
                is_noted.store(true);
            } catch (...) {
                // get() says what is wrong.
            }
        }
        R take_note() {
            if constexpr (!std::is_void_v<R>) return std::move(*note);
        }

        std::shared_ptr<detail::PendingCall> call;
        Reader read;
        detail::LocalMutex noting;
        std::conditional_t<std::is_void_v<R>, std::monostate, std::optional<R>> note;
        std::atomic<bool> is_noted{false};
    };

    [[nodiscard]] const char* state_name() const {
        if (!ready()) return "pending";
        return successful() ? "ready successful" : "ready failed";
    }

    static R none() {
        if constexpr (!std::is_void_v<R>) {
            if constexpr (std::is_default_constructible_v<R>) return R();
            throw AssertionError("a call without items has a list of results");
        }
    }

    std::shared_ptr<Kept> kept_;
};

namespace detail {

/// Calls the callback, or the error callback, with the outcome of a call that is over. What they
/// throw is their own error, not the task's.
template <class R>
void run_callbacks(const AsyncResult<R>& result, const AsyncOptions<R>& options) {
    std::exception_ptr error;
    if constexpr (std::is_void_v<R>) {
        try {
            result.get();
        } catch (...) {
            error = std::current_exception();
        }
        if (!error && options.callback) options.callback();
    } else {
        std::optional<R> value;
        try {
            if (options.callback || !result.successful()) value.emplace(result.get());
        } catch (...) {
            error = std::current_exception();
        }
        if (value && options.callback) options.callback(std::move(*value));
    }
    if (error && options.error_callback) options.error_callback(error);
}

}  // namespace detail
}  // namespace multiprocessing

/// For results in unordered containers: equal results have the same number.
template <class R>
struct std::hash<multiprocessing::AsyncResult<R>> {
    /// Returns the number.
    std::size_t operator()(const multiprocessing::AsyncResult<R>& result) const noexcept {
        return std::hash<const void*>()(result.identity());
    }
};
