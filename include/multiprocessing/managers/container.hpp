// multiprocessing/managers/container.hpp
//
// What a manager's dict and list have in common: a lock, and the manager they belong to. A process
// that is killed with the lock held has either committed its change or not, so the next one has
// only to count anew. Floor 6. Start at ContainerLock. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/synchronize/lock.hpp"
#include "multiprocessing/synchronize/lock_word.hpp"

namespace multiprocessing::detail {

/// A manager in the heap: whether it was shut down.
struct ManagerState : SharedObject {
    std::atomic<std::uint32_t> is_down{0};  // 24

    ManagerState() noexcept : SharedObject(ObjectKind::plain) {}

    void check() const {
        if (is_down.load(std::memory_order_acquire) != 0) [[unlikely]]
            throw ValueError("the manager of this object was shut down: keep the manager for as "
                             "long as its dicts, lists and namespaces are used");
    }
};

/// The head of a container.
struct ContainerState : SharedObject {
    LockWord lock;                       // 24
    Offset manager;                      // 32  ManagerState, of which the container has a count
    std::atomic<Offset> table{0};        // 40  what it holds now
    std::atomic<std::uint64_t> user{0};  // 48  this_thread() of who runs a function of the
                                         //     program's

    ContainerState(ObjectKind kind, const AnyHandle& manager_handle) noexcept
        : SharedObject(kind), manager(manager_handle.offset()) {
        add_reference(*manager_handle.object());
    }

    [[nodiscard]] ManagerState& manager_state() const noexcept {
        return *heap().at<ManagerState>(manager);
    }
    /// Drops the count of the manager, at the container's end.
    void leave_manager() noexcept { drop_reference(manager_state()); }

    /// Whether a process was killed with the lock, so that counts may be wrong.
    [[nodiscard]] bool is_left_behind() const {
        const ProcessId holder = lock.holder();
        return holder && is_dead(holder, true);
    }

    /// Takes the lock. @returns whether its holder was killed, so that counts may be wrong
    bool acquire() {
        if (lock.try_fast()) [[likely]]
            return false;
        if (lock.holder() == self() && user.load(std::memory_order_relaxed) == this_thread()) {
            throw RuntimeError("a function that changes an element of a manager's dict or list "
                               "uses that same dict or list, whose lock it holds");
        }
        if (!lock.recover()) return false;
        user.store(0, std::memory_order_relaxed);
        return true;
    }
};
static_assert(sizeof(ContainerState) == 56);

/// Holds a container's lock. @tparam State has `recount()`
template <class State>
class ContainerLock {
  public:
    /// @throws ValueError when the manager was shut down
    explicit ContainerLock(State& state) : state_(state) {
        state.manager_state().check();
        if (state.acquire()) [[unlikely]]
            state.recount();
    }
    ContainerLock(const ContainerLock&) = delete;
    ContainerLock& operator=(const ContainerLock&) = delete;
    ~ContainerLock() {
        try {
            state_.lock.release();
        } catch (...) {
            // Not possible: this thread holds it.
        }
    }

  private:
    State& state_;
};

/// Notes that this thread runs a function of the program's with the lock held.
class UserCall {
  public:
    explicit UserCall(ContainerState& state) noexcept : state_(state) {
        state.user.store(this_thread(), std::memory_order_relaxed);
    }
    UserCall(const UserCall&) = delete;
    UserCall& operator=(const UserCall&) = delete;
    ~UserCall() { state_.user.store(0, std::memory_order_relaxed); }

  private:
    ContainerState& state_;
};

}  // namespace multiprocessing::detail
