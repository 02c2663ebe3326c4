// multiprocessing/synchronize/condition.ipp
//
// How a condition's waiters wait and are notified: see condition.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/synchronize/condition.hpp"

#include <chrono>
#include <new>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/synchronize/gate.hpp"
#include "multiprocessing/synchronize/lock_word.hpp"

namespace multiprocessing {
namespace detail {

/// One thread that waits. Its process makes it and frees it. If that process is dead, the process
/// that notices it frees it.
struct ConditionWaiter {
    enum State : std::uint32_t { waiting, notified };

    FutexWord state;           //  0
    std::uint32_t unused;      //  4
    ProcessId process;         //  8
    std::atomic<Offset> next;  // 16  the one that came after it, 0 none
};
static_assert(sizeof(ConditionWaiter) == 24);

MULTIPROCESSING_INLINE bool is_notified(const ConditionWaiter& waiter) noexcept {
    // acquire: pairs with deliver.
    return waiter.state.load(std::memory_order_acquire) == ConditionWaiter::notified;
}

/// Takes a waiter out of the list. If this process is killed in between, a block of memory is lost.
MULTIPROCESSING_INLINE void discard(std::atomic<Offset>& link, ConditionWaiter& waiter) noexcept {
    link.store(waiter.next.load(std::memory_order_relaxed), std::memory_order_relaxed);
    deallocate(&waiter);
}

MULTIPROCESSING_INLINE ConditionState::ConditionState(const AnyHandle& lock_handle)
    : SharedObject(object_kind), lock(lock_handle.offset()) {
    add_reference(*lock_handle.object());
}

MULTIPROCESSING_INLINE bool ConditionState::wait(LockState& held, const Deadline& deadline,
                                                 bool (*has_left)()) {
    ConditionWaiter& me = enqueue();
    const std::uint32_t times = held.release_all();
    if (!sleep(me, held, times, deadline, has_left)) held.acquire_again(times);
    const bool was_notified = dequeue(me);
    if (held.word.is_abandoned()) LockWord::throw_abandoned();
    return was_notified;
}

MULTIPROCESSING_INLINE void ConditionState::notify(std::uint64_t count) {
    std::atomic<Offset>* link = &first;
    while (const Offset offset = link->load(std::memory_order_relaxed)) {
        ConditionWaiter& waiter = *heap().at<ConditionWaiter>(offset);
        const bool was_notified = is_notified(waiter);
        if (is_dead(waiter.process, false)) {
            count += was_notified;  // its notification is for another waiter
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

MULTIPROCESSING_INLINE void ConditionState::destroy() noexcept {
    for (Offset offset = first.load(); offset != 0;) {
        auto* const waiter = heap().at<ConditionWaiter>(offset);
        offset = waiter->next.load();
        deallocate(waiter);
    }
    drop_reference(*heap().at<SharedObject>(lock));
}

MULTIPROCESSING_INLINE ConditionWaiter& ConditionState::enqueue() {
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

MULTIPROCESSING_INLINE bool ConditionState::dequeue(ConditionWaiter& me) noexcept {
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

MULTIPROCESSING_INLINE void ConditionState::change_unacknowledged(int by) noexcept {
    const auto count = static_cast<int>(unacknowledged.load(std::memory_order_relaxed)) + by;
    unacknowledged.store(static_cast<std::uint32_t>(count < 0 ? 0 : count),
                         std::memory_order_relaxed);
}

MULTIPROCESSING_INLINE bool ConditionState::deliver(ConditionWaiter& waiter) {
    // release: commits; pairs with is_notified. If this process is killed before the wake-up, the
    // waiter sees the notification when it looks next.
    waiter.state.store(ConditionWaiter::notified, std::memory_order_release);
    change_unacknowledged(+1);
    // A waiter that was asleep is alive. One that was not is about to sleep, on its way back, or
    // dead.
    if (futex_wake(waiter.state, 1) == 1 || !is_dead(waiter.process, true)) return true;
    change_unacknowledged(-1);
    return false;
}

MULTIPROCESSING_INLINE bool ConditionState::sleep(const ConditionWaiter& me, LockState& lock_state,
                                                  std::uint32_t times, const Deadline& deadline,
                                                  bool (*has_left)()) {
    while (!is_notified(me) && !deadline.has_passed()) {
        const timespec time = deadline.left_as_timespec(check_interval);
        const bool timed_out = futex_wait(me.state, ConditionWaiter::waiting, &time);
        if (timed_out && look_after(me, lock_state, times)) return true;
        if (timed_out && has_left != nullptr && has_left()) return false;
    }
    return false;
}

MULTIPROCESSING_INLINE bool ConditionState::look_after(const ConditionWaiter& me,
                                                       LockState& lock_state, std::uint32_t times) {
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

MULTIPROCESSING_INLINE void ConditionState::give_on() {
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

}  // namespace detail

MULTIPROCESSING_INLINE Condition::Condition(const BasicLock& lock)
    : handle_(detail::make_shared_object<detail::ConditionState>(lock.shared_handle())) {}

MULTIPROCESSING_INLINE void Condition::notify(int n) const {
    require_lock("lock is not owned");
    if (n > 0) handle_->notify(static_cast<std::uint64_t>(n));
}

MULTIPROCESSING_INLINE void Condition::require_lock(const char* otherwise) const {
    if (!lock_state().is_mine()) throw AssertionError(otherwise);
}

MULTIPROCESSING_INLINE bool Condition::wait(const detail::Deadline& deadline,
                                            bool (*has_left)()) const {
    require_lock("must acquire() condition before using wait()");
    return handle_->wait(lock_state(), deadline, has_left);
}

MULTIPROCESSING_INLINE std::string Condition::text() const {
    return "<Condition(" + text_of(get_lock()) + ")>";
}

}  // namespace multiprocessing
