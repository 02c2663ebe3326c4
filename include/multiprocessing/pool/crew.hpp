// multiprocessing/pool/crew.hpp
//
// The worker processes of a pool as their owner has them: starting one, stopping one that is at a
// certain task, ending all. Floor 5. Start at Crew::start and Crew::kill_if.
// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/detail/signal_set.hpp"
#include "multiprocessing/pool/board.hpp"
#include "multiprocessing/pool/spinning.hpp"
#include "multiprocessing/pool/worker.hpp"
#include "multiprocessing/pool/worker_log.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing::detail {

/// Starts a worker; knows the start method.
using StartWorker = std::shared_ptr<Child> (*)(const WorkerOrders&, std::shared_ptr<Target>);

/// Why the pool itself has killed a worker.
enum class Doom { none, too_slow, cancelled };

/// A task as it can be told from every other that the worker ran or will run.
struct TaskMark {
    std::uint64_t turn = 0;
    std::uint32_t item = 0;
    friend bool operator==(const TaskMark&, const TaskMark&) = default;
};

/// What the owner knows of the worker in a slot.
struct CrewMember {
    std::shared_ptr<Child> child;  // null: none at the moment
    std::uint32_t ticket = 0;
    Doom doom = Doom::none;
    std::uint64_t started = 0;         // nanoseconds on the monotonic clock
    std::uint64_t records_before = 0;  // chunks in the log when it started
    TaskMark mark;                     // the task it was last seen at,
    std::uint64_t mark_since = 0;      // and since when; 0: at none
};

/// The workers. Its user has a lock.
class Crew {
  public:
    [[gnu::cold]] Crew(StartWorker starter, std::shared_ptr<Target> initializer,
                       const sigset_t& mask)
        : start_(starter), initializer_(std::move(initializer)), signal_mask_(to_bits(mask)) {}

    /// @param board lives longer than the crew
    [[gnu::cold]] void open(PoolBoard& board) {
        board_ = &board;
        members_.resize(board.worker_count);
    }

    [[nodiscard]] std::uint32_t size() const noexcept { return board_->worker_count; }
    CrewMember& operator[](std::uint32_t slot) noexcept { return members_[slot]; }
    [[nodiscard]] bool is_empty() const noexcept {
        return std::all_of(members_.begin(), members_.end(),
                           [](const CrewMember& member) { return member.child == nullptr; });
    }

    /// Starts a worker in the slot. @throws what the start method throws
    [[gnu::cold]] void start(std::uint32_t slot) {
        CrewMember& member = members_[slot];
        WorkerLog& log = board_->logs()[slot];
        member = {};
        member.ticket = ++last_ticket_ & (UINT32_MAX >> 2);
        member.started = monotonic_now();
        member.records_before = log.recorded.load();
        board_->slots()[slot].ready.store(0);
        log.started.store(member.started, std::memory_order_relaxed);
        member.child =
            start_({heap().offset_of(board_), slot, member.ticket, signal_mask_}, initializer_);
        log_if_enabled(log_level::debug, [] { return "added worker"; });
        log.starts.store(log.starts.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

    /// Returns the batch whose chunk the worker has taken and not finished, null when there is
    /// none.
    [[nodiscard]] Batch* batch_under_way(std::uint32_t slot) const noexcept {
        const WorkerSlot& place = board_->slots()[slot];
        const Offset entry = place.entry.load();
        if (entry == 0 || heap().at<Entry>(entry)->batch == 0) return nullptr;
        Batch& batch = *heap().at<Batch>(heap().at<Entry>(entry)->batch);
        const std::uint32_t chunk = place.chunk.load();
        const std::uint32_t mine = members_[slot].ticket << 2 | Chunk::taken;
        return chunk < batch.chunk_count() && batch.chunks()[chunk].state.load() == mine ? &batch
                                                                                         : nullptr;
    }

    /// Returns the task that the worker is at.
    [[nodiscard]] TaskMark mark_of(std::uint32_t slot) const noexcept {
        const WorkerSlot& place = board_->slots()[slot];
        return {place.turn.load(), place.item.load()};
    }

    /// Kills the worker if `condition()` holds while it stands still; else it goes on. So nobody is
    /// killed for what he has just finished.
    template <class Condition>
    [[gnu::cold]] void kill_if(std::uint32_t slot, Doom doom, Condition condition) {
        CrewMember& member = members_[slot];
        if (!member.child || member.doom != Doom::none || !condition()) return;
        member.child->signal(SIGSTOP);
        wait_for_stop(member.child->pid());
        if (condition()) {
            member.doom = doom;
            member.child->signal(SIGKILL);
        } else {
            member.child->signal(SIGCONT);
        }
    }

    /// Ends those who are left: idle ones leave by themselves, the others by SIGTERM, or when they
    /// have blocked it or are stopped, by SIGKILL.
    [[gnu::cold]] void end(std::chrono::milliseconds grace) {
        for (const CrewMember& member : members_) {
            if (member.child) member.child->signal(SIGTERM);
        }
        const Deadline deadline(grace);
        for (CrewMember& member : members_) {
            if (!member.child) continue;
            if (!member.child->wait(deadline)) member.child->signal(SIGKILL);
            member.child->wait(Timeout());
            state().remove(*member.child);
            member.child.reset();
        }
    }

  private:
    /// SIGSTOP takes effect a moment after it is sent. One that a device keeps from stopping does
    /// not run a task to its end either.
    [[gnu::cold]] static void wait_for_stop(pid_t pid) {
        const Deadline deadline(std::chrono::milliseconds(50));
        while (!deadline.has_passed()) {
            const auto status = process_status(pid);
            if (!status || (status->state != 'R' && status->state != 'S')) return;
            ::usleep(20);
        }
    }

    StartWorker start_;
    std::shared_ptr<Target> initializer_;
    std::uint64_t signal_mask_;
    PoolBoard* board_ = nullptr;
    std::vector<CrewMember> members_;
    std::uint32_t last_ticket_ = 0;
};

}  // namespace multiprocessing::detail
