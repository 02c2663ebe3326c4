// multiprocessing/managers/container.hpp
//
// What a manager's dict and list have in common: a lock, and the manager they belong to. When a
// process is killed while it holds the lock, its change is either committed or not. So the next
// holder only has to count the entries again, and who only reads needs no lock at all, see
// peek.hpp. Floor 6. Start at ContainerLock.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/synchronize/lock.hpp"
#include "multiprocessing/synchronize/lock_word.hpp"

namespace multiprocessing::detail {

/// A manager in the heap: whether it was shut down.
struct ManagerState : SharedObject {
    std::atomic<std::uint32_t> is_down{0};  // 24

    ManagerState() noexcept : SharedObject(ObjectKind::plain) {}

    /// @throws ValueError when the manager was shut down
    void check_usable() const {
        if (is_down.load(std::memory_order_acquire) != 0) [[unlikely]]
            throw_shut_down();
    }

  private:
    [[noreturn, gnu::cold]] static void throw_shut_down();
};

/// The head of a container.
struct ContainerState : SharedObject {
    LockWord lock;                       // 24
    Offset manager;                      // 32  ManagerState, of which the container has a count
    std::atomic<Offset> table{0};        // 40  what it holds now
    std::atomic<std::uint64_t> user{0};  // 48  this_thread() of the thread that runs a function of
                                         //     the program's
    std::atomic<std::uint64_t> taken_out{0};  // 56  how often something was, see note_taken_out

    ContainerState(ObjectKind kind, const AnyHandle& manager_handle, std::uint8_t flags) noexcept
        : SharedObject(kind, flags), manager(manager_handle.offset()) {
        add_reference(*manager_handle.object());
    }

    [[nodiscard]] ManagerState& manager_state() const noexcept {
        return *heap().at<ManagerState>(manager);
    }
    /// Drops the count of the manager, at the container's end.
    void leave_manager() noexcept { drop_reference(manager_state()); }

    /// Says whether a process was killed while it held the lock. The counts may be wrong then.
    [[nodiscard]] bool is_left_behind() const {
        const ProcessId holder = lock.holder();
        if (holder && is_dead(holder, true)) return true;
        // This is read last: the process that notices the death marks the lock before it takes the
        // holder's name away.
        return lock.is_abandoned();
    }

    /// Takes the lock.
    /// @returns whether its holder was killed. The counts may be wrong then, and the lock is marked
    /// as abandoned until recover is called
    bool acquire() {
        if (lock.try_fast()) [[likely]]
            return false;
        return acquire_slowly();
    }

    /// Tells those who read without the lock that what they read may be gone. It is called after
    /// the store that takes a table, an entry or a message out, and before that is freed or its
    /// place used again. A process that is killed between these frees nothing. @pre the lock is
    /// held
    void note_taken_out() noexcept {
        // release: who sees the new number sees the store before it too.
        taken_out.store(taken_out.load(std::memory_order_relaxed) + 1, std::memory_order_release);
        // Who sees what is written next sees the new number.
        std::atomic_thread_fence(std::memory_order_release);
    }

    /// To be called before a read without the lock.
    /// @throws ValueError when the manager was shut down
    /// @throws RuntimeError when this thread holds the lock, and runs a function of the program's
    void check_readable() const {
        manager_state().check_usable();
        if (user.load(std::memory_order_relaxed) != 0) [[unlikely]]
            refuse_own_user();
    }

  private:
    /// @throws RuntimeError when this thread holds the lock, and runs a function of the program's
    void refuse_own_user() const;
    /// Takes the lock when it is not free. @returns as acquire
    /// @throws RuntimeError as refuse_own_user
    bool acquire_slowly();
};
static_assert(sizeof(ContainerState) == 64);

/// Holds a container's lock. @tparam State has `recount()`
template <class State>
class ContainerLock {
  public:
    /// @throws ValueError when the manager was shut down
    explicit ContainerLock(State& state) : state_(state) {
        state.manager_state().check_usable();
        if (state.acquire()) [[unlikely]] {
            state.recount();
            // Not earlier: a process that looks without the lock relies on the mark.
            state.lock.recover();
        }
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

/// Notes that this thread runs a function of the program's while it holds the lock.
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

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/managers/container.ipp"
#endif
