// multiprocessing/synchronize/lock_word.ipp
//
// How a thread waits for a lock in one word, and how it notices that the holder is dead: see
// lock_word.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/synchronize/lock_word.hpp"

#include <chrono>
#include <climits>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/synchronize/gate.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE bool is_dead(ProcessId id, bool thoroughly) {
    Family& family = heap().family();
    const std::uint64_t state = family[id].state.load(std::memory_order_acquire);
    if (!ProcessRecord::is_of(state, id)) return true;
    return thoroughly && id != known_self() && !family.is_alive(id);
}

/// The process that this thread last found alive in a try that did not wait. A loop of tries must
/// notice a death, but a system call in each of them would be too slow.
struct LastLook {
    std::uint64_t holder = 0;
    Deadline::Clock::time_point at{};
};
inline constinit thread_local LastLook last_look;

/// Does what is_dead(id, true) does, but asks the system at most once in 10 ms about the same
/// process.
MULTIPROCESSING_INLINE bool is_dead_by_now(ProcessId id) {
    const auto now = Deadline::Clock::now();
    const bool looked =
        last_look.holder == Family::pack(id) && now - last_look.at < std::chrono::milliseconds(10);
    if (is_dead(id, !looked)) return true;
    if (!looked) last_look = {Family::pack(id), now};
    return false;
}

/// What GateWait needs to know of a lock.
struct LockWord::Gate {
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
        // Wakes all sleepers: each must learn of the death. The exact word is compared, holder and
        // all: if the lock has changed hands meanwhile, nothing happens.
        if (word.compare_exchange_strong(w, (w & (starving | watched)) | abandoned,
                                         std::memory_order_acq_rel)) {
            futex_wake(futex_half(word));
        }
        return true;
    }
};

MULTIPROCESSING_INLINE bool LockWord::recover() {
    const std::uint64_t me = Family::pack(self());
    std::uint64_t w = word_.load(std::memory_order_relaxed);
    if (holder_of(w) == me && (w & abandoned) != 0) {  // it was kept, see Abandoned::keep
        // release: pairs with is_abandoned, for what was repaired.
        word_.fetch_and(~abandoned, std::memory_order_release);
        return true;
    }
    bool was_abandoned = false;
    enter_gate(Gate{word_, me, Abandoned::repair, &was_abandoned}, Deadline(Timeout()));
    return was_abandoned;
}

MULTIPROCESSING_INLINE void LockWord::throw_abandoned() {
    throw AbandonedError("the process that held the lock died, so what the lock guards may be "
                         "half written: call recover(), which takes the lock, and repair it");
}

MULTIPROCESSING_INLINE bool LockWord::wait(Deadline deadline, Abandoned policy) {
    return enter_gate(Gate{word_, Family::pack(self()), policy}, deadline);
}

MULTIPROCESSING_INLINE void LockWord::wake_sleepers(std::uint64_t w) const noexcept {
    // If this process is killed before the call, the sleepers find the lock free after their nap.
    futex_wake(futex_half(word_), (w & abandoned) != 0 ? INT_MAX : 1);
}

}  // namespace multiprocessing::detail
