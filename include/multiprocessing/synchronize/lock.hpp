// multiprocessing/synchronize/lock.hpp
//
// Lock and RLock: handles on a lock in the family's heap that reports the death of its holder.
// Mirrors CPython Lib/multiprocessing/synchronize.py, Lock and RLock. Floor 2. Start at BasicLock.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <string>
#include <utility>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/burial.hpp"
#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/synchronize/lock_word.hpp"
#include "multiprocessing/synchronize/standard_lockable.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

/// Returns a number that no other thread of this process has, or had.
inline std::uint64_t this_thread() noexcept {
    static constinit std::atomic<std::uint64_t> last{0};
    static constinit thread_local std::uint64_t number = 0;
    if (number == 0) number = last.fetch_add(1, std::memory_order_relaxed) + 1;
    return number;
}

/// A lock in the heap. Values and arrays derive from it, so that lock and data are neighbours.
///
/// `word` decides which process has the lock; `owner` and `thread` say which thread of it. Only the
/// holder writes them, the thread first, and it clears `owner` before it releases the lock. So a
/// thread that reads itself in both has written both. The entries of a dead holder stay there, but
/// no other process is ever taken for that one.
struct LockState : SharedObject {
    LockWord word;                         // 24
    std::atomic<std::uint64_t> owner{0};   // 32  the holder's ProcessId
    std::atomic<std::uint64_t> thread{0};  // 40  its this_thread()

    explicit LockState(bool is_recursive, ObjectKind kind = ObjectKind::plain) noexcept
        : SharedObject(kind, is_recursive) {}

    /// Returns whether it is an RLock.
    [[nodiscard]] bool is_recursive() const noexcept { return has_flag(1); }
    /// How often its holder must release it.
    [[nodiscard]] std::atomic<std::uint32_t>& depth() noexcept { return extra; }
    [[nodiscard]] const std::atomic<std::uint32_t>& depth() const noexcept { return extra; }

    /// Returns whether the calling thread holds the lock.
    [[nodiscard]] bool is_mine() const noexcept {
        const ProcessId me = known_self();
        if (!me) return false;
        // acquire: pairs with note_owner, so that the thread is the one stored with the owner.
        return owner.load(std::memory_order_acquire) == Family::pack(me) &&
               thread.load(std::memory_order_relaxed) == this_thread() && word.holder() == me;
    }

    void note_owner(std::uint32_t times = 1) noexcept {
        thread.store(this_thread(), std::memory_order_relaxed);
        depth().store(times, std::memory_order_relaxed);
        owner.store(Family::pack(known_self()), std::memory_order_release);  // pairs with is_mine
    }

    bool acquire(bool block, Timeout timeout) {
        if (block && timeout.is_forever()) {
            lock();
            return true;
        }
        if (is_recursive() && is_mine()) return enter_again();
        // The deadline reads the clock, so it is made only when there is something to wait for.
        if (!word.try_fast() && !word.acquire(Deadline(block ? timeout : Timeout(0)))) return false;
        note_owner();
        return true;
    }

    /// Takes the lock, waiting as long as it takes.
    void lock() {
        if (is_recursive() && is_mine()) {
            enter_again();
            return;
        }
        if (!word.try_fast()) word.acquire(Deadline(Timeout()));
        note_owner();
    }

    void unlock() {
        if (is_recursive()) {
            if (!is_mine()) throw_not_mine();
            const std::uint32_t left = depth().load(std::memory_order_relaxed) - 1;
            depth().store(left, std::memory_order_relaxed);
            if (left != 0) return;
            owner.store(0, std::memory_order_relaxed);
        } else if (owner.load(std::memory_order_relaxed) == Family::pack(known_self())) {
            owner.store(0, std::memory_order_relaxed);
        }
        if (!word.release()) throw_not_held();
    }

    bool recover();

    /// Releases the lock, however often it was acquired. @returns how often
    std::uint32_t release_all();

    /// Takes the lock again after release_all, also when it is abandoned; it then stays so.
    void acquire_again(std::uint32_t times);

  private:
    bool enter_again() {
        const std::uint32_t times = depth().load(std::memory_order_relaxed);
        if (times == UINT32_MAX) throw_too_deep();
        depth().store(times + 1, std::memory_order_relaxed);
        return true;
    }

    [[noreturn, gnu::cold]] static void throw_not_mine();
    [[noreturn, gnu::cold]] static void throw_not_held();
    [[noreturn, gnu::cold]] static void throw_too_deep();
};
static_assert(sizeof(LockState) == 48, "with its header within a block of 64 bytes");

/// @{
/// Returns how Python prints a lock of that type.
std::string lock_text(const LockState& lock);
std::string recursive_lock_text(const LockState& lock);
/// @}

}  // namespace detail

