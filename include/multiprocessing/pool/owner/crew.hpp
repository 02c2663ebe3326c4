// multiprocessing/pool/owner/crew.hpp
//
// The worker processes of a pool as their owner has them. It starts a worker, it stops a worker
// that is at a certain task with everything that the task has started, and it ends all workers.
// Floor 5. Start at Crew::start and Crew::kill_if.
// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace multiprocessing::detail {

struct Batch;
class Child;
class LocalMutex;
struct PoolBoard;
class Target;
struct WorkerOrders;

/// Starts a worker; knows the start method.
using StartWorker = std::shared_ptr<Child> (*)(const WorkerOrders&, std::shared_ptr<Target>);

/// Why the pool itself has killed a worker.
enum class Doom { none, too_slow, too_big, cancelled };

/// Tells a task from every other one that the worker ran or will run.
struct TaskMark {
    std::uint64_t turn = 0;
    std::uint32_t item = 0;
    friend bool operator==(const TaskMark&, const TaskMark&) = default;
};

/// What the owner knows of the worker in a slot.
struct CrewMember {
    std::shared_ptr<Child> child;  // null: none at the moment
    bool expected = false;         // one is being started
    std::uint32_t ticket = 0;
    Doom doom = Doom::none;
    std::uint64_t started = 0;         // nanoseconds on the monotonic clock
    std::uint64_t records_before = 0;  // chunks in the log when it started
    bool told_to_leave = false;        // its end is no loss
    TaskMark mark;                     // the task that the owner last saw it at,
    std::uint64_t mark_since = 0;      // and since when; 0: at none
    Doom asked = Doom::none;           // why its task was asked to stop,
    TaskMark asked_mark;               // which one, and since when
    std::uint64_t asked_since = 0;
};

/// The workers. The caller holds a lock, the same one each time.
class Crew {
  public:
    /// The caller's lock.
    using Lock = std::unique_lock<LocalMutex>;

    [[gnu::cold]] Crew(StartWorker starter, std::shared_ptr<Target> initializer,
                       const sigset_t& mask);

    /// @param board lives longer than the crew
    [[gnu::cold]] void open(PoolBoard& board);

    /// Makes room for the places that the board has.
    [[gnu::cold]] void fit_to_board();

    /// Returns how many places there are, with and without a worker.
    [[nodiscard]] std::uint32_t size() const noexcept;
    CrewMember& operator[](std::uint32_t slot) noexcept { return *members_[slot]; }
    [[nodiscard]] bool is_empty() const noexcept;

    /// Starts a worker in the slot, in three steps. The second step takes long.
    /// @throws what the start method throws
    [[gnu::cold]] void start(std::uint32_t slot);

    /// Makes the slot ready for a new worker. @returns what the new worker is to be told
    [[gnu::cold]] WorkerOrders expect(std::uint32_t slot) noexcept;
    /// Starts the worker. Needs no lock. @throws what the start method throws
    [[gnu::cold]] std::shared_ptr<Child> launch(const WorkerOrders& orders) const;
    /// Notes the worker that was started.
    [[gnu::cold]] void admit(std::uint32_t slot, std::shared_ptr<Child> child) noexcept;

    /// Returns the batch whose chunk the worker has taken and not finished, null when there is
    /// none.
    [[nodiscard]] Batch* batch_under_way(std::uint32_t slot) const noexcept;

    /// Returns the task that the worker is at.
    [[nodiscard]] TaskMark mark_of(std::uint32_t slot) const noexcept;

    /// Returns whether the worker may have finished a chunk and not written it down yet.
    /// @param turn of the worker, as it was some time ago
    [[nodiscard, gnu::cold]] bool may_have_to_record(std::uint32_t slot,
                                                     std::uint64_t turn) const noexcept;

    /// Stops the worker and calls `condition()`. If that returns true, kills the worker with
    /// everything that it has started; else lets it go on. So no worker is killed for a task that
    /// it has just finished.
    /// @param lock      the caller's; it is not held while this waits
    /// @param condition passed by std::ref, which needs no memory: there may be none
    [[gnu::cold]] void kill_if(std::uint32_t slot, Doom doom, Lock& lock,
                               const std::function<bool()>& condition);

    /// Does the same, but asks the task to stop, by WorkerSlot::stop_turn and SIGTERM, where
    /// kill_if kills. A task that was asked is not asked again.
    [[gnu::cold]] void ask_if(std::uint32_t slot, Doom doom, Lock& lock,
                              const std::function<bool()>& condition);

    /// Returns whether the worker is at the task that was asked to stop.
    [[nodiscard]] bool is_asked(std::uint32_t slot) const noexcept;

    /// Ends the workers that are left, with everything that they have started. Idle workers leave
    /// by themselves. The others get SIGTERM, and SIGKILL if they have blocked that.
    /// @param grace how long workers may take to leave
    /// @param lock  the caller's; it is not held while this waits
    [[gnu::cold]] void end(std::chrono::milliseconds grace, Lock& lock);

  private:
    void note_asked(std::uint32_t slot, Doom doom) noexcept;

    StartWorker start_;
    std::shared_ptr<Target> initializer_;
    std::uint64_t signal_mask_;
    PoolBoard* board_ = nullptr;
    std::vector<std::unique_ptr<CrewMember>> members_;  // none moves when the pool grows
    std::uint32_t last_ticket_ = 0;
    std::mutex examining_;  // held while a worker that may have to be killed is stopped
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/crew.ipp"
#endif
