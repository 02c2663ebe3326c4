// multiprocessing/sharedctypes/guard.hpp
//
// What Value and Array have in common: data in the heap that lies behind its lock, or behind the
// place of another lock that guards it. Floor 4. Start at GuardedState.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/sharedctypes/items.hpp"
#include "multiprocessing/synchronize/lock.hpp"

namespace multiprocessing::detail {

/// A string literal, as it comes to a function that takes anything. (A parameter of type
/// `const char (&)[size]` would also take `{1, 2}` and options in braces.)
template <class T>
concept string_literal = std::is_array_v<std::remove_reference_t<T>> &&
                         std::is_same_v<std::remove_cvref_t<decltype(std::declval<T>()[0])>, char>;

/// The compile error for a T whose bytes do not mean the same value in every process.
template <class T>
struct CannotBeShared {
    static constexpr bool is_bytes =
        std::is_trivially_copyable_v<T> && std::is_copy_constructible_v<T>;
    static constexpr bool is_pointer = std::is_pointer_v<T>;
    static constexpr bool is_overaligned = alignof(T) > block_alignment;
    static_assert(
        is_bytes,
        "multiprocessing: a Value or Array needs a trivially copyable type: its bytes lie "
        "in memory that all processes share, where a std::string, std::vector or other "
        "class that owns memory would point into the memory of one of them. Use an array "
        "of char, a struct of numbers, or a manager's dict or list. (A std::atomic is not needed: "
        "each access of a Value is one step)");
    static_assert(!is_pointer,
                  "multiprocessing: a pointer in a Value or Array would point into the memory of "
                  "one process");
    static_assert(!is_overaligned,
                  "multiprocessing: a Value or Array holds types of an alignment up to 64");
};

/// The head of a value or an array. It is a lock itself. So the lock and a small value share a
/// cache line, and a handle on the lock keeps the whole object alive.
struct GuardedState : LockState {
    Offset other_lock;   // 48  the LockState that guards it instead, with a reference on it; or 0
    std::uint64_t size;  // 56  how many elements follow

    static constexpr ObjectKind object_kind = ObjectKind::guarded;  // if another lock guards it

    GuardedState(const AnyHandle& lock, std::uint64_t count) noexcept;

    /// Makes a state with `count` zeroed elements of `item` bytes behind it.
    /// @param at   where the first one lies, in bytes from the state's beginning
    /// @param lock what guards them, or none
    /// @throws std::bad_alloc
    static Handle<GuardedState> make(std::size_t count, std::size_t item, std::size_t at,
                                     const AnyHandle& lock, const ArrayOptions& options);

    /// Drops its reference on the other lock.
    void destroy() noexcept;
};
static_assert(sizeof(GuardedState) == 64);

/// Where the elements lie, in bytes from the state's beginning: behind the state, as T is aligned.
template <class T>
constexpr std::size_t elements_at =
    (sizeof(GuardedState) + alignof(T) - 1) / alignof(T) * alignof(T);

/// A handle on a GuardedState with Ts behind it, and on its lock.
template <class T>
class GuardedHandle {
  public:
    /// Makes `count` Ts of zero bytes. @param lock what guards them, or none
    GuardedHandle(std::size_t count, const AnyHandle& lock, const ArrayOptions& options = {})
        : state_(make(count, lock, options)), lock_(lock_of(state_)) {
        static_cast<void>(sizeof(CannotBeShared<T>));
    }

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

    // All three throw ValueError when it was moved from.
    [[nodiscard]] AnyLock& lock() const {
        if (!state_) [[unlikely]]
            throw_empty_handle();
        return lock_;
    }
    [[nodiscard]] T* elements() const {
        return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(&*state_) + elements_at<T>);
    }
    [[nodiscard]] std::size_t size() const { return state_->size; }
    [[nodiscard]] const AnyHandle& any() const noexcept { return state_.any(); }
    friend bool operator==(const GuardedHandle& a, const GuardedHandle& b) noexcept {
        return a.state_ == b.state_;
    }

  private:
    static Handle<GuardedState> make(std::size_t count, const AnyHandle& lock,
                                     const ArrayOptions& options) {
        return GuardedState::make(count, sizeof(T), elements_at<T>, lock, options);
    }
    static AnyLock lock_of(const Handle<GuardedState>& state) noexcept {
        // A value that is its own lock keeps it alive. A second counted handle would cost time for
        // nothing.
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
            // Another thread has released a Lock that this thread held. The access was not guarded,
            // but it is over.
        }
    }

  private:
    LockState& lock_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/sharedctypes/guard.ipp"
#endif
