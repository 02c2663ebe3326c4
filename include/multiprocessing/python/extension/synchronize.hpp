// multiprocessing/python/extension/synchronize.hpp
//
// Locks, semaphores, conditions, events and barriers of the module multiprocessing_cpp. Floor 10.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/python/extension/binding.hpp"
#include "multiprocessing/python/extension/waiting.hpp"
#include "multiprocessing/synchronize.hpp"
#include "multiprocessing/synchronize/trailing.hpp"

namespace multiprocessing::detail::pythons::extension {

// --- locks ---

inline Handle<LockState> lock_new(bool is_recursive) {
    return make_shared_object<LockState>(is_recursive);
}
inline bool lock_acquire(LockState& lock, bool block, Timeout timeout) {
    if (lock.acquire(false, Timeout())) return true;
    if (!block) return false;
    return wait_for(timeout, [&](Timeout time) { return lock.acquire(true, time); });
}
inline void lock_release(LockState& lock) { lock.unlock(); }
inline bool lock_is_free(LockState& lock) { return lock.word.is_free(); }
inline bool lock_is_mine(LockState& lock) { return lock.is_mine(); }
inline bool lock_is_recursive(LockState& lock) { return lock.is_recursive(); }
/// As LockState::recover. It waits for a lock that is not abandoned as acquire does.
inline bool lock_recover(LockState& lock) {
    bool was_abandoned = false;
    wait_for(Timeout(), [&](Timeout time) {
        try {
            return lock.acquire(true, time);
        } catch (const AbandonedError&) {
            was_abandoned = lock.recover();
            return true;
        }
    });
    return was_abandoned;
}
inline Reference lock_text_of(LockState& lock) {
    const std::string text = lock.is_recursive() ? recursive_lock_text(lock) : lock_text(lock);
    return raising(
        api().PyUnicode_FromStringAndSize(text.data(), static_cast<ssize_t>(text.size())));
}

// --- semaphores ---

inline Handle<SemaphoreState> semaphore_new(std::int64_t value, bool is_bounded) {
    if (value < 0 || value > (std::numeric_limits<int>::max)()) {
        throw ValueError("semaphore initial value must be >= 0, and less than 2**31");
    }
    const int most = is_bounded ? static_cast<int>(value) : (std::numeric_limits<int>::max)();
    return make_shared_object<SemaphoreState>(static_cast<int>(value), most);
}
inline bool semaphore_acquire(SemaphoreState& semaphore, bool block, Timeout timeout) {
    if (semaphore.acquire(false, Timeout())) return true;
    if (!block) return false;
    return wait_for(timeout, [&](Timeout time) { return semaphore.acquire(true, time); });
}
inline void semaphore_release(SemaphoreState& semaphore) {
    if (!semaphore.release()) throw_released_too_often();
}
inline std::int64_t semaphore_value(SemaphoreState& semaphore) { return semaphore.value(); }

// --- conditions ---

inline Handle<ConditionState> condition_new(const AnyHandle& lock) {
    return make_shared_object<ConditionState>(lock);
}
inline AnyHandle condition_lock(ConditionState& condition) {
    return AnyHandle::from_offset(condition.lock);
}
inline LockState& lock_of(ConditionState& condition) {
    return *heap().at<LockState>(condition.lock);
}
inline bool condition_wait(ConditionState& condition, Timeout timeout) {
    if (!lock_of(condition).is_mine()) {
        throw AssertionError("must acquire() condition before using wait()");
    }
    // Not in slices: the lock is taken again after each, and who waits for longest would lose that.
    const bool was_notified = without_gil(
        [&] { return condition.wait(lock_of(condition), Deadline(timeout), is_interrupted); });
    rethrow_interruption();
    return was_notified;
}
inline void condition_notify(ConditionState& condition, std::int64_t count) {
    if (!lock_of(condition).is_mine()) throw AssertionError("lock is not owned");
    if (count > 0) condition.notify(static_cast<std::uint64_t>(count));
}

// --- events ---

inline Handle<EventState> event_new() { return make_shared_object<EventState>(); }
inline bool event_is_set(EventState& event) {
    return (event.word.load(std::memory_order_acquire) & EventState::is_set) != 0;
}
inline void event_set(EventState& event) { event.set(); }
inline void event_clear(EventState& event) { event.clear(); }
inline bool event_wait(EventState& event, Timeout timeout) {
    const std::uint32_t before = event.word.load(std::memory_order_acquire);
    return wait_for(timeout, [&](Timeout time) {
        if (event.wait(Deadline(time))) return true;
        // It may have been set and cleared between two slices.
        const std::uint32_t now = event.word.load(std::memory_order_acquire);
        return (now ^ before) / EventState::once != 0;
    });
}

// --- barriers ---

inline Handle<BarrierState> barrier_new(std::int64_t parties, bool has_action, Timeout timeout) {
    if (parties < 1) throw ValueError("parties must be > 0");
    if (parties > INT32_MAX) throw ValueError("there cannot be so many parties");
    return make_with_trailing<BarrierState>(
        static_cast<std::size_t>(parties) * sizeof(BarrierParty), static_cast<int>(parties),
        Offset{0}, has_action, timeout);
}

/// Waits for the other parties; the last to come calls `action`, unless that is None.
inline std::int64_t barrier_wait(BarrierState& barrier, Object* action, Timeout timeout) {
    if (barrier.has_action != 0 && action == api().None) {
        without_gil([&] { barrier.abort(); });  // nobody is to wait for this party
        throw RuntimeError("this process does not have the barrier's action: only a process that "
                           "inherited the barrier from its maker by a fork has it");
    }
    const Timeout own = Timeout(std::chrono::nanoseconds(barrier.timeout));
    const Deadline deadline(timeout.is_forever() ? own : timeout);
    const auto run_action = [&] {
        if (action == api().None) return;
        const Gil gil;
        raising(call_object(action));
    };
    try {
        return without_gil([&] { return barrier.wait(deadline, run_action, is_interrupted); });
    } catch (const BrokenBarrierError&) {
        rethrow_interruption();  // that is why it is broken
        throw;
    }
}
inline void barrier_reset(BarrierState& barrier) {
    without_gil([&] { barrier.reset(); });
}
inline void barrier_abort(BarrierState& barrier) {
    without_gil([&] { barrier.abort(); });
}
inline std::int64_t barrier_parties(BarrierState& barrier) { return barrier.parties; }
inline bool barrier_broken(BarrierState& barrier) {
    return (barrier.state.load(std::memory_order_relaxed) & BarrierState::broken) != 0;
}
inline std::int64_t barrier_waiting(BarrierState& barrier) {
    if (barrier_broken(barrier)) return 0;
    return BarrierState::arrivals(barrier.state.load(std::memory_order_relaxed));
}

}  // namespace multiprocessing::detail::pythons::extension
