// multiprocessing/util.hpp
//
// Finalize: what must be done once, at the end of the process if not before. register_after_fork:
// what each forked child has to do first. Mirrors CPython Lib/multiprocessing/util.py. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/process/bootstrap.hpp"

namespace multiprocessing::util {

/// When a Finalize runs, beside its being called.
struct FinalizeOptions {
    /// When to run at the end of the process: higher ones first, among equal ones the latest first.
    /// Those of 0 and more run before the children are ended, negative ones after. Pools end at 15.
    /// None: not at the end of the process, but of the Finalize object.
    std::optional<int> exitpriority = {};
};

/// A function that is called once, at the latest at the end of the process that made it.
///
///     mp::util::Finalize([path] { ::unlink(path.c_str()); }, {.exitpriority = 10});
///
/// With an exit priority the object may go, as in Python: the function waits for the end of the
/// process (main returns, std::exit, or a child's target returns; not _exit or a signal). What it
/// captured must live as long. Without one the object is what is finalized: its end calls the
/// function, as a scope guard does. An exception is logged, or written to standard
/// error where nothing is, and stops nothing.
///
/// Differs: one that is made by a finalizer of the same pass runs in that pass.
/// @par Processes A forked copy of it does nothing.
/// @par Source CPython Lib/multiprocessing/util.py, Finalize
class Finalize {
  public:
    /// @throws ValueError when `fn` is empty
    explicit Finalize(std::function<void()> fn, FinalizeOptions options = {})
        : state_(std::make_shared<State>(std::move(fn))), exitpriority_(options.exitpriority) {
        if (!state_->fn) throw ValueError("Finalize needs a function");
        if (!exitpriority_) return;
        detail::ExitHooks::add(*options.exitpriority, [state = state_] { state->run(); });
        detail::register_exit_handler();
    }
    /// Takes the function over.
    Finalize(Finalize&&) noexcept = default;
    /// Ends its own, as the destructor does, and takes the other over.
    Finalize& operator=(Finalize&& other) noexcept {
        if (this != &other) {
            end();
            state_ = std::move(other.state_);
            exitpriority_ = other.exitpriority_;
        }
        return *this;
    }
    ~Finalize() { end(); }

    /// Calls the function now, unless it was called or cancelled, or another process made it.
    /// @returns whether it was called; what it throws comes through
    bool operator()() { return state_ && state_->run(); }

    /// Sees to it that the function is never called.
    void cancel() noexcept {
        if (state_) state_->active.store(false);
    }

    /// Returns whether the function may still be called.
    [[nodiscard]] bool still_active() const noexcept {
        return state_ && state_->pid == ::getpid() && state_->active.load();
    }

    friend std::string text_of(const Finalize& finalize) {
        if (!finalize.still_active()) return "<Finalize object, dead>";
        if (!finalize.exitpriority_) return "<Finalize object>";
        return "<Finalize object, exitpriority=" + std::to_string(*finalize.exitpriority_) + ">";
    }

  private:
    struct State {
        explicit State(std::function<void()> f) : fn(std::move(f)) {}

        bool run() {
            if (pid != ::getpid() || !active.exchange(false)) return false;
            std::exchange(fn, nullptr)();
            return true;
        }

        std::function<void()> fn;
        const pid_t pid = ::getpid();
        std::atomic<bool> active{true};
    };

    void end() noexcept {
        if (!state_ || exitpriority_) return;
        try {
            state_->run();
        } catch (const std::exception& error) {
            detail::report_error("a Finalize", error.what());
        } catch (...) {
            detail::report_error("a Finalize", "an object that is not a std::exception");
        }
    }

    std::shared_ptr<State> state_;
    std::optional<int> exitpriority_;  // none: it runs when this object ends
};

/// Has `fn` called in each child that the library forks from this process from now on, and in their
/// children, before the target; in order of registration. It cannot be taken back. What it throws
/// is logged, or without a log said on standard error, and stops nothing.
///
///     mp::util::register_after_fork([] { random_engine.seed(std::random_device{}()); });
///
/// @par Processes fork and forkserver; a spawned child has nothing to put right
/// @par Source CPython Lib/multiprocessing/util.py, register_after_fork
inline void register_after_fork(std::function<void()> fn) {
    if (!fn) throw ValueError("register_after_fork needs a function");
    detail::add_after_fork_hook(std::move(fn));
}

}  // namespace multiprocessing::util
