// multiprocessing/synchronize/semaphore.hpp
//
// Semaphore and BoundedSemaphore: a number of units that processes take and give back. Mirrors
// CPython Lib/multiprocessing/synchronize.py, Semaphore and BoundedSemaphore. Floor 2.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/synchronize/standard_lockable.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

/// A semaphore in the heap. The bits of its word:
///      0 … 30   the value
///     31        waiting    see gate.hpp
///     32        starving   see gate.hpp
/// A unit has no owner. So nobody notices when a process dies that has taken one.
struct SemaphoreState : SharedObject {
    static constexpr std::uint64_t value_mask = 0x7FFF'FFFF;
    static constexpr std::uint64_t waiting = std::uint64_t{1} << 31;
    static constexpr std::uint64_t starving = std::uint64_t{1} << 32;

    std::atomic<std::uint64_t> word;  // 24
    std::uint64_t maximum;            // 32  what the value may not exceed

    SemaphoreState(int value, int most)
        : SharedObject(ObjectKind::plain),
          word(static_cast<std::uint64_t>(value)),
          maximum(static_cast<std::uint64_t>(most)) {}

    [[nodiscard]] int value() const noexcept {
        return static_cast<int>(word.load(std::memory_order_relaxed) & value_mask);
    }

    /// Takes a unit when there is one and no waiter starves. It makes no system call.
    bool try_fast() noexcept {
        std::uint64_t w = word.load(std::memory_order_relaxed);
        while ((w & value_mask) != 0 && (w & starving) == 0) {
            // acquire: pairs with the release of the unit that is taken.
            if (word.compare_exchange_weak(w, w - 1, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }

    bool acquire(bool block, Timeout timeout) {
        // The deadline reads the clock, so it is made only when there is something to wait for.
        return try_fast() || wait(Deadline(block ? timeout : Timeout(0)));
    }

    /// @returns false when the value is the maximum already
    bool release() noexcept {
        std::uint64_t w = word.load(std::memory_order_relaxed);
        do {
            if ((w & value_mask) >= maximum) return false;
            // release: the thread that takes the unit sees what was done before.
        } while (!word.compare_exchange_weak(w, w + 1, std::memory_order_release,
                                             std::memory_order_relaxed));
        if ((w & waiting) != 0) wake_one(w);
        return true;
    }

  private:
    struct Gate;  // what GateWait needs to know of a semaphore

    /// Takes a unit when there may be none, or when a waiter starves.
    bool wait(Deadline deadline);

    /// Wakes one of those who wait for a unit, after the release of one.
    /// @param w the word before the release
    void wake_one(std::uint64_t w) noexcept;
};
static_assert(sizeof(SemaphoreState) == 40);

[[noreturn, gnu::cold]] void throw_released_too_often();

}  // namespace detail

/// A number of units that processes take and give back; a handle.
///
/// @par Processes When a process dies, the units that it had taken are lost, as in Python. When a
/// process dies while it waits, the others lose nothing.
/// @par Source CPython Lib/multiprocessing/synchronize.py, Semaphore
class Semaphore : public detail::StandardLockable<Semaphore> {
  public:
    /// Makes a new semaphore. @throws ValueError when `value` is negative @throws std::bad_alloc
    explicit Semaphore(int value = 1) : Semaphore(value, (std::numeric_limits<int>::max)()) {}

    /// Takes a unit.
    ///
    /// **Blocking**: until there is one, at most for `timeout`. A signal does not end the wait.
    /// @param block   false: do not wait, whatever the timeout
    /// @returns whether a unit was taken
    bool acquire(bool block = true, Timeout timeout = std::nullopt) const {
        return handle_->acquire(block, timeout);
    }
    /// Does not compile: seconds in the place of `block` would mean true, and wait for ever.
    template <std::floating_point Seconds>
    bool acquire(Seconds) const = delete;  // write acquire(true, seconds)

    /// Gives a unit back. Any process may do so, also one that took none.
    /// @throws ValueError when the value is at its maximum: the first value of a BoundedSemaphore,
    /// the largest int otherwise
    void release() const {
        if (!handle_->release()) detail::throw_released_too_often();
    }

    /// Returns how many units are left. The number may have changed before the caller uses it.
    [[nodiscard]] int get_value() const { return handle_->value(); }
    /// Returns whether no unit is left.
    [[nodiscard]] bool locked() const noexcept { return get_value() == 0; }

    /// Two handles are equal when they are handles on the same semaphore.
    friend bool operator==(const Semaphore& a, const Semaphore& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: the handle, in the form in which it is sent to other processes.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: the semaphore in the heap.
    [[nodiscard]] detail::SemaphoreState& state() const { return *handle_; }
    /// For the library: makes a semaphore of a handle that has arrived.
    static Semaphore from_shared_handle(detail::AnyHandle handle) {
        return Semaphore(std::move(handle));
    }

  protected:
    /// For the derived classes: makes a new semaphore.
    Semaphore(int value, int maximum);
    /// For the derived classes: takes over a handle that has arrived.
    explicit Semaphore(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}

    friend std::string text_of(const Semaphore& semaphore) { return semaphore.text(); }

  private:
    static detail::Handle<detail::SemaphoreState> make(int value, int maximum);
    [[nodiscard]] std::string text() const;

    detail::Handle<detail::SemaphoreState> handle_;
};

/// A semaphore whose value never exceeds the one that it began with: a release beyond it throws
/// ValueError.
///
/// Differs: CPython checks the value and then adds to it, so two processes at once can exceed the
/// limit.
/// @par Source CPython Lib/multiprocessing/synchronize.py, BoundedSemaphore
class BoundedSemaphore : public Semaphore {
  public:
    /// Makes a new semaphore. @throws ValueError when `value` is negative @throws std::bad_alloc
    explicit BoundedSemaphore(int value = 1) : Semaphore(value, value) {}

    /// For the library: makes a semaphore of a handle that has arrived.
    static BoundedSemaphore from_shared_handle(detail::AnyHandle handle) {
        return BoundedSemaphore(std::move(handle));
    }

    friend std::string text_of(const BoundedSemaphore& semaphore) { return semaphore.text(); }

  private:
    [[nodiscard]] std::string text() const;
    explicit BoundedSemaphore(detail::AnyHandle handle) noexcept : Semaphore(std::move(handle)) {}
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/synchronize/semaphore.ipp"
#endif
