// multiprocessing/synchronize/lock_word.hpp
//
// A lock in one word that names its holder, so that whoever waits can find out that the holder is
// dead. Not recursive, and without a handle: the part that Lock, RLock and Barrier, and whatever
// else must outlive a kill, are made of. Floor 2. Start at LockWord::acquire.
//
// The bits of the word:
//      0 … 15   the holder's index in the family's table, 0: free
//     16        waiting    see gate.hpp
//     17        starving   see gate.hpp
//     18        abandoned  a holder died, and nobody has called recover since
//     19        watched    somebody sleeps until a holder changes something, see watch()
//     32 … 63   the holder's generation
// The holder is named by the same compare-and-swap that makes it the holder. So there is no
// instant at which a kill leaves a lock that is held by nobody knows whom, and since a ProcessId is
// used once, no successor in the table, or with the same pid, is taken for the holder.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/burial.hpp"
#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/synchronize/gate.hpp"

namespace multiprocessing::detail {

/// Returns whether a process is known to be dead.
/// @param thoroughly whether to ask the system, or only the family's table
inline bool is_dead(ProcessId id, bool thoroughly) {
    Family& family = heap().family();
    const std::uint64_t state = family[id].state.load(std::memory_order_acquire);
    if (!ProcessRecord::is_of(state, id)) return true;
    return thoroughly && id != self() && !family.is_alive(id);
}

/// Which process was last found alive by this thread in a try that did not wait. A loop of tries
/// must notice a death, but not pay for the look each time.
struct LastLook {
    std::uint64_t holder = 0;
    Deadline::Clock::time_point at{};
};
inline constinit thread_local LastLook last_look;

/// As is_dead(id, true), but one look in 10 ms has to do for the same process.
inline bool is_dead_by_now(ProcessId id) {
    const auto now = Deadline::Clock::now();
    const bool looked =
        last_look.holder == Family::pack(id) && now - last_look.at < std::chrono::milliseconds(10);
    if (is_dead(id, !looked)) return true;
    if (!looked) last_look = {Family::pack(id), now};
    return false;
}

/// What to do with a lock whose holder died.
enum class Abandoned {
    refuse,  // throw AbandonedError
    keep,    // take it; it stays abandoned, and is so again when it is released
    repair   // take it as one in order
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

    /// Takes the lock when it is free and nobody waits. No system call.
    bool try_fast() noexcept {
        std::uint64_t free = 0;
        // acquire: pairs with the release in release(), so that what the last holder wrote is seen.
        return word_.compare_exchange_strong(free, Family::pack(self()), std::memory_order_acquire,
                                             std::memory_order_relaxed);
    }

    /// Takes the lock.
    ///
    /// **Blocking**: until it is released, at most until the deadline; noticing that the holder has
    /// died takes a quarter of a second.
    /// @returns whether it was taken
    /// @throws AbandonedError when the holder died, and `policy` is to refuse
    bool acquire(const Deadline& deadline, Abandoned policy = Abandoned::refuse) {
        if (try_fast()) return true;
        return enter_gate(Gate{word_, Family::pack(self()), policy}, deadline);
    }

    /// Takes the lock if it can be had at once. A dead holder is noticed.
    /// @throws AbandonedError as acquire
    bool try_acquire(Abandoned policy = Abandoned::refuse) {
        return acquire(Deadline(Timeout(0)), policy);
    }

    /// Releases the lock, whoever holds it.
    /// @returns false when nobody did
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
        wake_after_release(w);
        return true;
    }

    // Who waits for what the holders do, and not for the lock, sleeps elsewhere. It is woken for
    // free: the word is swapped anyway when the lock is released, which orders the two. Either the
    // holder sees the mark, or the watcher sees all that the holder has done.

    /// Asks the next holder who changes something to say so, see release_to_watchers.
    void watch() noexcept {
        // acquire: pairs with the release of a holder that has not seen the mark.
        word_.fetch_or(watched, std::memory_order_acq_rel);
    }

    /// Releases the lock after a change. @pre the caller holds it, and it is not abandoned
    /// @returns whether somebody watched, who is to be woken; the mark is taken off
    bool release_to_watchers() noexcept {
        std::uint64_t w = word_.load(std::memory_order_relaxed);
        // release: as in release(), and pairs with watch().
        while (!word_.compare_exchange_weak(w, w & starving, std::memory_order_release,
                                            std::memory_order_relaxed)) {
        }
        wake_after_release(w);
        return (w & watched) != 0;
    }

    /// Takes an abandoned lock over as one in order; any other as acquire does.
    /// @returns whether it was abandoned, so that the caller is the one to repair
    bool recover() {
        const std::uint64_t me = Family::pack(self());
        std::uint64_t w = word_.load(std::memory_order_relaxed);
        if (holder_of(w) == me && (w & abandoned) != 0) {  // it was kept, see Abandoned::keep
            word_.fetch_and(~abandoned, std::memory_order_relaxed);
            return true;
        }
        bool was_abandoned = false;
        enter_gate(Gate{word_, me, Abandoned::repair, &was_abandoned}, Deadline(Timeout()));
        return was_abandoned;
    }

    /// Takes the lock when the death of a holder needs no repair beyond what the caller does
    /// anyway.
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
        return (word_.load(std::memory_order_relaxed) & abandoned) != 0;
    }

    [[noreturn]] static void throw_abandoned() {
        throw AbandonedError("the process that held the lock died, so what the lock guards may be "
                             "half written: call recover(), which takes the lock, and repair it");
    }

  private:
    static constexpr std::uint64_t holder_of(std::uint64_t w) noexcept { return w & ~flags; }

    /// @param w the word before the release
    void wake_after_release(std::uint64_t w) const noexcept {
        // Killed before this call, the sleepers find the lock free at the end of their nap.
        if ((w & waiting) != 0) futex_wake(futex_half(word_), (w & abandoned) != 0 ? INT_MAX : 1);
    }

    /// What GateWait needs to know of a lock.
    struct Gate {
        static constexpr std::uint64_t waiting = LockWord::waiting;
        static constexpr std::uint64_t starving = LockWord::starving;

        std::atomic<std::uint64_t>& word;
        std::uint64_t me;
        Abandoned policy;
        bool* was_abandoned = nullptr;

        [[nodiscard]] bool is_open(std::uint64_t w) const noexcept {
            return holder_of(w) == 0 && ((w & abandoned) == 0 || policy != Abandoned::refuse);
        }
        [[nodiscard]] std::uint64_t passed(std::uint64_t w) const noexcept {
            if (was_abandoned != nullptr) *was_abandoned = (w & abandoned) != 0;
            return policy == Abandoned::repair ? (w & ~abandoned) | me : w | me;
        }
        bool inspect(std::uint64_t w, bool thoroughly) const {
            if (holder_of(w) == 0) throw_abandoned();
            const ProcessId holder = Family::unpack(holder_of(w));
            if (!(thoroughly ? is_dead_by_now(holder) : is_dead(holder, false))) return false;
            // All are woken, to be told. The exact word is compared, holder and all: if the lock
            // has changed hands meanwhile, nothing happens.
            if (word.compare_exchange_strong(w, (w & (starving | watched)) | abandoned,
                                             std::memory_order_acq_rel)) {
                futex_wake(futex_half(word));
            }
            return true;
        }
    };

    std::atomic<std::uint64_t> word_{0};
};
static_assert(sizeof(LockWord) == 8);

}  // namespace multiprocessing::detail
