// multiprocessing/pool/worker/worker.ipp
//
// The loop of a worker: see worker.hpp. Start at WorkerLoop::run. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/worker/worker.hpp"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <string>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/sanitizers.hpp"
#include "multiprocessing/detail/signal_set.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/board/spinning.hpp"
#include "multiprocessing/pool/board/task_clock.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/pool/tasks/runner.hpp"
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
          pid_(static_cast<std::uint32_t>(::getpid())) {}

    /// Works until the pool is closed and nothing is left, or the worker has done its share.
    [[gnu::hot]] void run() {
        log_.pid.store(pid_, std::memory_order_relaxed);
        log_.startup.store(clock_.latest() - log_.started.load(std::memory_order_relaxed),
                           std::memory_order_relaxed);
        slot_.ready.store(1);
        std::uint32_t done = 0;
        while (board_.max_tasks == 0 || done < board_.max_tasks) {
            // Read first: an entry that is added later changes it, and so ends the wait below.
            const std::uint32_t seen = board_.work.load();
            Entry& entry = protect_head(board_, slot_);
            // Before the claim, so that the owner never takes the new task for the one before.
            slot_.item.store(0, std::memory_order_relaxed);
            slot_.turn.store(slot_.turn.load(std::memory_order_relaxed) + 1,
                             std::memory_order_relaxed);
            const std::uint32_t chunk = claim_chunk(entry, slot_, ticket_);
            if (chunk != no_chunk) {
                run_chunk(entry, chunk);
                ++done;
            } else if (Offset next = entry.next.load()) {
                Offset head = heap().offset_of(&entry);
                board_.head.compare_exchange_strong(head, next);
            } else if (board_.phase.load() != PoolBoard::running) {
                break;
            } else {
                wait_for_work(seen);
            }
        }
        slot_.entry.store(0);
        log_if_enabled(log_level::debug,
                       [&] { return "worker exiting after " + std::to_string(done) + " tasks"; });
    }

  private:
    [[gnu::hot]] void run_chunk(Entry& entry, std::uint32_t index) {
        Batch& batch = *note_taken_over(heap().at<Batch>(entry.batch));
        const ChunkContext context{batch, batch.chunks()[index], index, slot_.item};
        const ChunkRunner* runner = nullptr;
        try {
            ChunkRunner& made = runner_.get(batch);
            runner = &made;
            made.run(context);
        } catch (const ExitRequest&) {
            throw;  // the task wants this process to end: both the worker and the task are lost
        } catch (...) {
            // The message itself could not be read, or there is no memory for the results.
            const std::uint32_t first =
                runner == nullptr ? context.chunk.start : runner->first_lost(context);
            record_error(batch, context.chunk, first, std::current_exception(),
                         batch.size_of(index) - first);
        }
        runner_.finish_chunk();
        const std::uint64_t end = ticks();
        finish_chunk(board_, batch, index, ticket_, end);
        const TaskClock::Span span = clock_.finish_chunk(end);
        add_to(log_.idle, span.begin - span.free);
        record_chunk(log_, board_.log_size,
                     {span.begin, span.end - span.begin, static_cast<std::uint32_t>(batch.serial),
                      index * batch.chunk_size, batch.size_of(index), pid_});
    }

    void wait_for_work(std::uint32_t seen) {
        if (!spin_for_work(seen)) {
            go_apart();
            // In this order, and undone in the opposite order: a worker that is killed in between
            // is counted once too often, which costs a needless wake-up, but never too seldom.
            board_.parked.fetch_add(1);  // seq_cst, with the load of work: pairs with announce_work
            slot_.parked.store(1);
            if (board_.work.load() == seen) {
                futex_wait_marked(board_.work, seen, mark_of_this_core());
            }
            slot_.parked.store(0);
            board_.parked.fetch_sub(1);
        }
        clock_.stop_waiting();
    }

    /// Moves to the core of its slot before it sleeps there, because a sleeper is woken on the core
    /// on which it slept. A machine of few cores may be half busy: then the kernel does not look
    /// for an idle core. Two workers that slept on the same core would share it for up to ten
    /// milliseconds, while the caller's core idles.
    void go_apart() noexcept {
        constexpr std::uint64_t interval = 10'000'000;  // nanoseconds; a move costs some of 10,000
        const std::uint64_t now = clock_.latest();
        if (board_.keeps_apart == 0 || now - moved_ < interval || ::sched_getcpu() == core_) {
            return;
        }
        core_ = go_to_core(spinner_ - 1);
        moved_ = now;
    }

    /// @returns whether there is something new
    bool spin_for_work(std::uint32_t seen) noexcept {
        std::uint32_t nobody = 0;
        if (board_.may_spin == 0) return false;
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
};

/// Says on the board that the initializer failed, and why.
[[gnu::cold]] MULTIPROCESSING_INLINE void report_failed_initializer(PoolBoard& board) {
    OutputArchive archive;
    archive(describe_exception(std::current_exception()));
    void* const payload = make_payload(archive);
    Offset none = 0;
    if (!board.failure.compare_exchange_strong(none, heap().offset_of(payload))) {
        destroy_payload(payload);  // another worker's has failed before
    }
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
    try {
        initialize();
        heap().fit_address_space();  // many initializers limit it
    } catch (const ExitRequest&) {
        throw;
    } catch (...) {
        report_failed_initializer(*heap().at<PoolBoard>(orders.board));
        throw;  // also reported on standard error, like any exception that leaves a target
    }
    WorkerLoop(orders).run();
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
