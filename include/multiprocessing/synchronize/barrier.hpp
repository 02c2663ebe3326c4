// multiprocessing/synchronize/barrier.hpp
//
// Barrier: a place where a number of processes wait for each other. Mirrors CPython
// Lib/multiprocessing/synchronize.py, Barrier, and Lib/threading.py, Barrier. Floor 2.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"
#include "multiprocessing/synchronize/barrier_action.hpp"
#include "multiprocessing/synchronize/barrier_state.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {

/// A place where `parties` processes, or threads of them, wait until all have come; a handle.
///
///     mp::Barrier barrier(4);   int number = barrier.wait();
///
/// @par Processes When a process that waits dies, the barrier breaks: the others get a
/// BrokenBarrierError within a second. It also breaks when a party of the round before is killed
/// and nobody comes in its place for half a second. (CPython waits for ever.)
/// @par Source CPython Lib/threading.py, Barrier
class Barrier {
  public:
    /// Makes a new barrier.
    /// @param action  what the last party to come runs, before any party may go. What can be
    ///                called elsewhere (a function, mp::partial, a functor whose fields can travel)
    ///                reaches every process; there each round calls a fresh copy of it. Any other
    ///                callable is only in the process that makes the barrier, and in children
    ///                forked later, for handles that they inherit.
    /// @param timeout the default for wait
    /// @throws ValueError when `parties` is less than 1 @throws std::bad_alloc
    template <class F = std::nullptr_t>
    explicit Barrier(int parties, F action = {}, Timeout timeout = std::nullopt)
        : action_(detail::make_local_action(action)),
          handle_(make(parties, action_ ? detail::make_portable_action(action) : nullptr,
                       action_ != nullptr, timeout)) {}

    /// Waits until all parties have come.
    ///
    /// **Blocking**: until then, at most for `timeout`, which breaks the barrier.
    /// @returns a number from 0 to parties − 1, a different one for each party
    /// @throws BrokenBarrierError when the barrier is or gets broken: by a timeout, by abort or
    /// reset, by an action that throws, by a party that dies
    /// @throws RuntimeError when this process does not have the action; it breaks the barrier
    /// @throws whatever the action throws, in the process that runs it
    int wait(Timeout timeout = std::nullopt) const { return wait_in_place(nullptr, timeout); }

    /// Makes a broken barrier usable again. Parties that wait get a BrokenBarrierError.
    void reset() const { handle_->reset(); }
    /// Breaks the barrier, until it is reset.
    void abort() const { handle_->abort(); }

    /// Returns how many parties must come.
    [[nodiscard]] int parties() const { return static_cast<int>(handle_->parties); }
    /// Returns how many parties have come and wait; 0 when the barrier is broken.
    [[nodiscard]] int n_waiting() const {
        const std::uint64_t s = handle_->state.load(std::memory_order_relaxed);
        return is_broken(s) ? 0 : static_cast<int>(detail::BarrierState::arrivals(s));
    }
    /// Returns whether the barrier is broken.
    [[nodiscard]] bool broken() const {
        return is_broken(handle_->state.load(std::memory_order_relaxed));
    }

    /// Two handles are equal when they are handles on the same barrier.
    friend bool operator==(const Barrier& a, const Barrier& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: the handle, in the form in which it is sent to other processes.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: waits in the place of somebody who may leave. It asks `has_left` at
    /// intervals; when he has left, the barrier breaks, as when a process that waits there dies.
    int wait_in_place(bool (*has_left)(), Timeout timeout) const;
    /// For the library: makes a barrier of a handle that has arrived.
    static Barrier from_shared_handle(detail::AnyHandle handle) {
        return Barrier(std::move(handle));
    }

    friend std::string text_of(const Barrier& barrier) { return barrier.text(); }

  private:
    explicit Barrier(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}

    static bool is_broken(std::uint64_t state) noexcept {
        return (state & detail::BarrierState::broken) != 0;
    }
    static detail::Handle<detail::BarrierState> make(int parties, detail::Payload action,
                                                     bool has_action, Timeout timeout);
    [[nodiscard]] Timeout default_timeout() const;
    [[nodiscard]] std::string text() const;

    detail::LocalAction action_;
    detail::Handle<detail::BarrierState> handle_;
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/synchronize/barrier.ipp"
#endif
