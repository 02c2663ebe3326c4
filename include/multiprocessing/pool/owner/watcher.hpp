// multiprocessing/pool/owner/watcher.hpp
//
// The thread that watches a pool's workers. It finds out what a dead worker was doing, has it
// replaced, and ends a worker that takes too long. Mirrors the worker handler of CPython
// Lib/multiprocessing/pool.py, Pool. It runs no user's code and logs nothing itself. It waits only
// for the workers and for a thread that wakes it, so any thread may wait for it. Floor 5. Start at
// Watcher::run. SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "multiprocessing/pool/owner/crew.hpp"
#include "multiprocessing/pool/owner/settlement.hpp"
#include "multiprocessing/pool/owner/time_limit.hpp"

struct pollfd;

namespace multiprocessing::detail {

class Workplace;

/// Watches the workers.
class Watcher {
  public:
    explicit Watcher(Workplace& place);

    /// Watches until the pool is terminated, or closed and all is done. Then it ends the workers.
    [[gnu::cold]] void run();

    /// Returns whether the thread has to be woken to see that a new task takes too long. Under the
    /// lock.
    [[nodiscard]] bool misses_new_tasks() const noexcept {
        return time_limit_.is_set() && !ticking_;
    }

  private:
    using Lock = Crew::Lock;

    struct Watched;

    static constexpr std::chrono::milliseconds termination_grace{200};
    static constexpr int restart_delay = 20;     // milliseconds
    static constexpr int first_look_delay = 50;  // milliseconds; a short-lived pool never looks
    static constexpr int most_failed_starts = 100;

    template <class Action>
    [[gnu::cold]] bool survive(Action action);

    [[gnu::cold]] void watch_once(std::vector<pollfd>& ends, std::vector<Watched>& watched);
    [[gnu::cold]] bool prepare_poll(std::vector<pollfd>& ends, std::vector<Watched>& watched);
    [[nodiscard]] int poll_milliseconds() const noexcept;

    [[gnu::cold]] void replace_workers();
    [[gnu::cold]] void replace(std::uint32_t slot) noexcept;
    [[gnu::cold]] void kill_if_cancelled(std::uint32_t slot, Lock& lock);
    [[gnu::cold]] void note_failed_start(std::uint32_t slot, const char* why) noexcept;

    [[gnu::cold]] bool bury(std::uint32_t slot);
    [[gnu::cold]] void settle(std::uint32_t slot_index);
    [[gnu::cold]] void note_useless_start(const char* how, int exitcode);

    Workplace& place_;

    // Under the place's lock.
    Settlement settlement_;
    TimeLimit time_limit_;
    std::uint32_t useless_starts_ = 0;  // in a row
    int failed_starts_ = 0;             // in a row
    bool last_start_failed_ = false;
    std::uint64_t next_start_ = 0;  // not before, nanoseconds on the monotonic clock
    bool missing_workers_ = false;
    bool ticking_ = false;  // whether to look for slow tasks
    bool is_over_ = false;  // it watches no longer
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/watcher.ipp"
#endif
