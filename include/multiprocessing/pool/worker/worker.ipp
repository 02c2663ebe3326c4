// multiprocessing/pool/worker/worker.ipp
//
// The loop of a worker: see worker.hpp. Start at WorkerLoop::run. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/worker/worker.hpp"

#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <optional>
#include <string>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/sanitizers.hpp"
#include "multiprocessing/detail/signal_set.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/board/lanes.hpp"
#include "multiprocessing/pool/board/own_memory.hpp"
#include "multiprocessing/pool/board/policy.hpp"
#include "multiprocessing/pool/board/task_clock.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/pool/tasks/retry_rule.hpp"
#include "multiprocessing/pool/tasks/runner.hpp"
#include "multiprocessing/pool/worker/setup.hpp"
#include "multiprocessing/pool/worker/this_task.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/process/lifeline.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// A worker at work.
class WorkerLoop {
  public:
    explicit WorkerLoop(const WorkerOrders& orders)
        : board_(*heap().at<PoolBoard>(orders.board)),
          slot_(board_.worker_slots()[orders.slot]),
          log_(board_.logs()[orders.slot]),
          spinner_(orders.slot + 1),
          ticket_(orders.ticket),
          pid_(static_cast<std::uint32_t>(::getpid())) {
        if (board_.policy == 0) return;
        policy_ = heap().at<TaskPolicy>(board_.policy);
        retry_rule_.emplace(*policy_);
    }

    /// Works until the pool is closed and nothing is left, or the worker has done its share.
    [[gnu::hot]] void run() {
        log_.pid.store(pid_, std::memory_order_relaxed);
        log_.startup.store(clock_.latest() - log_.started.load(std::memory_order_relaxed),
                           std::memory_order_relaxed);
        slot_.ready.store(1);
        WorkerTask task(board_, slot_, ticket_);
        if (policy_ != nullptr && policy_->asks_first != 0) task.catch_signal();
        std::uint32_t done = 0;
        while (board_.max_tasks == 0 || done < board_.max_tasks) {
            // Read first: an entry that is added later changes it, and so ends the wait below.
            const std::uint32_t seen = board_.work.load();
            // After that load: see Roster::resize.
            if (slot_.stay.load(std::memory_order_relaxed) != Stay::here) break;
            const auto [entry, is_of_lane] = protect_next(board_, slot_);
            // Before the claim, so that the owner never takes the new task for the one before.
            slot_.item.store(0, std::memory_order_relaxed);
            slot_.turn.store(slot_.turn.load(std::memory_order_relaxed) + 1,
                             std::memory_order_relaxed);
            const std::uint32_t chunk = claim_chunk(entry, slot_, ticket_);
            if (chunk != no_chunk) {
                if (policy_ != nullptr && !may_begin()) [[unlikely]]
                    break;
                run_chunk(entry, chunk);
                ++done;
                if (policy_ != nullptr && is_too_big()) [[unlikely]]
                    break;
            } else if (Offset next = entry.next.load()) {
                Offset head = heap().offset_of(&entry);
                // Where there are lanes, this may be an entry of another list: then nothing
                // happens.
                board_.head.compare_exchange_strong(head, next);
            } else if (is_of_lane) {
                continue;  // another worker was faster; there may be more in other lanes
            } else if (board_.phase.load() != PoolBoard::running) {
                break;
            } else if (!wait_for_work(seen)) {
                break;
            }
        }
        slot_.entry.store(0);
        // One that is to leave may have been woken for new work. Another worker looks at that.
        if (slot_.stay.load(std::memory_order_relaxed) != Stay::here) futex_wake(board_.work, 1);
        log_if_enabled(log_level::debug, [&] {
            return joined({"worker exiting after ", done, " tasks"});
        });
    }

