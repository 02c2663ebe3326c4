// multiprocessing/synchronize/lock.hpp
//
// Lock and RLock: handles on a lock in the family's heap that says so when its holder has died.
// Mirrors CPython Lib/multiprocessing/synchronize.py, Lock and RLock. Floor 2. Start at BasicLock.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"
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
/// `word` decides who has the lock; `owner` and `thread` say which thread of that process does.
/// They are written by the holder alone, the thread first, and `owner` is cleared before the lock
/// is released. So whoever reads itself in both wrote both, and a dead holder's entries, which stay
/// there, are those of a process that nobody else ever is.
struct LockState : SharedObject {
    LockWord word;                         // 24
    std::atomic<std::uint64_t> owner{0};   // 32  the holder's ProcessId
    std::atomic<std::uint64_t> thread{0};  // 40  its this_thread()

    explicit LockState(bool is_recursive, ObjectKind kind = ObjectKind::plain) noexcept
        : SharedObject(kind, is_recursive) {}

    /// Returns whether it is an RLock.
    [[nodiscard]] bool is_recursive() const noexcept { return flag(); }
    /// How often its holder must release it.
    [[nodiscard]] std::atomic<std::uint32_t>& depth() noexcept { return extra; }
    [[nodiscard]] const std::atomic<std::uint32_t>& depth() const noexcept { return extra; }

    /// Returns whether the calling thread holds the lock.
    [[nodiscard]] bool is_mine() const noexcept {
        const ProcessId me = self();
        // acquire: pairs with note_owner, so that the thread is the one stored with the owner.
        return owner.load(std::memory_order_acquire) == Family::pack(me) &&
               thread.load(std::memory_order_relaxed) == this_thread() && word.holder() == me;
    }

    void note_owner(std::uint32_t times = 1) noexcept {
        thread.store(this_thread(), std::memory_order_relaxed);
        depth().store(times, std::memory_order_relaxed);
        owner.store(Family::pack(self()), std::memory_order_release);  // pairs with is_mine
    }

    bool acquire(const Deadline& deadline) {
        if (is_recursive() && is_mine()) return enter_again();
        if (!word.acquire(deadline)) return false;
        note_owner();
        return true;
    }

    bool acquire(bool block, Timeout timeout) {
        if (block && timeout.is_forever()) {
            lock();
            return true;
        }
        return acquire(Deadline(block ? timeout : Timeout(0)));
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
            if (!is_mine()) {
                throw AssertionError("attempt to release recursive lock not owned by thread");
            }
            const std::uint32_t left = depth().load(std::memory_order_relaxed) - 1;
            depth().store(left, std::memory_order_relaxed);
            if (left != 0) return;
            owner.store(0, std::memory_order_relaxed);
        } else if (owner.load(std::memory_order_relaxed) == Family::pack(self())) {
            owner.store(0, std::memory_order_relaxed);
        }
        if (!word.release()) throw ValueError("semaphore or lock released too many times");
    }

    bool recover() {
        if (is_recursive() && is_mine() && !word.is_abandoned()) return !enter_again();
        const bool kept = is_mine();
        const bool was_abandoned = word.recover();
        if (!kept) note_owner();
        return was_abandoned;
    }

    /// Releases the lock however often it was acquired. @returns how often
    std::uint32_t release_all() {
        const std::uint32_t times = depth().load(std::memory_order_relaxed);
        owner.store(0, std::memory_order_relaxed);
        word.release();
        return times;
    }

    /// Takes the lock again after release_all, also when it is abandoned; it then stays so.
    void acquire_again(std::uint32_t times) {
        word.acquire(Deadline(Timeout()), Abandoned::keep);
        note_owner(times);
    }

  private:
    bool enter_again() {
        const std::uint32_t times = depth().load(std::memory_order_relaxed);
        if (times == UINT32_MAX) throw ValueError("the recursive lock was acquired too often");
        depth().store(times + 1, std::memory_order_relaxed);
        return true;
    }
};
static_assert(sizeof(LockState) == 48, "with its header within a block of 64 bytes");

/// Says who holds a lock, as Python does; a process that died has abandoned it.
inline std::string owner_text(const LockState& lock) {
    if (lock.word.is_abandoned()) return "abandoned";
    const ProcessId holder = lock.word.holder();
    if (!holder) return "None";
    if (holder != self()) return "SomeOtherProcess";
    if (!lock.is_mine()) return "SomeOtherThread";
    const char* const name = heap().family()[holder].name;
    return *name == '\0' ? "MainProcess" : name;
}

