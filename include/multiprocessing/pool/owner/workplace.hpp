// multiprocessing/pool/owner/workplace.hpp
//
// What the owner of a pool of processes has of it, and what its threads share: the board, the
// workers, the work, and the calls that are not over. The threads that call the pool
// (supervisor.hpp) and the thread that watches the workers (watcher.hpp) change it under one lock.
// Nobody holds that lock while anything takes long or a user's code runs. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/heap/local_mutex.hpp"
#include "multiprocessing/logging/event.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/calls/courier.hpp"
#include "multiprocessing/pool/calls/pending_list.hpp"
#include "multiprocessing/pool/insight/history.hpp"
#include "multiprocessing/pool/options.hpp"
#include "multiprocessing/pool/owner/crew.hpp"
#include "multiprocessing/pool/owner/delays.hpp"
#include "multiprocessing/pool/owner/door.hpp"
#include "multiprocessing/pool/owner/lanes.hpp"
#include "multiprocessing/pool/owner/pending_batch.hpp"
#include "multiprocessing/pool/owner/recruiter.hpp"
#include "multiprocessing/pool/owner/roster.hpp"
#include "multiprocessing/pool/owner/soft_stop.hpp"
#include "multiprocessing/pool/worker/setup.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// What the owner must know of a pool.
struct SupervisorOptions {
    std::uint32_t workers;
    std::uint32_t max_tasks;  // 0: no limit
    std::uint32_t retries;
    std::uint32_t log_size;  // chunks that each worker's log has room for
    Timeout task_timeout;
    StaffWishes staff = {};
    WorkerSetup setup = {};
    TaskRules rules;
};

/// Wakes the thread that watches.
class WakeDescriptor {
  public:
    [[nodiscard]] int get() const noexcept { return descriptor_.get(); }

    void stir() const noexcept;

    /// Takes note that it was stirred. @param events what poll says of it
    /// @throws std::system_error EMFILE, ENFILE when it has to be made anew
    [[gnu::cold]] void heed(int events);

  private:
    static Descriptor make();

    Descriptor descriptor_ = make();
};

/// The pool as its owner's threads see it.
class Workplace {
  public:
    [[gnu::cold]] Workplace(const SupervisorOptions& wishes, std::unique_ptr<Crew> workers);
    Workplace(const Workplace&) = delete;
    Workplace& operator=(const Workplace&) = delete;
    [[gnu::cold]] ~Workplace();

    /// @param owner the object that this one lies in
    void open(const std::weak_ptr<void>& owner);

    /// Returns whether this process made the pool, and is not a fork of that one.
    [[nodiscard]] bool is_owner() const noexcept { return fork_depth() == owner_depth_; }

    [[nodiscard]] Arrivals arrivals() const noexcept {
        return {&board->arrivals, &board->listeners};
    }

    /// Lets threads that wait for several calls look at all of them: some were given up.
    [[gnu::cold]] void tell_of_withdrawn();

    /// Makes the workers and the watching thread look at the phase.
    [[gnu::cold]] void stir();

    /// Ends the pool, and all calls with `error`; null: CancelledError. Under the lock.
    [[gnu::cold]] void terminate_locked(const std::exception_ptr& error);

    /// Ends the pool for a reason, which every call to it throws from now on. Under the lock.
    [[gnu::cold]] void break_locked(const std::string& why);

    /// Logs what `text()` returns, unless nobody would read it. The recruiter's thread does it
    /// soon; that one may hang.
    template <class Text>
    [[gnu::cold]] void log_later(Text text) {
        if (logging_enabled(log_level::debug)) log_line_later(text());
    }
    /// Does the same with an error.
    [[gnu::cold]] void report_later(const char* what, const char* why);

    const SupervisorOptions options;
    PoolBoard* board = nullptr;
    Courier courier;
    Recruiter recruiter;
    WakeDescriptor wake;
    const SoftStop soft_stop;
    std::atomic<std::uint32_t> withdrawals{0};  // changes when calls are given up

    mutable LocalMutex mutex;  // guards what follows
    std::unique_ptr<Crew> crew;
    Lanes entries;
    Roster roster;
    Delays delays;
    Door door;
    PendingList<PendingBatch> pending;
    History history;
    std::exception_ptr broken;
    std::vector<Offset> former_exit_messages;  // a worker may be reading one

  private:
    [[gnu::cold]] void log_line_later(std::string line);
    template <class Errand>
    [[gnu::cold]] void send_or_skip(Errand errand) noexcept;
    [[gnu::cold]] void make_board();
    [[nodiscard]] bool needs_policy() const noexcept;
    [[gnu::cold]] void make_policy();
    [[gnu::cold]] void free_policy() noexcept;

    const std::uint32_t owner_depth_ = fork_depth();
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/workplace.ipp"
#endif
