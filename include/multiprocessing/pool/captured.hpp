// multiprocessing/pool/captured.hpp
//
// captured: a function whose result comes with what it has printed, also when it throws. Floor 5.
// Start at captured. SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/output_capture.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"

namespace multiprocessing {

/// What a captured call has returned or thrown, beside what it has printed. It travels when an R
/// does.
template <class R>
class Captured {
  public:
    /// For captured, which makes it.
    Captured(std::optional<R> result, std::exception_ptr error, detail::CapturedText text)
        : result_(std::move(result)), error_(std::move(error)), text_(std::move(text)) {}

    /// Returns what the function returned. @throws what the function threw
    [[nodiscard]] const R& result() const {
        if (error_) std::rethrow_exception(error_);
        return *result_;
    }
    /// Returns what the function threw, null if it returned.
    [[nodiscard]] std::exception_ptr exception() const noexcept { return error_; }
    /// Returns what was printed to standard output.
    [[nodiscard]] const std::string& output() const noexcept { return text_.output; }
    /// Returns what was printed to standard error.
    [[nodiscard]] const std::string& error_output() const noexcept { return text_.error_output; }

    /// For the library's archives.
    void archive_to(detail::OutputArchive& archive) const
        requires(picklable<R>)
    {
        archive(text_.output, text_.error_output, result_);
        if (!result_) detail::save_exception(archive, error_, detail::state().name(), ::getpid());
    }
    /// For the library's archives.
    static Captured from_archive(detail::InputArchive& archive)
        requires(picklable<R>)
    {
        detail::CapturedText text;
        archive(text.output, text.error_output);
        auto result = archive.template read<std::optional<R>>();
        std::exception_ptr error = result ? nullptr : detail::load_exception(archive);
        return Captured(std::move(result), std::move(error), std::move(text));
    }

  private:
    std::optional<R> result_;
    std::exception_ptr error_;
    detail::CapturedText text_;
};

/// What a captured call of a function without a result has thrown, and printed.
template <>
class Captured<void> : private Captured<std::monostate> {
  public:
    using Captured<std::monostate>::Captured;
    using Captured<std::monostate>::error_output;
    using Captured<std::monostate>::exception;
    using Captured<std::monostate>::output;
    using Captured<std::monostate>::archive_to;

    /// @throws what the function threw
    void result() const { (void)Captured<std::monostate>::result(); }

    /// For the library's archives.
    static Captured from_archive(detail::InputArchive& archive) {
        return Captured(Captured<std::monostate>::from_archive(archive));
    }

  private:
    explicit Captured(Captured<std::monostate> other)
        : Captured<std::monostate>(std::move(other)) {}
};

namespace detail {

/// Calls a function, and keeps what it prints. @throws ExitRequest; what OutputCapture throws
template <class F, class... Args>
auto call_captured(F& function, Args&&... args) {
    using R = std::decay_t<std::invoke_result_t<F&, Args...>>;
    using Kept = std::conditional_t<std::is_void_v<R>, std::monostate, R>;
    std::optional<Kept> result;
    std::exception_ptr error;
    OutputCapture capture;
    try {
        if constexpr (std::is_void_v<R>) {
            std::invoke(function, std::forward<Args>(args)...);
            result.emplace();
        } else {
            result.emplace(std::invoke(function, std::forward<Args>(args)...));
        }
    } catch (const ExitRequest&) {
        throw;  // the process ends
    } catch (...) {
        error = std::current_exception();
    }
    return Captured<R>(std::move(result), std::move(error), capture.finish());
}

/// A function that is called captured. It has the parameters of the function.
template <class F, class Parameters = parameter_list_t<F>>
struct CapturedCall {
    F function;

    template <class... Args>
        requires(std::is_invocable_v<F&, Args...>)
    auto operator()(Args&&... args) {
        return call_captured(function, std::forward<Args>(args)...);
    }
};
template <class F, class... Parameters>
struct CapturedCall<F, TypeList<Parameters...>> {
    F function;

    auto operator()(Parameters... args) {
        return call_captured(function, std::forward<Parameters>(args)...);
    }
};

template <class F>
inline constexpr bool is_captured_call = false;
template <class F, class Parameters>
inline constexpr bool is_captured_call<CapturedCall<F, Parameters>> = true;

}  // namespace detail

/// Makes a function that does what `f` does, and returns a Captured: f's result or error, beside
/// what was printed meanwhile to standard output and standard error, by whatever means, also by
/// programs that f has started. An error of f is in the Captured; the call itself does not throw
/// it.
///
///     for (const auto& r : pool.map(mp::captured(simulate), seeds)) log << r.output();
///
/// It costs some 10 µs a call, and memory for the text. A task that is killed takes its text along:
/// PoolOptions::stdout_file keeps that. Threads share their process's output, so a ThreadPool does
/// not take it (it does not compile), and two such calls at a time in one process are a
/// RuntimeError. What other threads of the process print meanwhile is captured, too.
template <class F>
auto captured(F&& f) {
    return detail::CapturedCall<std::decay_t<F>>{std::forward<F>(f)};
}

}  // namespace multiprocessing
