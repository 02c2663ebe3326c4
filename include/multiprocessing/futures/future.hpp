// multiprocessing/futures/future.hpp
//
// Future: the result of a call that an executor's processes run meanwhile. Mirrors CPython
// Lib/concurrent/futures/_base.py, Future. Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include <cxxabi.h>

#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/reduction/exceptions.hpp"
#include "multiprocessing/reduction/type_name.hpp"

namespace multiprocessing {
namespace detail {

/// Returns the name of a class without its namespaces, as Python tells `__class__.__name__`; not
/// of a template, whose arguments have some too.
inline std::string class_name(std::string_view name) {
    if (name.find('<') == std::string_view::npos && name.rfind("::") != std::string_view::npos) {
        name.remove_prefix(name.rfind("::") + 2);
    }
    return std::string(name);
}
template <class T>
std::string class_name() {
    return std::is_same_v<T, std::string> ? "string" : class_name(type_name<T>());
}
inline std::string class_name_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const RemoteError& remote) {
        return class_name(remote.type_name());
    } catch (...) {
        const std::type_info* const type = abi::__cxa_current_exception_type();
        return type == nullptr ? "an exception" : class_name(demangle(type->name()));
    }
}

}  // namespace detail

/// The result of a call that an executor runs meanwhile. Copies are the same future, and compare
/// equal; they may outlive the executor.
///
///     mp::Future<int> f = executor.submit(square, 7);   int x = f.result();   // or: co_await f
///
/// @par Source CPython Lib/concurrent/futures/_base.py, Future
template <class R>
class Future {
  public:
    using value_type = R;

    /// Returns the result; each time anew, so R may be a type that can only be moved.
    ///
    /// **Blocking**: until it is there.
    /// @throws TimeoutError when it is not there in time; CancelledError; the task's own error,
    ///         WorkerLost, BrokenProcessPool
    R result(Timeout timeout = std::nullopt) const { return result_.get(timeout); }

    /// Returns the error of the task, null when there was none. **Blocking** as result.
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
    /// Returns whether a worker is at it.
    [[nodiscard]] bool running() const noexcept { return call_->is_started() && !done(); }
    /// Says whether the call was cancelled.
    [[nodiscard]] bool cancelled() const noexcept { return call_->is_cancelled(); }

    /// Takes the call back, unless a worker has begun it. @returns whether it is cancelled now
    bool cancel() const { return call_->cancel(false); }

    /// Calls `f(future)` once it is done: on the executor's own thread, or here when it is already.
    /// Several are called in the order in which they were added. One that throws is reported on
    /// standard error and stops nothing.
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

    /// Lets a coroutine wait for it: it goes on, on the executor's own thread, when it is done.
    auto operator co_await() const { return Awaiter{*this}; }

    /// The library's own.
    Future(std::shared_ptr<detail::PendingCall> call, typename AsyncResult<R>::Reader read,
           std::weak_ptr<detail::Supervisor> home)
        : call_(std::move(call)), result_(call_, read), home_(std::move(home)) {}

    /// The library's own: what tells it from other futures.
    [[nodiscard]] const void* identity() const noexcept { return call_.get(); }

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
    std::weak_ptr<detail::Supervisor> home_;
};

}  // namespace multiprocessing
