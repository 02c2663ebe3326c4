// multiprocessing/synchronize/semaphore.hpp
//
// Semaphore and BoundedSemaphore: a number that processes take from and add to. Mirrors CPython
// Lib/multiprocessing/synchronize.py, Semaphore and BoundedSemaphore. Floor 2.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <utility>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/synchronize/gate.hpp"
#include "multiprocessing/synchronize/standard_lockable.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

/// A semaphore in the heap. The bits of its word:
///      0 … 30   the value
///     31        waiting    see gate.hpp
///     32        starving   see gate.hpp
/// Nobody owns a unit, so nobody notices when a process dies that has taken one.
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

    /// What GateWait needs to know of a semaphore.
    struct Gate {
        static constexpr std::uint64_t waiting = SemaphoreState::waiting;
        static constexpr std::uint64_t starving = SemaphoreState::starving;

        std::atomic<std::uint64_t>& word;

        static bool is_open(std::uint64_t w) noexcept { return (w & value_mask) != 0; }
        static std::uint64_t passed(std::uint64_t w) noexcept { return w - 1; }
        static bool inspect(std::uint64_t, bool) noexcept { return false; }
    };

    [[nodiscard]] int value() const noexcept {
        return static_cast<int>(word.load(std::memory_order_relaxed) & value_mask);
    }

    bool acquire(const Deadline& deadline) {
        std::uint64_t w = word.load(std::memory_order_relaxed);
        while ((w & value_mask) != 0 && (w & starving) == 0) {
            // acquire: pairs with the release of the unit that is taken.
            if (word.compare_exchange_weak(w, w - 1, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
                return true;
            }
        }
        return enter_gate(Gate{word}, deadline);
    }

    /// @returns false when the value is the largest already
    bool release() noexcept {
        std::uint64_t w = word.load(std::memory_order_relaxed);
        do {
            if ((w & value_mask) >= maximum) return false;
            // release: what was done before is seen by whoever takes the unit.
        } while (!word.compare_exchange_weak(w, w + 1, std::memory_order_release,
                                             std::memory_order_relaxed));
        if ((w & waiting) != 0 && futex_wake(futex_half(word), 1) == 0) {
            // Nobody slept: the mark goes. If somebody has slept since, there was no unit, and who
            // takes this one then sets the mark again.
            ++w;
            word.compare_exchange_strong(w, w & ~waiting, std::memory_order_relaxed);
        }
        return true;
    }
};
static_assert(sizeof(SemaphoreState) == 40);

}  // namespace detail

/// A number of units that processes take and give back; a handle.
///
/// @par Processes a process that dies takes the units it had with it, as in Python; one that dies
/// while it waits costs the others nothing
/// @par Source CPython Lib/multiprocessing/synchronize.py, Semaphore
class Semaphore : public detail::StandardLockable<Semaphore> {
  public:
    /// Makes a new semaphore. @throws ValueError when `value` is negative @throws std::bad_alloc
    explicit Semaphore(int value = 1) : Semaphore(value, std::numeric_limits<int>::max()) {}

    /// Takes a unit.
    ///
    /// **Blocking**: until there is one, at most for `timeout`. A signal does not end the wait.
    /// @param block   false: do not wait, whatever the timeout
    /// @returns whether a unit was taken
    bool acquire(bool block = true, Timeout timeout = std::nullopt) const {
        return handle_->acquire(detail::Deadline(block ? timeout : Timeout(0)));
    }

    /// Gives a unit back. Any process may, whether it took one or not.
    /// @throws ValueError when the value would exceed what a BoundedSemaphore began with, or an int
    void release() const {
        if (!handle_->release()) throw ValueError("semaphore or lock released too many times");
    }

    /// Returns how many units are left; by the time the caller looks it may be another number.
    [[nodiscard]] int get_value() const noexcept { return handle_->value(); }
    /// Returns whether no unit is left.
    [[nodiscard]] bool locked() const noexcept { return get_value() == 0; }

    /// Two handles are equal when they are handles on the same semaphore.
    friend bool operator==(const Semaphore& a, const Semaphore& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: the handle as it travels.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: the semaphore in the heap.
    [[nodiscard]] detail::SemaphoreState& state() const noexcept { return *handle_; }
    /// For the library: the handle that has arrived.
    static Semaphore from_shared_handle(detail::AnyHandle handle) {
        return Semaphore(std::move(handle));
    }

  protected:
    /// For the classes derived from it: a new semaphore.
    Semaphore(int value, int maximum) : handle_(make(value, maximum)) {}
    /// For the classes derived from it: a handle that has arrived.
    explicit Semaphore(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}

    friend std::string text_of(const Semaphore& semaphore) {
        return "<Semaphore(value=" + std::to_string(semaphore.get_value()) + ")>";
    }

  private:
    static detail::Handle<detail::SemaphoreState> make(int value, int maximum) {
        if (value < 0) throw ValueError("a semaphore cannot begin with a negative value");
        return detail::make_shared_object<detail::SemaphoreState>(value, maximum);
    }

    detail::Handle<detail::SemaphoreState> handle_;
};

/// A semaphore whose value never exceeds the one it began with: releasing it more often is a
/// ValueError.
///
/// Differs: CPython looks at the value and then adds to it; two processes at once get past that.
/// @par Source CPython Lib/multiprocessing/synchronize.py, BoundedSemaphore
class BoundedSemaphore : public Semaphore {
  public:
    /// Makes a new semaphore. @throws ValueError when `value` is negative @throws std::bad_alloc
    explicit BoundedSemaphore(int value = 1) : Semaphore(value, value) {}

    /// For the library: the handle that has arrived.
    static BoundedSemaphore from_shared_handle(detail::AnyHandle handle) {
        return BoundedSemaphore(std::move(handle));
    }

    friend std::string text_of(const BoundedSemaphore& semaphore) {
        return "<BoundedSemaphore(value=" + std::to_string(semaphore.get_value()) +
               ", maxvalue=" + std::to_string(semaphore.state().maximum) + ")>";
    }

  private:
    explicit BoundedSemaphore(detail::AnyHandle handle) noexcept : Semaphore(std::move(handle)) {}
};

}  // namespace multiprocessing
