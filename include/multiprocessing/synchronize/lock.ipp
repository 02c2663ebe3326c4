// multiprocessing/synchronize/lock.ipp
//
// The making, recovery, errors and text of Lock and RLock: see lock.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/synchronize/lock.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing {
namespace detail {

MULTIPROCESSING_INLINE bool LockState::recover() {
    if (is_recursive() && is_mine() && !word.is_abandoned()) return !enter_again();
    const bool kept = is_mine();
    const bool was_abandoned = word.recover();
    if (!kept) note_owner();
    return was_abandoned;
}

MULTIPROCESSING_INLINE std::uint32_t LockState::release_all() {
    const std::uint32_t times = depth().load(std::memory_order_relaxed);
    owner.store(0, std::memory_order_relaxed);
    word.release();
    return times;
}

MULTIPROCESSING_INLINE void LockState::acquire_again(std::uint32_t times) {
    word.acquire(Deadline(Timeout()), Abandoned::keep);
    note_owner(times);
}

MULTIPROCESSING_INLINE void LockState::throw_not_mine() {
    throw AssertionError("attempt to release recursive lock not owned by thread");
}

MULTIPROCESSING_INLINE void LockState::throw_not_held() {
    throw ValueError("semaphore or lock released too many times");
}

MULTIPROCESSING_INLINE void LockState::throw_too_deep() {
    throw ValueError("the recursive lock was acquired too often");
}

/// Says who holds a lock, as Python does. A lock whose holder died is abandoned.
MULTIPROCESSING_INLINE std::string owner_text(const LockState& lock) {
    if (lock.word.is_abandoned()) return "abandoned";
    const ProcessId holder = lock.word.holder();
    if (!holder) return "None";
    if (holder != known_self()) return "SomeOtherProcess";
    if (!lock.is_mine()) return "SomeOtherThread";
    const char* const name = heap().family()[holder].name;
    return *name == '\0' ? "MainProcess" : name;
}

MULTIPROCESSING_INLINE std::string lock_text(const LockState& lock) {
    return "<Lock(owner=" + owner_text(lock) + ")>";
}

MULTIPROCESSING_INLINE std::string recursive_lock_text(const LockState& lock) {
    const std::string depth = std::to_string(lock.depth().load(std::memory_order_relaxed));
    return "<RLock(" + owner_text(lock) + ", " +
           (!lock.word.holder() ? "0"
            : lock.is_mine()    ? depth
                                : "nonzero") +
           ")>";
}

}  // namespace detail

MULTIPROCESSING_INLINE BasicLock::BasicLock(bool recursive)
    : handle_(detail::make_shared_object<detail::LockState>(recursive)) {}

MULTIPROCESSING_INLINE void AnyLock::require(bool recursive) const {
    if (state().is_recursive() != recursive) {
        throw TypeError(recursive ? "the lock is a Lock, not an RLock"
                                  : "the lock is an RLock, not a Lock");
    }
}

}  // namespace multiprocessing
