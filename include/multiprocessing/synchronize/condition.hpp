// multiprocessing/synchronize/condition.hpp
//
// Condition: waiting until another process says that something has changed. Mirrors CPython
// Lib/multiprocessing/synchronize.py, Condition. Floor 2. Start at ConditionState::wait.
//
// Each waiter has a record of its own in a list. The condition's lock guards the list. The record
// names the waiter's process, so a notification is given to a living one. If a waiter is killed
// after it was notified, its notification is given to another. Every change of the list is one
// store, so a process that is killed while it holds the lock leaves the list in order.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <climits>
#include <concepts>
#include <cstdint>
#include <string>
#include <utility>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/synchronize/lock.hpp"
#include "multiprocessing/synchronize/standard_lockable.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

struct ConditionWaiter;  // one thread that waits

/// A condition in the heap. All but the constructor and wait need the lock held.
struct ConditionState : SharedObject {
    std::atomic<Offset> first{0};                  // 24  ConditionWaiter, the longest waiting
    Offset lock;                                   // 32  LockState; one count of it is ours
    std::atomic<std::uint32_t> unacknowledged{0};  // 40  notified and not back; a hint

    static constexpr ObjectKind object_kind = ObjectKind::condition;

    explicit ConditionState(const AnyHandle& lock_handle);

    /// Releases the lock, waits to be notified, and takes the lock again.
    /// @returns whether it was notified
    /// @throws AbandonedError when a holder of the lock has died. The lock is held all the same. It
    /// is abandoned again when it is released without recover.
    bool wait(LockState& held, const Deadline& deadline, bool (*has_left)() = nullptr);

    /// Notifies at most `count` waiters, the longest waiting first. It waits for nobody.
    void notify(std::uint64_t count);

    /// Frees what the dead left. @pre nobody has a handle
    void destroy() noexcept;

  private:
    ConditionWaiter& enqueue();
    bool dequeue(ConditionWaiter& me) noexcept;

    void change_unacknowledged(int by) noexcept;

    /// Gives a waiter its notification. @returns whether the waiter is alive to get it
    bool deliver(ConditionWaiter& waiter);

    /// Sleeps until notified, or the deadline. @returns whether the lock is held again
    bool sleep(const ConditionWaiter& me, LockState& lock_state, std::uint32_t times,
               const Deadline& deadline, bool (*has_left)());

    /// Checks whether a process has died that would have notified this waiter, or that has kept a
    /// notification from it. @returns whether the wait is over; the lock is then held
    bool look_after(const ConditionWaiter& me, LockState& lock_state, std::uint32_t times);

    /// Gives the notifications of dead waiters to living ones.
    void give_on();
};
static_assert(sizeof(ConditionState) == 48);

}  // namespace detail

/// A lock, and a way to wait for a change of what the lock guards; a handle.
///
///     std::unique_lock guard(condition);
///     condition.wait_for([&] { return count.get_obj() > 0; });
///
/// @par Processes When a waiter is killed, the others lose nothing: notify waits for nobody, and
/// the notification of a killed waiter goes to another one within a second. (CPython's notify waits
/// for the waiters that it woke.) When a process that holds the lock dies, acquire and wait throw
/// AbandonedError until recover is called. When wait throws it, the lock is held, as it was before.
/// @par Source CPython Lib/multiprocessing/synchronize.py, Condition
class Condition : public detail::StandardLockable<Condition> {
  public:
    /// Makes a new condition on `lock`. @throws std::bad_alloc
    explicit Condition(const BasicLock& lock = RLock());

    /// Acquires the lock, see BasicLock::acquire.
    bool acquire(bool block = true, Timeout timeout = std::nullopt) const {
        return lock_state().acquire(block, timeout);
    }
    /// Does not compile: seconds in the place of `block` would mean true, and wait for ever.
    template <std::floating_point Seconds>
    bool acquire(Seconds) const = delete;  // write acquire(true, seconds)
    /// Releases the lock, see BasicLock::release.
    void release() const { lock_state().unlock(); }
    /// Returns whether the lock cannot be acquired now, see BasicLock::locked.
    [[nodiscard]] bool locked() const { return !lock_state().word.is_free(); }
    /// Makes the lock usable again after its holder's death, see BasicLock::recover.
    bool recover() const { return lock_state().recover(); }

    /// Returns a handle on the condition's lock.
    [[nodiscard]] AnyLock get_lock() const {
        return AnyLock::from_shared_handle(detail::AnyHandle::from_offset(handle_->lock));
    }

    /// Releases the lock, however often it was acquired, and waits for a notification. Then it
    /// acquires the lock again, as often as before.
    ///
    /// **Blocking**: until it is notified, at most for `timeout`, and then until it has the lock.
    /// @returns whether it was notified
    /// @throws AssertionError when the calling thread does not hold the lock
    /// @throws AbandonedError when a process that held the lock has died, see above
    bool wait(Timeout timeout = std::nullopt) const { return wait(detail::Deadline(timeout)); }

    /// Waits until `predicate()` is true. The predicate is called with the lock held.
    /// @returns what the predicate returned last: false when the timeout came first
    /// @throws AssertionError, AbandonedError as wait
    template <class Predicate>
    bool wait_for(Predicate predicate, Timeout timeout = std::nullopt) const {
        const detail::Deadline deadline(timeout);
        bool holds = static_cast<bool>(predicate());
        while (!holds && !deadline.has_passed()) {
            wait(deadline);
            holds = static_cast<bool>(predicate());
        }
        return holds;
    }

    /// Wakes at most `n` waiters. @throws AssertionError when the lock is not held
    void notify(int n = 1) const;
    /// Wakes all waiters. @throws AssertionError when the lock is not held
    void notify_all() const { notify(INT_MAX); }

    /// Two handles are equal when they are handles on the same condition.
    friend bool operator==(const Condition& a, const Condition& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: the handle, in the form in which it is sent to other processes.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: waits in the place of somebody who may leave, and asks `has_left` at
    /// intervals. @returns as wait, also when he has left: then the notification is for another
    bool wait_in_place(bool (*has_left)(), Timeout timeout) const {
        return wait(detail::Deadline(timeout), has_left);
    }
    /// For the library: makes a condition of a handle that has arrived.
    static Condition from_shared_handle(detail::AnyHandle handle) {
        return Condition(std::move(handle));
    }

    friend std::string text_of(const Condition& condition) { return condition.text(); }

  private:
    explicit Condition(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}

    [[nodiscard]] detail::LockState& lock_state() const {
        return *detail::heap().at<detail::LockState>(handle_->lock);
    }
    void require_lock(const char* otherwise) const;
    bool wait(const detail::Deadline& deadline, bool (*has_left)() = nullptr) const;
    [[nodiscard]] std::string text() const;

    detail::Handle<detail::ConditionState> handle_;
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/synchronize/condition.ipp"
#endif
