// multiprocessing/util.hpp
//
// Finalize calls a function once, at the latest when the process ends. register_after_fork has a
// function called first in each forked child. Mirrors CPython Lib/multiprocessing/util.py. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::util {

/// When a Finalize runs if it was not called before.
struct FinalizeOptions {
    /// The order at the end of the process: higher priorities run first, and among equal ones the
    /// latest Finalize. Priorities of 0 and more run before the children are ended, negative ones
    /// afterwards. Pools end at 15. Without a priority, the function runs when the Finalize object
    /// ends, not when the process ends.
    std::optional<int> exitpriority = {};
};

/// Calls a function once, at the latest when the process that made the object ends.
///
///     mp::util::Finalize([path] { ::unlink(path.c_str()); }, {.exitpriority = 10});
///
/// With an exit priority the object may be destroyed early, as in Python. The function is called
/// when the process ends: when main returns, at std::exit, or when a child's target returns, but
/// not at _exit or a signal. What the function has captured must live as long. Without an exit
/// priority the destructor calls the function, as that of a scope guard does. An exception is
/// logged, or written to standard error if nothing is logged. It stops nothing.
///
/// Differs: a Finalize that another finalizer makes runs in the same pass.
/// @par Processes A forked copy of the object does nothing.
/// @par Source CPython Lib/multiprocessing/util.py, Finalize
class Finalize {
  public:
    /// @throws ValueError when `fn` is empty
    explicit Finalize(std::function<void()> fn, FinalizeOptions options = {});
    /// Takes the function over.
    Finalize(Finalize&&) noexcept = default;
    /// Ends its own function as the destructor does, and takes the other one over.
    Finalize& operator=(Finalize&& other) noexcept;
    ~Finalize() { end(); }

    /// Calls the function now, unless it was called or cancelled, or another process made the
    /// object.
    /// @returns whether the function was called; the caller gets what it throws
    bool operator()();

    /// Makes sure that the function is never called.
    void cancel() noexcept;

    /// Returns whether the function may still be called.
    [[nodiscard]] bool still_active() const noexcept;

    friend std::string text_of(const Finalize& finalize) {
        if (!finalize.still_active()) return "<Finalize object, dead>";
        if (!finalize.exitpriority_) return "<Finalize object>";
        return "<Finalize object, exitpriority=" + std::to_string(*finalize.exitpriority_) + ">";
    }

  private:
    struct State;

    void end() noexcept;

    std::shared_ptr<State> state_;
    std::optional<int> exitpriority_;  // none: the function runs when this object ends
};

/// Registers a function that is called in each child which the library forks from now on.
///
/// The children of these children call it too. It is called before the target; several functions
/// are called in the order of their registration. A registration cannot be undone. What a function
/// throws is logged, or written to standard error if nothing is logged. It stops nothing.
///
///     mp::util::register_after_fork([] { random_engine.seed(std::random_device{}()); });
///
/// @par Processes This works with fork and forkserver. A spawned child has nothing to repair.
/// @par Source CPython Lib/multiprocessing/util.py, register_after_fork
void register_after_fork(std::function<void()> fn);

}  // namespace multiprocessing::util

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/util.ipp"
#endif
