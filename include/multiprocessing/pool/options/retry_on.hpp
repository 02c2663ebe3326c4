// multiprocessing/pool/options/retry_on.hpp
//
// RetryOn: which exceptions of a task count as a loss, so that the task is tried again. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <exception>

namespace multiprocessing {

/// Which exceptions of a task count as a loss; made by retry_on. By default none does.
class RetryOn {
  public:
    /// Returns whether an exception is one of these.
    using Matches = bool (*)(const std::exception_ptr&);

    RetryOn() = default;
    /// For the library.
    explicit RetryOn(Matches one) noexcept : matches_(one) {}

    /// Returns whether there are any.
    explicit operator bool() const noexcept { return matches_ != nullptr; }
    /// For the library.
    [[nodiscard]] Matches matches() const noexcept { return matches_; }

  private:
    Matches matches_ = nullptr;
};

namespace detail {

template <class E>
bool is_exception_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const E&) {
        return true;
    } catch (...) {
        return false;
    }
}
template <class... Es>
bool is_exception_of_any(const std::exception_ptr& error) {
    return (is_exception_of<Es>(error) || ...);
}

}  // namespace detail

/// Names the exceptions of a task after which it is tried again: those of the classes Es and of
/// classes derived from them.
///
///     mp::Pool pool({.retries = 3, .retry_on = mp::retry_on<std::system_error, MyError>()});
template <class... Es>
    requires(sizeof...(Es) > 0)
RetryOn retry_on() noexcept {
    return RetryOn(detail::is_exception_of_any<Es...>);
}

}  // namespace multiprocessing