inline std::string recursive_lock_text(const LockState& lock) {
    const std::string depth = std::to_string(lock.depth().load(std::memory_order_relaxed));
    return "<RLock(" + owner_text(lock) + ", " +
           (!lock.word.holder() ? "0"
            : lock.is_mine()    ? depth
                                : "nonzero") +
           ")>";
}

}  // namespace detail

/// What Lock and RLock have in common; also a handle on either, as Value::get_lock gives it.
///
/// @par Processes When the process that holds the lock dies, acquire throws AbandonedError, within
/// a second if it waits already, and goes on doing so until recover is called: what the lock guards
/// may be half written.
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

    /// Releases the lock. A Lock may be released by any thread of any process.
    /// @throws ValueError a Lock that is not held
    /// @throws AssertionError an RLock that the calling thread does not hold
    /// @throws AbandonedError a Lock whose holder has died
    void release() const { state().unlock(); }

    /// Returns whether the lock cannot be had: it is held, or abandoned.
    [[nodiscard]] bool locked() const noexcept { return !state().word.is_free(); }

    /// Takes an abandoned lock, so that the caller can repair what it guards, and others can
    /// acquire it when the caller has released it. If another process was faster, or the lock is
    /// not abandoned, it is acquired as by acquire().
    /// @returns whether it was abandoned: the caller is the one to repair
    bool recover() const { return state().recover(); }

    /// Two handles are equal when they are handles on the same lock.
    friend bool operator==(const BasicLock& a, const BasicLock& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: the handle as it travels.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: the lock in the heap.
    [[nodiscard]] detail::LockState& state() const noexcept { return *handle_; }

  protected:
    /// For the classes derived from it: a new lock.
    explicit BasicLock(bool recursive)
        : handle_(detail::make_shared_object<detail::LockState>(recursive)) {}
    /// For the classes derived from it: a handle that has arrived.
    explicit BasicLock(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}
    /// For the classes derived from it: a handle that goes with `owner`, and does not count.
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

    /// For the library: the handle that has arrived.
    static Lock from_shared_handle(detail::AnyHandle handle) { return Lock(std::move(handle)); }

    friend std::string text_of(const Lock& lock) {
        return "<Lock(owner=" + detail::owner_text(lock.state()) + ")>";
    }

  private:
    explicit Lock(detail::AnyHandle handle) noexcept : BasicLock(std::move(handle)) {}
};

/// A lock that the thread that holds it may acquire again, and releases as often. A forked child
/// does not hold the locks of its parent.
/// @par Source CPython Lib/multiprocessing/synchronize.py, RLock
class RLock : public BasicLock {
  public:
    /// Makes a new lock. @throws std::bad_alloc
    RLock() : BasicLock(true) {}

    /// For the library: the handle that has arrived.
    static RLock from_shared_handle(detail::AnyHandle handle) { return RLock(std::move(handle)); }

    friend std::string text_of(const RLock& lock) {
        return detail::recursive_lock_text(lock.state());
    }

  private:
    explicit RLock(detail::AnyHandle handle) noexcept : BasicLock(std::move(handle)) {}
};

/// A handle on a Lock or an RLock, whichever it is. It converts to the one that it is.
class AnyLock : public BasicLock {
  public:
    /// A handle on a Lock.
    AnyLock(const Lock& lock) noexcept : BasicLock(lock) {}
    /// A handle on an RLock.
    AnyLock(const RLock& lock) noexcept : BasicLock(lock) {}

    /// @throws TypeError when it is the other one
    operator Lock() const { return convert<Lock>(false); }
    /// @throws TypeError when it is the other one
    operator RLock() const { return convert<RLock>(true); }

    /// For the library: the handle that has arrived.
    static AnyLock from_shared_handle(detail::AnyHandle handle) {
        return AnyLock(std::move(handle));
    }
    /// For the library: a handle that goes with `owner`, and does not count.
    AnyLock(detail::Borrowed borrowed, const detail::AnyHandle& owner) noexcept
        : BasicLock(borrowed, owner) {}

    friend std::string text_of(const AnyLock& lock) {
        if (lock.state().is_recursive()) return detail::recursive_lock_text(lock.state());
        return "<Lock(owner=" + detail::owner_text(lock.state()) + ")>";
    }

  private:
    explicit AnyLock(detail::AnyHandle handle) noexcept : BasicLock(std::move(handle)) {}

    template <class T>
    [[nodiscard]] T convert(bool recursive) const {
        if (state().is_recursive() != recursive) {
            throw TypeError(recursive ? "the lock is a Lock, not an RLock"
                                      : "the lock is an RLock, not a Lock");
        }
        return T::from_shared_handle(shared_handle());
    }
};

}  // namespace multiprocessing