  private:
    [[gnu::hot]] void run_chunk(Entry& entry, std::uint32_t index) {
        Batch& batch = *note_taken_over(heap().at<Batch>(entry.batch));
        const ChunkContext context{batch, batch.chunks()[index], index, slot_.item, retry_rule()};
        const std::uint32_t failed_before = failures_noted;
        std::uint32_t retried = 0;
        const ChunkRunner* runner = nullptr;
        RunEnd how = RunEnd::finished;
        try {
            for (;;) {
                ChunkRunner& made = runner_.get(batch);
                runner = &made;
                how = made.run(context);
                if (how != RunEnd::again) [[likely]]
                    break;
                begin_again();
                ++retried;
            }
        } catch (const ExitRequest&) {
            throw;  // the task wants this process to end: both the worker and the task are lost
        } catch (...) {
            // The message itself could not be read, or there is no memory for the results.
            how = RunEnd::finished;
            const std::uint32_t first =
                runner == nullptr ? context.chunk.start : runner->first_lost(context);
            record_error(batch, context.chunk, first, std::current_exception(),
                         batch.size_of(index) - first);
        }
        runner_.finish_chunk();
        const std::uint64_t end = ticks();
        if (how == RunEnd::rests) [[unlikely]] {
            ++retried;
            retry_rule_->hand_over(context.chunk, ticket_, monotonic_now());
        } else {
            finish_chunk(board_, batch, index, ticket_, end);
        }
        const auto first = static_cast<std::uint32_t>(batch.first_item) + index * batch.chunk_size;
        const TaskClock::Span span = clock_.finish_chunk(end);
        add_to(log_.idle, span.begin - span.free);
        record_chunk(log_, board_.log_size,
                     {span.begin, span.end - span.begin, static_cast<std::uint32_t>(batch.serial),
                      first, batch.size_of(index), pid_},
                     {failures_noted - failed_before, retried, how == RunEnd::rests});
    }

    [[nodiscard]] RetryRule* retry_rule() noexcept {
        return policy_ != nullptr && retry_rule_->is_set() ? &*retry_rule_ : nullptr;
    }

    /// Returns whether this worker has grown so much that another one is to replace it.
    [[nodiscard]] bool is_too_big() const noexcept {
        return policy_->leave_above != 0 &&
               own_memory(0, slot_.inherited.load(std::memory_order_relaxed)) >
                   policy_->leave_above;
    }

    /// Tells of a chunk that was taken. @returns whether it is to be run
    [[nodiscard]] bool may_begin() noexcept {
        tell_of_begun(*policy_);
        // A worker that is only asked to stop must not begin what nobody wants any more.
        return board_.phase.load() != PoolBoard::terminated;
    }

