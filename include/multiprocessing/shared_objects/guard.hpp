// multiprocessing/shared_objects/guard.hpp
//
// Access to a shared object under its lock: for an expression, or until the end of a scope.
// Floor 4. Start at SharedGuard. SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/shared_objects/state.hpp"

namespace multiprocessing {
namespace detail {

/// Locks an object for a change. @throws AbandonedError @throws ValueError it is frozen
inline void lock_for_change(ObjectState& state) {
    if (state.is_frozen()) throw_frozen();
    state.lock();
    if (state.is_frozen()) [[unlikely]] {
        state.unlock();
        throw_frozen();
    }
}

inline void unlock_after_change(ObjectState& state) noexcept {
    try {
        state.unlock();
    } catch (...) {
        // Somebody has released more often than acquired: the access was not guarded, but it is
        // over.
    }
}

/// Holds an object's lock for as long as an expression lives, in which the handle does too.
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

/// A shared object with its lock held, until the guard's end: what Shared::lock returns. It can be
/// moved, within the thread that has the lock, and is also a handle: the object lives as long.
///
///     auto guard = s.lock();   guard->clear();   for (auto& x : *guard) …
template <class T>
class [[nodiscard]] SharedGuard {
  public:
    /// Takes the lock over from the other guard.
    SharedGuard(SharedGuard&&) noexcept = default;
    /// Gives its own object back before it takes the other's.
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
