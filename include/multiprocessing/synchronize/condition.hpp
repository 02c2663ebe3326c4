// multiprocessing/synchronize/condition.hpp
//
// Condition: waiting until another process says that something has changed. Mirrors CPython
// Lib/multiprocessing/synchronize.py, Condition. Floor 2. Start at ConditionState::wait.
//
// Each waiter has a record of its own in a list that the condition's lock guards. It names the
// waiter's process, so a notification is given to a living one, and one that was given to a waiter
// killed on its way back is given to another. Every change of the list is one store, so a process
// that is killed while it holds the lock leaves it in order. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <new>
#include <utility>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/synchronize/lock.hpp"
#include "multiprocessing/synchronize/standard_lockable.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

/// One thread that waits. Its process makes it and frees it, or whoever finds that process dead.
struct ConditionWaiter {
    enum State : std::uint32_t { waiting, notified };

    FutexWord state;           //  0
    std::uint32_t unused;      //  4
    ProcessId process;         //  8
    std::atomic<Offset> next;  // 16  the one that came after it, 0 none
};
static_assert(sizeof(ConditionWaiter) == 24);

/// A condition in the heap. All but the constructor and wait need the lock held.
struct ConditionState : SharedObject {
    std::atomic<Offset> first{0};                  // 24  ConditionWaiter, the longest waiting
    Offset lock;                                   // 32  LockState; one count of it is ours
    std::atomic<std::uint32_t> unacknowledged{0};  // 40  notified and not back; a hint

    static constexpr ObjectKind object_kind = ObjectKind::condition;

    explicit ConditionState(const AnyHandle& lock_handle)
        : SharedObject(object_kind), lock(lock_handle.offset()) {
        add_reference(*lock_handle.object());
    }

    /// Waits to be notified, with the lock released meanwhile.
    /// @returns whether it was notified
    /// @throws AbandonedError when a holder of the lock has died; the lock is held all the same,
    /// and
    ///         is abandoned again when it is released without recover
    bool wait(LockState& held, const Deadline& deadline) {
        ConditionWaiter& me = enqueue();
        const std::uint32_t times = held.release_all();
        if (!sleep(me, held, times, deadline)) held.acquire_again(times);
        const bool was_notified = dequeue(me);
        if (held.word.is_abandoned()) LockWord::throw_abandoned();
        return was_notified;
    }

    /// Notifies at most `count` of those who wait, the longest waiting first. It waits for nobody.
    void notify(std::uint64_t count) {
        std::atomic<Offset>* link = &first;
        while (const Offset offset = link->load(std::memory_order_relaxed)) {
            ConditionWaiter& waiter = *heap().at<ConditionWaiter>(offset);
            const bool was_notified = is_notified(waiter);
            if (is_dead(waiter.process, false)) {
                count += was_notified;  // the one it was given is for another
                discard(*link, waiter);
            } else if (was_notified) {
                link = &waiter.next;
            } else if (count == 0) {
                return;
            } else if (deliver(waiter)) {
                --count;
                link = &waiter.next;
            } else {
                discard(*link, waiter);
            }
        }
    }

    /// Frees what the dead left. @pre nobody has a handle
    void destroy() noexcept {
        for (Offset offset = first.load(); offset != 0;) {
            auto* const waiter = heap().at<ConditionWaiter>(offset);
            offset = waiter->next.load();
            deallocate(waiter);
        }
        drop_reference(*heap().at<SharedObject>(lock));
    }

  private:
    static bool is_notified(const ConditionWaiter& waiter) noexcept {
        // acquire: pairs with deliver.
        return waiter.state.load(std::memory_order_acquire) == ConditionWaiter::notified;
    }

    ConditionWaiter& enqueue() {
        auto* const me = new (allocate(sizeof(ConditionWaiter))) ConditionWaiter{};
        me->process = self();
        std::atomic<Offset>* link = &first;
        while (const Offset offset = link->load(std::memory_order_relaxed)) {
            link = &heap().at<ConditionWaiter>(offset)->next;
        }
        link->store(heap().offset_of(me),
                    std::memory_order_relaxed);  // commits; the lock orders it
        return *me;
    }

    /// Takes a waiter out of the list. Killed in between, a block of memory is lost.
    static void discard(std::atomic<Offset>& link, ConditionWaiter& waiter) noexcept {
        link.store(waiter.next.load(std::memory_order_relaxed), std::memory_order_relaxed);
        deallocate(&waiter);
    }

    bool dequeue(ConditionWaiter& me) noexcept {
        const bool was_notified = is_notified(me);
        if (was_notified) change_unacknowledged(-1);
        std::atomic<Offset>* link = &first;
        const Offset own = heap().offset_of(&me);
        for (Offset at = link->load(); at != own; at = link->load()) {
            link = &heap().at<ConditionWaiter>(at)->next;
        }
        discard(*link, me);
        return was_notified;
    }

    void change_unacknowledged(int by) noexcept {
        const auto count = static_cast<int>(unacknowledged.load(std::memory_order_relaxed)) + by;
        unacknowledged.store(static_cast<std::uint32_t>(count < 0 ? 0 : count),
                             std::memory_order_relaxed);
    }

    /// @returns whether there is anybody to get it
    bool deliver(ConditionWaiter& waiter) {
        // release: commits; pairs with is_notified. Killed before the wake-up, the waiter sees it
        // at its next look.
        waiter.state.store(ConditionWaiter::notified, std::memory_order_release);
        change_unacknowledged(+1);
        // Who was asleep lives; who was not is about to sleep, or on its way back, or dead.
        if (futex_wake(waiter.state, 1) == 1 || !is_dead(waiter.process, true)) return true;
        change_unacknowledged(-1);
        return false;
    }

