// multiprocessing/synchronize/barrier.hpp
//
// Barrier: a place where a number of processes wait for each other. Mirrors CPython
// Lib/multiprocessing/synchronize.py, Barrier, and Lib/threading.py, Barrier. Floor 2.
// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/synchronize/barrier_action.hpp"
#include "multiprocessing/synchronize/barrier_state.hpp"
#include "multiprocessing/synchronize/trailing.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {

/// A place where `parties` processes, or threads of them, wait until all have come; a handle.
///
///     mp::Barrier barrier(4);   int number = barrier.wait();
///
/// @par Processes When a process that waits dies, the barrier breaks: the others get a
/// BrokenBarrierError within a second. So it does when one that was there in the round before is
/// killed and nobody comes in its place for half a second. (CPython waits for ever.)
/// @par Source CPython Lib/threading.py, Barrier
class Barrier {
  public:
    /// Makes a new barrier.
    /// @param action  what the last to come runs, before anyone may go. A function or captureless
    ///                lambda of the program reaches every process. Any other callable is there in
    ///                the process that makes the barrier and in children forked later, for handles
    ///                that they inherit; elsewhere wait throws RuntimeError.
    /// @param timeout the default for wait
    /// @throws ValueError when `parties` is less than 1 @throws std::bad_alloc
    template <class F = std::nullptr_t>
    explicit Barrier(int parties, F action = {}, Timeout timeout = std::nullopt)
        : action_(detail::make_local_action(action)),
          handle_(make(parties, action_ ? detail::PortableAction::of(action) : none(),
                       action_ != nullptr, timeout)) {}

    /// Waits until all parties have come.
    ///
    /// **Blocking**: until then, at most for `timeout`, which breaks the barrier.
    /// @returns a number from 0 to parties − 1, another one for each
    /// @throws BrokenBarrierError when the barrier is or gets broken: by a timeout, abort, reset,
    /// an
    ///         action that throws, a party that dies
    /// @throws RuntimeError when this process does not have the action
    /// @throws what the action throws, in the process that runs it
    int wait(Timeout timeout = std::nullopt) const {
        const bool has_action = handle_->has_action != 0;
        if (has_action && !action_ && !handle_->portable_action) {
            throw RuntimeError("this process does not have the barrier's action: only a function "
                               "or a lambda without captures, of the program itself, can be called "
                               "in every process");
        }
        return handle_->wait(detail::Deadline(timeout.is_forever() ? default_timeout() : timeout),
                             [&] {
                                 if (action_) {
                                     (*action_)();
                                 } else if (has_action) {
                                     handle_->portable_action();
                                 }
                             });
    }

    /// Makes a broken barrier usable; those who wait get a BrokenBarrierError.
    void reset() const { handle_->reset(); }
    /// Breaks the barrier, until it is reset.
    void abort() const { handle_->abort(); }

    /// Returns how many must come.
    [[nodiscard]] int parties() const noexcept { return static_cast<int>(handle_->parties); }
    /// Returns how many have come and wait; 0 when the barrier is broken.
    [[nodiscard]] int n_waiting() const noexcept {
        const std::uint64_t s = handle_->state.load(std::memory_order_relaxed);
        return is_broken(s) ? 0 : static_cast<int>(detail::BarrierState::arrivals(s));
    }
    /// Returns whether the barrier is broken.
    [[nodiscard]] bool broken() const noexcept {
        return is_broken(handle_->state.load(std::memory_order_relaxed));
    }

    /// Two handles are equal when they are handles on the same barrier.
    friend bool operator==(const Barrier& a, const Barrier& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: the handle as it travels, and one that has arrived.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    static Barrier from_shared_handle(detail::AnyHandle handle) {
        return Barrier(std::move(handle));
    }

    friend std::string text_of(const Barrier& barrier) {
        if (barrier.broken()) return "<Barrier broken>";
        return "<Barrier waiters=" + std::to_string(barrier.n_waiting()) + "/" +
               std::to_string(barrier.parties()) + ">";
    }

  private:
    explicit Barrier(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}

    static detail::PortableAction none() noexcept { return {}; }
    static bool is_broken(std::uint64_t state) noexcept {
        return (state & detail::BarrierState::broken) != 0;
    }
    static detail::Handle<detail::BarrierState> make(int parties, detail::PortableAction action,
                                                     bool has_action, Timeout timeout) {
        if (parties < 1) throw ValueError("a barrier needs at least one party");
        return detail::make_with_trailing<detail::BarrierState>(
            static_cast<std::size_t>(parties) * sizeof(detail::BarrierParty), parties, action,
            has_action, timeout);
    }
    [[nodiscard]] Timeout default_timeout() const {
        const std::chrono::nanoseconds time(handle_->timeout);
        return time == std::chrono::nanoseconds::max() ? Timeout() : Timeout(time);
    }

    detail::LocalAction action_;
    detail::Handle<detail::BarrierState> handle_;
};

}  // namespace multiprocessing