    /// Gets ready to run the rest of a chunk at once, after an exception.
    [[gnu::cold]] void begin_again() noexcept {
        runner_.finish_chunk();
        // So that the owner takes it for a new task, which has all of its time.
        slot_.turn.store(slot_.turn.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

    /// @returns false when it has waited for too long: the worker leaves
    bool wait_for_work(std::uint32_t seen) {
        bool goes_on = true;
        if (!spin_for_work(seen)) {
            go_apart();
            // In this order, and undone in the opposite order: a worker that is killed in between
            // is counted once too often, which costs a needless wake-up, but never too seldom.
            board_.parked.fetch_add(1);  // seq_cst, with the load of work: pairs with announce_work
            slot_.parked.store(1);
            if (board_.work.load() == seen) goes_on = sleep_for_work(seen);
            slot_.parked.store(0);
            board_.parked.fetch_sub(1);
        }
        clock_.stop_waiting();
        return goes_on;
    }

    /// @returns false, at once, when the worker has been idle for too long
    bool sleep_for_work(std::uint32_t seen) {
        const std::uint64_t most = board_.staffing.most_idle;
        if (most == Staffing::for_ever) {
            futex_wait_marked(board_.work, seen, mark_of_this_core());
            return true;
        }
        const std::uint64_t idle = monotonic_now() - clock_.latest();
        if (idle >= most) {
            slot_.stay.store(Stay::left_idle);
            return false;
        }
        const std::uint64_t left = most - idle;
        const timespec limit{static_cast<time_t>(left / 1'000'000'000),
                             static_cast<long>(left % 1'000'000'000)};
        futex_wait(board_.work, seen, &limit);
        return true;
    }

    /// Moves to the core of its slot before it sleeps there, because a sleeper is woken on the core
    /// on which it slept. A machine of few cores may be half busy: then the kernel does not look
    /// for an idle core. Two workers that slept on the same core would share it for up to ten
    /// milliseconds, while the caller's core idles.
    void go_apart() noexcept {
        constexpr std::uint64_t interval = 10'000'000;  // nanoseconds; a move costs some of 10,000
        const std::uint64_t now = clock_.latest();
        const bool apart = board_.keeps_apart.load(std::memory_order_relaxed) != 0;
        if (!apart || now - moved_ < interval || ::sched_getcpu() == core_) {
            return;
        }
        core_ = go_to_core(spinner_ - 1);
        moved_ = now;
    }

    /// @returns whether there is something new
    bool spin_for_work(std::uint32_t seen) noexcept {
        std::uint32_t nobody = 0;
        if (board_.may_spin.load(std::memory_order_relaxed) == 0) return false;
        // One worker spins at a time: the others are woken when there is more than one chunk.
        if (!board_.spinner.compare_exchange_strong(nobody, spinner_)) return false;
        const bool found =
            spinning_.spin([&] { return board_.work.load(std::memory_order_relaxed) != seen; });
        std::uint32_t me = spinner_;
        board_.spinner.compare_exchange_strong(me, 0);  // seq_cst: see announce_work
        return found;
    }

    PoolBoard& board_;
    WorkerSlot& slot_;
    WorkerLog& log_;
    const std::uint32_t spinner_;
    const std::uint32_t ticket_;
    const std::uint32_t pid_;
    TaskClock clock_;
    int core_ = -1;            // where it went to sleep last
    std::uint64_t moved_ = 0;  // when it went there
    SpinBudget spinning_;
    CurrentRunner runner_;
    TaskPolicy* policy_ = nullptr;         // null: the pool has none of the less usual options
    std::optional<RetryRule> retry_rule_;  // where there is a policy
};

/// Says on the board that a step before the first task failed, and why.
[[gnu::cold]] MULTIPROCESSING_INLINE void report_failed_step(PoolBoard& board, const char* step) {
    OutputArchive archive;
    archive(joined({step, ": ", describe_exception(std::current_exception())}));
    void* const payload = make_payload(archive);
    Offset none = 0;
    if (!board.failure.compare_exchange_strong(none, heap().offset_of(payload))) {
        destroy_payload(payload);  // another worker's has failed before
    }
}

/// Notes how much memory a worker has of its parent's, before it takes any itself.
MULTIPROCESSING_INLINE void note_inherited_memory(PoolBoard& board, std::uint32_t slot) noexcept {
    if (board.policy == 0 || heap().at<TaskPolicy>(board.policy)->leave_above == 0) return;
    board.worker_slots()[slot].inherited.store(private_memory(0));
}

/// Takes and runs chunks, and then the function of Pool::on_exit.
[[gnu::cold]] MULTIPROCESSING_INLINE void work_to_the_end(const WorkerOrders& orders) {
    PoolBoard& board = *heap().at<PoolBoard>(orders.board);
    try {
        WorkerLoop(orders).run();
    } catch (const ExitRequest&) {  // a task ends its worker
        run_on_exit(board);
        throw;
    }
    run_on_exit(board);
}

/// Runs a worker. @param initialize runs the initializer, if there is one
template <class Initialize>
void work(const WorkerOrders& orders, Initialize initialize) {
    // Ctrl-C is for the owner: it ends the pool, and the pool ends its workers. The owner's handler
    // for SIGTERM is not meant for the workers either.
    ::signal(SIGINT, SIG_IGN);
    ::signal(SIGTERM, SIG_DFL);
    lead_group_that_dies_with_parent();
    // The thread that starts replacements has all signals blocked.
    sigset_t mask = from_bits(orders.signal_mask);
    ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    PoolBoard& board = *heap().at<PoolBoard>(orders.board);
    note_inherited_memory(board, orders.slot);
    const char* step = "a worker cannot be given what the pool's options ask for";
    try {
        set_up_worker(board, orders.slot);
        step = "a process initializer failed";
        initialize();
        heap().fit_address_space();  // many initializers limit it
    } catch (const ExitRequest&) {
        throw;
    } catch (...) {
        report_failed_step(board, step);
        throw;  // also reported on standard error, like any exception that leaves a target
    }
    work_to_the_end(orders);
}

MULTIPROCESSING_INLINE void WorkerTarget::run() {
    work(orders_, [this] {
        if (initializer_) initializer_->run();
    });
}

MULTIPROCESSING_INLINE void WorkerTarget::save(OutputArchive& archive) const {
    archive(TargetReceiver{receive}, orders_, initializer_ != nullptr);
    if (initializer_) initializer_->save(archive);
}

MULTIPROCESSING_INLINE void WorkerTarget::receive(InputArchive& archive) {
    const auto orders = archive.read<WorkerOrders>();
    work(orders, [&] {
        if (archive.read<bool>()) run_received_target(archive);
    });
}

}  // namespace multiprocessing::detail