    /// Sleeps until notified, or the deadline. @returns whether the lock is held again
    bool sleep(const ConditionWaiter& me, LockState& lock_state, std::uint32_t times,
               const Deadline& deadline) {
        while (!is_notified(me) && !deadline.has_passed()) {
            const timespec time = deadline.left_as_timespec(check_interval);
            const bool timed_out = futex_wait(me.state, ConditionWaiter::waiting, &time);
            if (timed_out && look_after(me, lock_state, times)) return true;
        }
        return false;
    }

    /// Looks whether a process has died that would have notified this waiter, or that has taken a
    /// notification along. @returns whether the wait is over; the lock is then held
    bool look_after(const ConditionWaiter& me, LockState& lock_state, std::uint32_t times) {
        const ProcessId holder = lock_state.word.holder();
        const bool broken = lock_state.word.is_abandoned() || (holder && is_dead(holder, true));
        if (!broken && unacknowledged.load(std::memory_order_relaxed) == 0) return false;
        if (!lock_state.word.try_acquire(Abandoned::keep)) return false;  // at the next look
        lock_state.note_owner(times);
        if (lock_state.word.is_abandoned()) return true;
        give_on();
        if (is_notified(me)) return true;
        lock_state.release_all();
        return false;
    }

    /// Gives the notifications that the dead were given to the living.
    void give_on() {
        std::uint32_t lost = 0;
        std::uint32_t on_their_way = 0;
        std::atomic<Offset>* link = &first;
        while (const Offset offset = link->load(std::memory_order_relaxed)) {
            ConditionWaiter& waiter = *heap().at<ConditionWaiter>(offset);
            const bool was_notified = is_notified(waiter);
            if (was_notified && is_dead(waiter.process, true)) {
                discard(*link, waiter);
                ++lost;
            } else {
                on_their_way += was_notified;
                link = &waiter.next;
            }
        }
        unacknowledged.store(on_their_way, std::memory_order_relaxed);
        if (lost != 0) notify(lost);
    }
};
static_assert(sizeof(ConditionState) == 48);

}  // namespace detail

/// A lock, and a way to wait for a change of what it guards; a handle.
///
///     std::unique_lock guard(condition);
///     condition.wait_for([&] { return count.get_obj() > 0; });
///
/// @par Processes A waiter that is killed costs the others nothing: notify waits for nobody, and
/// what a killed waiter was given goes to another within a second. (CPython's notify waits for the
/// waiters that it woke.) When a process that holds the lock dies, acquire and wait throw
/// AbandonedError until recover is called. wait throws it with the lock held, as it found it.
/// @par Source CPython Lib/multiprocessing/synchronize.py, Condition
class Condition : public detail::StandardLockable<Condition> {
  public:
    /// Makes a new condition on `lock`. @throws std::bad_alloc
    explicit Condition(const BasicLock& lock = RLock())
        : handle_(detail::make_shared_object<detail::ConditionState>(lock.shared_handle())) {}

    /// As the lock's, see BasicLock.
    bool acquire(bool block = true, Timeout timeout = std::nullopt) const {
        return lock_state().acquire(block, timeout);
    }
    /// Gives the lock back.
    void release() const { lock_state().unlock(); }
    /// Says whether somebody holds the lock.
    [[nodiscard]] bool locked() const noexcept { return !lock_state().word.is_free(); }
    /// Makes the lock usable again after its holder's death, see BasicLock.
    bool recover() const { return lock_state().recover(); }

    /// Returns a handle of the condition's lock.
    [[nodiscard]] AnyLock get_lock() const {
        return AnyLock::from_shared_handle(detail::AnyHandle::from_offset(handle_->lock));
    }

    /// Releases the lock, however often it was acquired, waits for a notification, and acquires the
    /// lock as often again.
    ///
    /// **Blocking**: until it is notified, at most for `timeout`, and then until it has the lock.
    /// @returns whether it was notified
    /// @throws AssertionError when the calling thread does not hold the lock
    /// @throws AbandonedError when a process that held the lock has died, see above
    bool wait(Timeout timeout = std::nullopt) const { return wait(detail::Deadline(timeout)); }

    /// Waits until `predicate()` holds, which is called with the lock held.
    /// @returns what the predicate said last: false when the timeout was first
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

    /// Wakes at most `n` of those who wait. @throws AssertionError when the lock is not held
    void notify(int n = 1) const {
        require_lock("lock is not owned");
        if (n > 0) handle_->notify(static_cast<std::uint64_t>(n));
    }
    /// Wakes all who wait. @throws AssertionError when the lock is not held
    void notify_all() const { notify(INT_MAX); }

    /// Two handles are equal when they are handles on the same condition.
    friend bool operator==(const Condition& a, const Condition& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: the handle as it travels, and one that has arrived.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    static Condition from_shared_handle(detail::AnyHandle handle) {
        return Condition(std::move(handle));
    }

    friend std::string text_of(const Condition& condition) {
        return "<Condition(" + text_of(condition.get_lock()) + ")>";
    }

  private:
    explicit Condition(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}

    [[nodiscard]] detail::LockState& lock_state() const noexcept {
        return *detail::heap().at<detail::LockState>(handle_->lock);
    }
    void require_lock(const char* otherwise) const {
        if (!lock_state().is_mine()) throw AssertionError(otherwise);
    }
    bool wait(const detail::Deadline& deadline) const {
        require_lock("must acquire() condition before using wait()");
        return handle_->wait(lock_state(), deadline);
    }

    detail::Handle<detail::ConditionState> handle_;
};

}  // namespace multiprocessing
