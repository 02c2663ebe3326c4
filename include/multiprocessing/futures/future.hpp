// multiprocessing/futures/future.hpp
//
// Future: the result of a call that an executor's processes run. Mirrors CPython
// Lib/concurrent/futures/_base.py, Future. Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/calls/async_result.hpp"
#include "multiprocessing/pool/calls/call_home.hpp"
#include "multiprocessing/pool/calls/courier.hpp"
#include "multiprocessing/pool/calls/pending_call.hpp"
#include "multiprocessing/reduction/types/type_name.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

/// Returns the name of a class without its namespaces, like Python's `__class__.__name__`. The name
/// of a template stays whole: its arguments have namespaces too.
std::string class_name(std::string_view name);
/// Returns the name of the class T.
template <class T>
std::string class_name() {
    return std::is_same_v<T, std::string> ? "string" : class_name(type_name<T>());
}
/// Returns the name of an exception's class; of one from another process, the name it had there.
[[gnu::cold]] std::string class_name_of(const std::exception_ptr& error);

}  // namespace detail

/// The result of a call that an executor runs. Copies are the same future, and compare equal; they
/// may outlive the executor.
///
///     mp::Future<int> f = executor.submit(square, 7);   int x = f.result();   // or: co_await f
///
/// @par Source CPython Lib/concurrent/futures/_base.py, Future
template <class R>
class Future {
  public:
    using value_type = R;

    /// Returns the result. It is read again each time, so R may be a type that can only be moved.
    ///
    /// **Blocking**: until it is there.
    /// @throws TimeoutError when it is not there in time; CancelledError; the task's own error,
    ///         WorkerLost, BrokenProcessPool
    R result(Timeout timeout = std::nullopt) const { return result_.get(timeout); }

    /// Returns the error of the task, null when there was none. **Blocking**: as result.
    /// @throws TimeoutError, CancelledError
    [[nodiscard]] std::exception_ptr exception(Timeout timeout = std::nullopt) const {
        result_.wait(timeout);
        if (!result_.ready()) throw TimeoutError("the result is not there yet");
        if (cancelled()) throw CancelledError();
        if (result_.successful()) return nullptr;
        try {
            (void)result_.get();
        } catch (...) {
            return std::current_exception();
        }
        return nullptr;
    }

    /// Returns whether it has a result or an error, or was cancelled.
    [[nodiscard]] bool done() const noexcept { return result_.ready(); }
    /// Returns whether a worker is running it.
    [[nodiscard]] bool running() const noexcept { return call_->is_started() && !done(); }
    /// Says whether the call was cancelled.
    [[nodiscard]] bool cancelled() const noexcept { return call_->is_cancelled(); }

    /// Takes the call back, unless a worker has begun it. @returns whether it is cancelled now
    bool cancel() const { return call_->cancel(false); }

    /// Calls `f(future)` once it is done: on the executor's own thread, or here if it is done
    /// already. Several callbacks are called in the order in which they were added. If one throws,
    /// that is reported on standard error, and the others are called all the same.
    template <class F>
    void add_done_callback(F f) const {
        auto call_it = [future = *this, f = std::move(f)](const auto&) mutable { f(future); };
        const auto home = home_.lock();
        if (home && !done()) {
            home->courier().add(call_, std::move(call_it));
            return;
        }
        try {
            call_it(call_);
        } catch (...) {
            detail::report_callback_error();
        }
    }

    /// Two futures are equal when they are of the same call.
    friend bool operator==(const Future& a, const Future& b) noexcept { return a.call_ == b.call_; }

    /// Lets a coroutine wait for it: when it is done, the coroutine goes on, on the executor's own
    /// thread.
    auto operator co_await() const { return Awaiter{*this}; }

    /// The library's own: makes the future of a call.
    Future(std::shared_ptr<detail::PendingCall> call, typename AsyncResult<R>::Reader read,
           std::weak_ptr<detail::CallHome> home)
        : call_(std::move(call)), result_(call_, read), home_(std::move(home)) {}

    /// The library's own: tells it from other futures.
    [[nodiscard]] const void* identity() const noexcept { return call_.get(); }
    /// The library's own: the executor's pool, which wait and as_completed listen to; null when it
    /// is gone.
    [[nodiscard]] std::shared_ptr<detail::CallHome> home() const noexcept { return home_.lock(); }
    /// The library's own: the call, which wait and as_completed look at.
    [[nodiscard]] const std::shared_ptr<detail::PendingCall>& call() const noexcept {
        return call_;
    }

    friend std::string text_of(const Future& future) {
        return "<Future at " + detail::address_text(future.identity()) +
               " state=" + future.state_text() + ">";
    }

  private:
    struct Awaiter {
        Future future;
        [[nodiscard]] bool await_ready() const noexcept { return future.done(); }
        void await_suspend(std::coroutine_handle<> waiting) const {
            // A copy: the coroutine, and this object in it, may be gone before the call returns.
            const Future own = future;
            own.add_done_callback([waiting](const Future&) { waiting.resume(); });
        }
        R await_resume() const { return future.result(); }
    };

    [[nodiscard]] std::string state_text() const {
        if (cancelled()) return "cancelled";
        if (!done()) return running() ? "running" : "pending";
        const std::exception_ptr error = exception();
        return error ? "finished raised " + detail::class_name_of(error)
                     : "finished returned " + detail::class_name<R>();
    }

    std::shared_ptr<detail::PendingCall> call_;
    AsyncResult<R> result_;
    std::weak_ptr<detail::CallHome> home_;
};

}  // namespace multiprocessing

/// Futures in unordered containers: futures that compare equal have the same number.
template <class R>
struct std::hash<multiprocessing::Future<R>> {
    /// Returns the number.
    std::size_t operator()(const multiprocessing::Future<R>& future) const noexcept {
        return std::hash<const void*>()(future.identity());
    }
};

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/futures/future.ipp"
#endif
