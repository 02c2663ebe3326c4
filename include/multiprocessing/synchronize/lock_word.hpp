// multiprocessing/synchronize/lock_word.hpp
//
// A lock in one word that names its holder, so that a waiter can find out that the holder is dead.
// It is not recursive, and it has no handle. Lock, RLock, Barrier and everything else that must
// survive a kill are built on it. Floor 2. Start at LockWord::acquire.
//
// The bits of the word:
//      0 … 15   the holder's index in the family's table, 0: free
//     16        waiting    see gate.hpp
//     17        starving   see gate.hpp
//     18        abandoned  a holder died, and nobody has called recover since
//     19        watched    a thread sleeps until a holder changes something, see watch()
//     32 … 63   the holder's generation
// One compare-and-swap both takes the lock and names the holder. So a kill never leaves a lock that
// is held by an unknown process. A ProcessId is used once: a later process with the same place in
// the table, or with the same pid, is never taken for the holder. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "multiprocessing/heap/burial.hpp"
#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// Returns whether a process is known to be dead.
/// @param thoroughly whether to ask the system too, and not only the family's table
bool is_dead(ProcessId id, bool thoroughly);

/// What to do with a lock whose holder died.
enum class Abandoned {
    refuse,  // throw AbandonedError
    keep,    // take it; it stays abandoned, also when it is released again
    repair   // take it as an ordinary lock
};

/// The lock. All zero bytes are a free one.
class LockWord {
  public:
    static constexpr std::uint64_t waiting = std::uint64_t{1} << 16;
    static constexpr std::uint64_t starving = std::uint64_t{1} << 17;
    static constexpr std::uint64_t abandoned = std::uint64_t{1} << 18;
    static constexpr std::uint64_t watched = std::uint64_t{1} << 19;
    static constexpr std::uint64_t flags = 0xFFFF'0000;
    static_assert(Family::capacity <= 1 << 16);

    /// Takes the lock when it is free and nobody waits. It makes no system call.
    bool try_fast() {
        std::uint64_t free = 0;
        // acquire: pairs with the release in release(), so that what the last holder wrote is seen.
        return word_.compare_exchange_strong(free, Family::pack(self()), std::memory_order_acquire,
                                             std::memory_order_relaxed);
    }

    /// Takes the lock.
    ///
    /// **Blocking**: until it is released, at most until the deadline. It takes a quarter of a
    /// second to notice that the holder has died.
    /// @returns whether it was taken
    /// @throws AbandonedError when the holder died, and `policy` is to refuse
    bool acquire(const Deadline& deadline, Abandoned policy = Abandoned::refuse) {
        if (try_fast()) return true;
        return wait(deadline, policy);
    }

    /// Takes the lock if it can be had at once. A dead holder is noticed.
    /// @throws AbandonedError as acquire
    bool try_acquire(Abandoned policy = Abandoned::refuse) {
        return try_fast() || wait(Deadline(Timeout(0)), policy);
    }

    /// Releases the lock, no matter who holds it.
    /// @returns false when nobody held it
    /// @throws AbandonedError when the holder is known to have died
    bool release() {
        std::uint64_t w = word_.load(std::memory_order_relaxed);
        do {
            if (holder_of(w) == 0) {
                if ((w & abandoned) == 0) return false;
                throw_abandoned();
            }
            // release: commits; pairs with the acquire of the next holder.
        } while (!word_.compare_exchange_weak(w, w & (starving | abandoned | watched),
                                              std::memory_order_release,
                                              std::memory_order_relaxed));
        if ((w & waiting) != 0) wake_sleepers(w);
        return true;
    }

    // A watcher waits for what the holders do, and not for the lock, so it sleeps elsewhere. To
    // notice it costs a holder nothing: the release swaps the word anyway, and the swap orders the
    // two. Either the holder sees the mark, or the watcher sees all that the holder has done.

    /// Asks the next holder that changes something to say so, see release_to_watchers.
    void watch() noexcept {
        // acquire: pairs with the release of a holder that has not seen the mark.
        word_.fetch_or(watched, std::memory_order_acq_rel);
    }

    /// Releases the lock after a change, and takes the watchers' mark off.
    /// @pre the caller holds the lock, and it is not abandoned
    /// @returns whether there are watchers, which the caller must wake
    bool release_to_watchers() noexcept {
        std::uint64_t w = word_.load(std::memory_order_relaxed);
        // release: as in release(), and pairs with watch().
        while (!word_.compare_exchange_weak(w, w & starving, std::memory_order_release,
                                            std::memory_order_relaxed)) {
        }
        if ((w & waiting) != 0) wake_sleepers(w);
        return (w & watched) != 0;
    }

    /// Takes an abandoned lock, which is an ordinary one from then on. Takes any other lock as
    /// acquire does.
    /// @returns whether it was abandoned: the caller is then the one to repair
    bool recover();

    /// Takes the lock. For callers that repair what it guards in any case, so that the death of a
    /// holder changes nothing for them.
    void acquire_or_recover() {
        if (!try_fast()) recover();
    }

    /// Returns who holds the lock; none when it is free or abandoned.
    [[nodiscard]] ProcessId holder() const noexcept {
        return Family::unpack(holder_of(word_.load(std::memory_order_relaxed)));
    }
    [[nodiscard]] bool is_free() const noexcept {
        return (word_.load(std::memory_order_relaxed) & ~(waiting | starving | watched)) == 0;
    }
    [[nodiscard]] bool is_abandoned() const noexcept {
        // acquire: pairs with recover.
        return (word_.load(std::memory_order_acquire) & abandoned) != 0;
    }

    [[noreturn, gnu::cold]] static void throw_abandoned();

  private:
    struct Gate;  // what GateWait needs to know of a lock

    static constexpr std::uint64_t holder_of(std::uint64_t w) noexcept { return w & ~flags; }

    /// Acquires the lock after try_fast has failed.
    bool wait(Deadline deadline, Abandoned policy);

    /// Wakes those who wait for the lock, after its release.
    /// @param w the word before the release
    void wake_sleepers(std::uint64_t w) const noexcept;

    std::atomic<std::uint64_t> word_{0};
};
static_assert(sizeof(LockWord) == 8);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/synchronize/lock_word.ipp"
#endif