/// What Lock and RLock have in common; also a handle on either, as Value::get_lock gives it.
///
/// @par Processes When the process that holds the lock dies, acquire throws AbandonedError: within
/// a second if it waits already. Every acquire throws it until recover is called, because what the
/// lock guards may be half written.
class BasicLock : public detail::StandardLockable<BasicLock> {
  public:
    /// Acquires the lock.
    ///
    /// **Blocking**: until it is released, at most for `timeout`. A signal does not end the wait.
    /// @param block   false: do not wait, whatever the timeout
    /// @returns whether the lock is now held
    /// @throws AbandonedError when the process that held it has died
    /// @par Source CPython Lib/multiprocessing/synchronize.py, SemLock.acquire
    bool acquire(bool block = true, Timeout timeout = std::nullopt) const {
        return state().acquire(block, timeout);
    }
    /// Does not compile: seconds in the place of `block` would mean true, and wait for ever.
    template <std::floating_point Seconds>
    bool acquire(Seconds) const = delete;  // write acquire(true, seconds)

    /// Releases the lock. A Lock may be released by any thread of any process.
    /// @throws ValueError a Lock that is not held
    /// @throws AssertionError an RLock that the calling thread does not hold
    /// @throws AbandonedError a Lock whose holder has died
    void release() const { state().unlock(); }

    /// Returns whether the lock cannot be acquired now: it is held, or abandoned.
    [[nodiscard]] bool locked() const { return !state().word.is_free(); }

    /// Acquires an abandoned lock, so that the caller can repair what it guards. When the caller
    /// has released it, others can acquire it again. If the lock is not abandoned, or another
    /// process was faster, this acquires it as acquire() does.
    /// @returns whether it was abandoned: the caller is then the one to repair
    bool recover() const { return state().recover(); }

    /// Two handles are equal when they are handles on the same lock.
    friend bool operator==(const BasicLock& a, const BasicLock& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: the handle, in the form in which it is sent to other processes.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: the lock in the heap.
    [[nodiscard]] detail::LockState& state() const { return *handle_; }

  protected:
    /// For the derived classes: makes a new lock.
    explicit BasicLock(bool recursive);
    /// For the derived classes: takes over a handle that has arrived.
    explicit BasicLock(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}
    /// For the derived classes: makes a handle that lives beside `owner` and is not counted.
    BasicLock(detail::Borrowed borrowed, const detail::AnyHandle& owner) noexcept
        : handle_(borrowed, owner) {}

  private:
    detail::Handle<detail::LockState> handle_;
};

/// A lock that its holder acquires once.
///
///     mp::Lock lock;   { std::scoped_lock guard(lock); … }
///
/// @par Source CPython Lib/multiprocessing/synchronize.py, Lock
class Lock : public BasicLock {
  public:
    /// Makes a new lock. @throws std::bad_alloc
    Lock() : BasicLock(false) {}

    /// For the library: makes a lock of a handle that has arrived.
    static Lock from_shared_handle(detail::AnyHandle handle) { return Lock(std::move(handle)); }

    friend std::string text_of(const Lock& lock) { return detail::lock_text(lock.state()); }

  private:
    explicit Lock(detail::AnyHandle handle) noexcept : BasicLock(std::move(handle)) {}
};

/// A lock that the thread that holds it may acquire again, and must release as often. A forked
/// child does not hold the locks of its parent.
/// @par Source CPython Lib/multiprocessing/synchronize.py, RLock
class RLock : public BasicLock {
  public:
    /// Makes a new lock. @throws std::bad_alloc
    RLock() : BasicLock(true) {}

    /// For the library: makes a lock of a handle that has arrived.
    static RLock from_shared_handle(detail::AnyHandle handle) { return RLock(std::move(handle)); }

    friend std::string text_of(const RLock& lock) {
        return detail::recursive_lock_text(lock.state());
    }

  private:
    explicit RLock(detail::AnyHandle handle) noexcept : BasicLock(std::move(handle)) {}
};

/// A handle on a Lock or an RLock. It converts to the type that the lock has.
class AnyLock : public BasicLock {
  public:
    /// A handle on a Lock.
    AnyLock(const Lock& lock) noexcept : BasicLock(lock) {}
    /// A handle on an RLock.
    AnyLock(const RLock& lock) noexcept : BasicLock(lock) {}

    /// Converts to a Lock. @throws TypeError when the lock is an RLock
    operator Lock() const { return convert<Lock>(false); }
    /// Converts to an RLock. @throws TypeError when the lock is a Lock
    operator RLock() const { return convert<RLock>(true); }

    /// For the library: makes a lock of a handle that has arrived.
    static AnyLock from_shared_handle(detail::AnyHandle handle) {
        return AnyLock(std::move(handle));
    }
    /// For the library: makes a handle that lives beside `owner` and is not counted.
    AnyLock(detail::Borrowed borrowed, const detail::AnyHandle& owner) noexcept
        : BasicLock(borrowed, owner) {}

    friend std::string text_of(const AnyLock& lock) {
        if (lock.state().is_recursive()) return detail::recursive_lock_text(lock.state());
        return detail::lock_text(lock.state());
    }

  private:
    explicit AnyLock(detail::AnyHandle handle) noexcept : BasicLock(std::move(handle)) {}

    /// @throws TypeError when the lock is of the other type
    void require(bool recursive) const;

    template <class T>
    [[nodiscard]] T convert(bool recursive) const {
        require(recursive);
        return T::from_shared_handle(shared_handle());
    }
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/synchronize/lock.ipp"
#endif
