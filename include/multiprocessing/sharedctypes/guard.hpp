// multiprocessing/sharedctypes/guard.hpp
//
// What Value and Array have in common: data in the heap behind the lock that guards it, or behind
// the place of a lock elsewhere. Floor 4. Start at GuardedState. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/synchronize/lock.hpp"
#include "multiprocessing/synchronize/trailing.hpp"

namespace multiprocessing::detail {

/// Ends the compilation unless T's bytes are its value in every process.
template <class T>
consteval void require_shareable() {
    static_assert(
        std::is_trivially_copyable_v<T>,
        "multiprocessing: a Value or Array needs a trivially copyable type: its bytes lie "
        "in memory that all processes share, where a std::string, std::vector or other "
        "class that owns memory would point into the memory of one of them. Use an array "
        "of char, a struct of numbers, or a manager's dict or list");
    static_assert(!std::is_pointer_v<T>,
                  "multiprocessing: a pointer in a Value or Array would point into the memory of "
                  "one process");
    static_assert(alignof(T) <= block_alignment,
                  "multiprocessing: a Value or Array holds types of an alignment up to 64");
}

/// The head of a value or an array. It is a lock itself, so that the lock and a small value share a
/// cache line, and a handle on the lock keeps the whole object alive.
struct GuardedState : LockState {
    Offset other_lock;   // 48  the LockState that guards it instead, of which it has a count; or 0
    std::uint64_t size;  // 56  how many elements follow

    static constexpr ObjectKind object_kind = ObjectKind::guarded;  // if another lock guards it

    GuardedState(const AnyHandle& lock, std::uint64_t count) noexcept
        : LockState(true, lock ? object_kind : ObjectKind::plain),
          other_lock(lock.offset()),
          size(count) {
        if (lock) add_reference(*lock.object());
    }

    /// Takes the count of the other lock, and drops it.
    void destroy() noexcept { drop_reference(*heap().at<SharedObject>(other_lock)); }
};
static_assert(sizeof(GuardedState) == 64);

/// The place of the elements behind a state, and how many bytes the padding before them takes.
template <class T>
constexpr std::size_t elements_at =
    (sizeof(GuardedState) + alignof(T) - 1) / alignof(T) * alignof(T);

/// A handle on a GuardedState with Ts behind it, and on its lock.
template <class T>
class GuardedHandle {
  public:
    /// Makes `count` Ts of zero bytes. @param lock what guards them, or none
    GuardedHandle(std::size_t count, const AnyHandle& lock)
        : state_(make(count, lock)), lock_(lock_of(state_)) {}

    explicit GuardedHandle(AnyHandle handle) : state_(std::move(handle)), lock_(lock_of(state_)) {}

    GuardedHandle(const GuardedHandle& other) noexcept
        : state_(other.state_), lock_(lock_of(state_)) {}
    GuardedHandle(GuardedHandle&& other) noexcept
        : state_(std::move(other.state_)), lock_(lock_of(state_)) {}
    GuardedHandle& operator=(GuardedHandle other) noexcept {
        std::destroy_at(&lock_);  // first: it may go with the state
        std::swap(state_, other.state_);
        std::construct_at(&lock_, lock_of(state_));
        return *this;
    }
    ~GuardedHandle() = default;

    [[nodiscard]] AnyLock& lock() const noexcept { return lock_; }
    [[nodiscard]] T* elements() const noexcept {
        return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(state_.get()) + elements_at<T>);
    }
    [[nodiscard]] std::size_t size() const noexcept { return state_->size; }
    [[nodiscard]] const AnyHandle& any() const noexcept { return state_.any(); }
    friend bool operator==(const GuardedHandle& a, const GuardedHandle& b) noexcept {
        return a.state_ == b.state_;
    }

  private:
    static Handle<GuardedState> make(std::size_t count, const AnyHandle& lock) {
        require_shareable<T>();
        if (count > (SIZE_MAX - elements_at<T>) / sizeof(T)) throw std::bad_alloc();
        const std::size_t behind = elements_at<T> - sizeof(GuardedState) + count * sizeof(T);
        return make_with_trailing<GuardedState>(behind, lock, std::uint64_t{count});
    }
    static AnyLock lock_of(const Handle<GuardedState>& state) noexcept {
        // A value that is its own lock keeps it alive: a second handle would only cost time.
        if (!state || state->other_lock == 0) return AnyLock(Borrowed{}, state.any());
        return AnyLock::from_shared_handle(AnyHandle::from_offset(state->other_lock));
    }

    Handle<GuardedState> state_;
    mutable AnyLock lock_;  // a handle: using the lock changes the heap, not this
};

/// Holds a lock for as long as it lives.
class LockHolder {
  public:
    explicit LockHolder(const BasicLock& lock) : lock_(lock.state()) { lock_.lock(); }
    LockHolder(const LockHolder&) = delete;
    LockHolder& operator=(const LockHolder&) = delete;
    ~LockHolder() {
        try {
            lock_.unlock();
        } catch (...) {
            // Somebody else has released a Lock that this thread held: the access was not guarded,
            // but it is over.
        }
    }

  private:
    LockState& lock_;
};

}  // namespace multiprocessing::detail
