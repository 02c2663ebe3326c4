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
#include "multiprocessing/pool/owner/memory_watch.hpp"
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

    /// Notes a call's own time limit. Under the lock. @returns it, for the batch
    [[nodiscard, gnu::cold]] float note_limit(Timeout limit) noexcept {
        looks_ = true;
        return time_limit_.note_limit(limit);
    }

    /// Returns whether the thread has to be woken for a new task: to see that it takes too long, or
    /// to start a worker for it. Under the lock.
    [[nodiscard]] bool misses_new_tasks() const noexcept;

  private:
    using Lock = Crew::Lock;

    struct Watched;

    static constexpr std::chrono::milliseconds termination_grace{200};
    static constexpr int restart_delay = 20;      // milliseconds
    static constexpr int first_look_delay = 50;   // milliseconds; a short-lived pool never looks
    static constexpr int second_look_delay = 50;  // milliseconds; see Roster::hires
    static constexpr int longest_tick = 100;      // milliseconds
    static constexpr int most_failed_starts = 100;

    template <class Action>
    [[gnu::cold]] bool survive(Action action);

    [[gnu::cold]] void watch_once(std::vector<pollfd>& ends, std::vector<Watched>& watched);
    [[gnu::cold]] bool prepare_poll(std::vector<pollfd>& ends, std::vector<Watched>& watched);
    [[nodiscard]] int poll_milliseconds() const noexcept;
    void look_at_tasks(Lock& lock);

    [[gnu::cold]] void replace_workers();
    [[gnu::cold]] void replace(std::uint32_t slot) noexcept;
    [[gnu::cold]] void kill_if_cancelled(std::uint32_t slot, Lock& lock);
    [[gnu::cold]] void note_failed_start(std::uint32_t slot, const char* why) noexcept;

    [[gnu::cold]] bool bury(std::uint32_t slot);
    [[gnu::cold]] void settle(std::uint32_t slot_index);
    [[gnu::cold]] void log_burial(std::uint32_t slot, const WorkerEnd& end);
    [[gnu::cold]] void note_useless_start(const char* how, int exitcode);

    Workplace& place_;

    // Under the place's lock.
    Settlement settlement_;
    MemoryWatch memory_watch_;
    TimeLimit time_limit_;
    std::uint32_t useless_starts_ = 0;  // in a row
    int failed_starts_ = 0;             // in a row
    bool last_start_failed_ = false;
    std::uint64_t next_start_ = 0;  // not before, nanoseconds on the monotonic clock
    bool missing_workers_ = false;
    bool looks_again_ = false;  // whether there is work, and not every worker for it
    bool looks_ = false;        // whether it has to look at tasks under way
    bool ticking_ = false;      // whether it does so now and then
    bool is_over_ = false;      // it watches no longer
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/watcher.ipp"
#endif
