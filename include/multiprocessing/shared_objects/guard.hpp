// multiprocessing/shared_objects/guard.hpp
//
// Access to a shared object with its lock held: for one expression, or until the end of a scope.
// Floor 4. Start at SharedGuard. SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/shared_objects/state.hpp"

namespace multiprocessing {
namespace detail {

/// Locks an object, so that it can be changed. @throws AbandonedError @throws ValueError it is
/// frozen
inline void lock_for_change(ObjectState& state) {
    if (state.is_frozen()) throw_frozen();
    state.lock();
    if (state.is_frozen()) [[unlikely]]
        unlock_and_throw_frozen(state);
}

inline void unlock_after_change(ObjectState& state) noexcept {
    try {
        state.unlock();
    } catch (...) {
        // The program released the lock more often than it acquired it. So this access was not
        // guarded, but it is over now.
    }
}

/// Holds an object's lock until the end of the expression. The handle lives at least as long.
template <class T>
class LockedObject {
  public:
    explicit LockedObject(ObjectState& state) : state_(state) { lock_for_change(state_); }
    LockedObject(const LockedObject&) = delete;
    LockedObject& operator=(const LockedObject&) = delete;
    ~LockedObject() { unlock_after_change(state_); }

    T* operator->() const noexcept { return &**this; }
    T& operator*() const noexcept { return *static_cast<T*>(state_.content()); }

  private:
    ObjectState& state_;
};

}  // namespace detail

/// A shared object with its lock held: what Shared::lock returns. Its destructor releases the lock.
/// A guard can be moved, within the thread that holds the lock. It is also a handle: the object
/// lives at least as long as the guard.
///
///     auto guard = s.lock();   guard->clear();   for (auto& x : *guard) …
template <class T>
class [[nodiscard]] SharedGuard {
  public:
    /// Takes over the lock of the other guard.
    SharedGuard(SharedGuard&&) noexcept = default;
    /// Releases its own object before it takes over the other's.
    SharedGuard& operator=(SharedGuard&& other) noexcept {
        if (this != &other) {
            release();
            state_ = std::move(other.state_);
        }
        return *this;
    }
    ~SharedGuard() { release(); }

    /// Gives access to a member. @pre the guard was not moved from
    T* operator->() const noexcept { return &**this; }
    /// Gives access to the object.
    T& operator*() const noexcept { return *static_cast<T*>(state_->content()); }

    /// For the library: locks an object.
    explicit SharedGuard(const detail::AnyHandle& handle) : state_(handle) {
        detail::lock_for_change(*state_);
    }

  private:
    void release() noexcept {
        if (state_) detail::unlock_after_change(*state_);
        state_ = {};
    }

    detail::Handle<detail::ObjectState> state_;
};

}  // namespace multiprocessing
