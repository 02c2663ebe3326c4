// multiprocessing/pool/supervisor.hpp
//
// The owner's side of a pool: takes the calls, and watches the workers from a thread, which finds
// out what a dead one was doing, replaces it, and ends one that takes too long. Mirrors the handler
// threads of CPython Lib/multiprocessing/pool.py, Pool; without its task and result threads, since
// workers and callers meet in the heap. Floor 5. Start at Supervisor::submit and Supervisor::watch.
// SPDX-License-Identifier: MIT
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "multiprocessing/detail/recycling_allocator.hpp"
#include "multiprocessing/heap/local_mutex.hpp"
#include "multiprocessing/pool/courier.hpp"
#include "multiprocessing/pool/crew.hpp"
#include "multiprocessing/pool/entry_list.hpp"
#include "multiprocessing/pool/pending_list.hpp"
#include "multiprocessing/pool/settlement.hpp"
#include "multiprocessing/pool/stream_registry.hpp"
#include "multiprocessing/pool/time_limit.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing::detail {

/// What the supervisor must know of a pool.
struct SupervisorOptions {
    std::uint32_t workers;
    std::uint32_t max_tasks;  // 0: no limit
    std::uint32_t retries;
    std::uint32_t log_size;  // chunks that each worker's log has room for
    Timeout task_timeout;
};

/// How a call is to be run.
struct SubmitOptions {
    bool of_stream = false;     // each chunk's end is told, all errors count; also when closed
    bool caller_waits = false;  // for its end, as the next thing it does
};

/// The workers of a pool and their work.
class Supervisor final : public std::enable_shared_from_this<Supervisor>, public BatchCanceller {
  public:
    [[gnu::cold]] Supervisor(const SupervisorOptions& options, StartWorker start,
                             std::shared_ptr<Target> init)
        : options_(options),
          settlement_(options.retries, options.task_timeout),
          time_limit_(options.task_timeout) {
        const SignalBlock block;  // for the thread
        crew_ = std::make_unique<Crew>(start, std::move(init), block.before());
        try {
            make_board();
            for (std::uint32_t slot = 0; slot < options_.workers; ++slot) crew_->start(slot);
            thread_ = std::make_unique<std::thread>([this, counted = OwnThread()] { watch(); });
        } catch (...) {
            if (board_ != nullptr) crew_->end(std::chrono::milliseconds(0));
            free_everything();
            throw;
        }
    }

    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    [[gnu::cold]] ~Supervisor() {
        if (!is_owner()) {
            // A forked child's copy: workers, threads and board are its parent's.
            (void)thread_.release();
            courier_.abandon();
            return;
        }
        end();
        free_everything();
    }

    /// Ends the pool, if this process is its owner.
    [[gnu::cold]] void end() {
        if (!is_owner()) return;
        terminate();
        join();
    }

    /// Adds a batch to the work. @throws ValueError unless the pool is running
    [[gnu::hot]] std::shared_ptr<PendingBatch> submit(BatchOwner batch,
                                                      const SubmitOptions& how = {}) {
        auto pending = std::allocate_shared<PendingBatch>(RecyclingAllocator<PendingBatch>(),
                                                          std::move(batch));
        check_owner();
        const std::lock_guard guard(mutex_);
        check_running_locked(how);
        // Who waits cannot cancel.
        if (!how.caller_waits) pending->set_canceller(weak_from_this());
        (*pending)->serial = ++last_serial_;
        (*pending)->keep_errors = how.of_stream ? 1 : 0;
        (*pending)->commit_each = options_.retries > 0 || how.of_stream ? 1 : 0;
        (*pending)->notice.store(how.of_stream ? Batch::of_each_chunk : Batch::nobody,
                                 std::memory_order_relaxed);
        pending_.add(pending);
        entries_.append((*pending)->whole, pending);
        const bool nobody_is_awake = board_->spinner.load() == 0;
        if (how.caller_waits && nobody_is_awake) {
            pending->announce_when_waiting(*board_);
        } else if (announce_work(*board_, (*pending)->chunk_count(), how.caller_waits)) {
            pending->expect_soon();
        }
        entries_.free_passed();
        if (time_limit_.is_set() && !ticking_) stir_watcher();
        return pending;
    }

    /// Takes note that the caller has its results.
    void forget(const std::shared_ptr<PendingBatch>& pending) {
        const std::lock_guard guard(mutex_);
        pending_.remove(pending);
    }

    [[gnu::cold]] bool cancel(PendingBatch& batch, bool kill_running) override {
        check_owner();
        const std::lock_guard guard(mutex_);
        if (batch.is_over()) return batch.is_cancelled();
        const bool any_untaken = batch.cancel_untaken();
        if (!any_untaken && !kill_running) return false;
        const bool cancelled = batch.give_up_as_cancelled();
        for (std::uint32_t slot = 0; kill_running && slot < options_.workers; ++slot) {
            crew_->kill_if(slot, Doom::cancelled,
                           [&] { return crew_->batch_under_way(slot) == &*batch; });
        }
        announce_arrival(*board_);
        courier_.look_at_all();
        return cancelled;
    }

    /// Takes back what nobody has begun.
    [[gnu::cold]] void cancel_untaken() {
        check_owner();
        const std::lock_guard guard(mutex_);
        for (const auto& pending : pending_) {
            if (!pending->is_over() && !pending->is_started() && pending->cancel_untaken()) {
                pending->give_up_as_cancelled();
            }
        }
        announce_arrival(*board_);
        courier_.look_at_all();
    }

    /// @throws ValueError unless the pool is running; BrokenProcessPool
    void check_running() const {
        check_owner();
        const std::lock_guard guard(mutex_);
        check_running_locked({});
    }

    [[gnu::cold]] void close() {
        check_owner();
        const std::lock_guard guard(mutex_);
        log_if_enabled(log_level::debug, [] { return "closing pool"; });
        closed_ = true;
        if (streams_.is_empty()) let_workers_leave();
    }

    /// Keeps the workers for a stream until it has given all its input.
    [[gnu::cold]] void add_stream(const std::shared_ptr<StreamFeed>& feed) {
        check_owner();
        const std::lock_guard guard(mutex_);
        check_running_locked({});
        streams_.add(feed);
        feed->set_registration({this, [self = shared_from_this()](void*) {
                                    if (!self->is_owner()) return;  // a forked child's copy
                                    const std::lock_guard lock(self->mutex_);
                                    if (self->streams_.remove() && self->closed_) {
                                        self->let_workers_leave();
                                    }
                                }});
    }

    /// Ends the workers whatever they do, and the batches with CancelledError.
    [[gnu::cold]] void terminate() {
        check_owner();
        const std::lock_guard guard(mutex_);
        if (board_->phase.exchange(PoolBoard::terminated) == PoolBoard::terminated) return;
        log_if_enabled(log_level::debug, [] { return "terminating pool"; });
        pending_.give_up(nullptr);
        stir();
    }

    /// Waits until the last worker has ended, and the last callback has run.
    /// @throws ValueError while the pool is running
    [[gnu::cold]] void join() {
        check_owner();
        feed_streams();
        const std::lock_guard guard(join_mutex_);
        if (thread_->joinable()) thread_->join();
        courier_.stop();
    }

    /// Returns whether this process made the pool, and is not a fork of that one.
    [[nodiscard]] bool is_owner() const noexcept { return fork_depth() == owner_depth_; }
    /// Returns what Python calls the pool's state. It takes no lock: it is for printing.
    [[nodiscard]] const char* state_name() const noexcept {
        if (!is_owner()) return "INHERITED";
        if (board_->phase.load() == PoolBoard::terminated) return "TERMINATE";
        return closed_ ? "CLOSE" : "RUN";
    }
    [[nodiscard]] std::uint32_t worker_count() const noexcept { return options_.workers; }
    [[nodiscard]] PoolBoard& board() const noexcept { return *board_; }
    Courier& courier() noexcept { return courier_; }
    [[nodiscard]] Arrivals arrivals() const noexcept {
        return {&board_->arrivals, &board_->listeners};
    }

  private:
    static constexpr std::chrono::milliseconds termination_grace{200};
    static constexpr int restart_delay = 20;     // milliseconds
    static constexpr int first_look_delay = 50;  // milliseconds; a short-lived pool never looks
    static constexpr int most_failed_starts = 100;

    /// A pool that came to a child by fork is not the child's: its lock may be locked for ever
    /// there.
    void check_owner() const {
        if (!is_owner()) throw ValueError("Pool not running in this process: it is another's");
    }
    [[gnu::hot]] void check_running_locked(const SubmitOptions& how) const {
        if (broken_) std::rethrow_exception(broken_);
        if (how.of_stream) {
            if (board_->phase.load() != PoolBoard::running) throw CancelledError();
        } else if (closed_ || board_->phase.load() != PoolBoard::running) {
            throw ValueError("Pool not running");
        }
    }
    [[gnu::cold]] void let_workers_leave() {
        std::uint32_t running = PoolBoard::running;
        if (board_->phase.compare_exchange_strong(running, PoolBoard::closing)) stir();
    }

    /// Before join: a closed pool finishes what it was given, and nobody may be reading it.
    [[gnu::cold]] void feed_streams() {
        for (;;) {
            std::vector<std::shared_ptr<StreamFeed>> feeds;
            {
                const std::lock_guard guard(mutex_);
                if (board_->phase.load() != PoolBoard::running) return;
                if (!closed_) throw ValueError("Pool is still running");
                feeds = streams_.feeds();
            }
            for (const auto& feed : feeds) {
                while (feed->feed_on()) {
                }
            }
        }
    }
    [[gnu::cold]] void make_board() {
        const std::size_t head =
            sizeof(PoolBoard) + std::size_t{options_.workers} * sizeof(WorkerSlot);
        const std::size_t logs = options_.workers * WorkerLog::size_for(options_.log_size);
        board_ = static_cast<PoolBoard*>(allocate_zeroed(head + logs));
        board_->worker_count = options_.workers;
        board_->max_tasks = options_.max_tasks;
        board_->log_size = options_.log_size;
        board_->first_log = heap().offset_of(board_) + head;
        // More spinners than cores would only take them from each other.
        const auto cores = static_cast<std::uint32_t>(usable_cpu_count());
        board_->may_spin = spinning_helps() && options_.workers <= cores ? 1 : 0;
        board_->keeps_apart = options_.workers > std::max(1u, cores / 2) && board_->may_spin != 0;
        entries_.open(*board_);
        crew_->open(*board_);
        courier_.open(arrivals());
        settlement_.open(*board_, entries_);
    }

    // --- what ends a pool; under the lock ---

    /// Makes workers and the watching thread look at the phase.
    [[gnu::cold]] void stir() {
        announce_phase(*board_);
        announce_arrival(*board_);
        courier_.look_at_all();
        stir_watcher();
    }
    [[gnu::cold]] void stir_watcher() {
        const std::uint64_t one = 1;
        (void)!::write(wake_.get(), &one, sizeof one);  // fails only when it is readable anyway
    }

    [[gnu::cold]] void break_pool(const std::string& why) {
        if (broken_) return;
        broken_ = std::make_exception_ptr(BrokenProcessPool(why));
        board_->phase.store(PoolBoard::terminated);
        pending_.give_up(broken_);
        stir();
    }

    /// Notes that a worker ended before it took anything. When that goes on, starting others would
    /// go on for ever: the pool is of no use.
    [[gnu::cold]] void note_useless_start(const char* how, int exitcode) {
        if (const Offset failure = board_->failure.exchange(0)) {
            const PayloadView payload(heap().at(failure));
            InputArchive archive(payload.bytes(), payload.handles());
            break_pool("a process initializer failed: " + archive.read<std::string>());
            destroy_payload(heap().at(failure));
            return;
        }
        // A SIGKILL comes from outside, and may be meant for those that are there.
        useless_starts_ += exitcode == -SIGKILL ? 1 : 10;
        if (useless_starts_ > 10 * (4 * options_.workers + 8)) {
            break_pool(std::string("the workers end ") + how + ", the last one with exit code " +
                       std::to_string(exitcode));
        }
    }

    // --- the watching thread ---

    [[gnu::cold]] void watch() {
        std::vector<pollfd> ends;
        std::vector<std::uint32_t> slots;
        while (prepare_poll(ends, slots)) {
            const int ready = ::poll(ends.data(), ends.size(), poll_milliseconds());
            if (ready < 0) continue;  // EINTR; ENOMEM: again
            if (ready == 0) settlement_.look_at_memory();
            std::uint64_t count = 0;
            if (ends[0].revents != 0) (void)!::read(wake_.get(), &count, sizeof count);
            const std::lock_guard guard(mutex_);
            for (std::size_t i = 1; i < ends.size(); ++i) {
                if (ends[i].revents != 0) bury_or_break(slots[i - 1]);
            }
            if (ticking_) time_limit_.end_slow_tasks(*crew_);
        }
        crew_->end(termination_grace);
        const std::lock_guard guard(mutex_);
        pending_.give_up(nullptr);  // nothing, unless the pool was terminated
        courier_.look_at_all();
    }

    /// Sees to the workers, and lists the descriptors to wait on. @returns false: it is over
    [[gnu::cold]] bool prepare_poll(std::vector<pollfd>& ends, std::vector<std::uint32_t>& slots) {
        const std::lock_guard guard(mutex_);
        const auto phase = board_->phase.load();
        if (phase == PoolBoard::terminated) return false;
        const bool work_left = entries_.has_untaken_chunks();
        // The workers of a closed pool leave when there is nothing to take.
        missing_workers_ = false;
        if (phase == PoolBoard::running || work_left) replace_workers();
        ends.assign(1, {wake_.get(), POLLIN, 0});
        slots.clear();
        bool any_under_way = false;
        for (std::uint32_t slot = 0; slot < options_.workers; ++slot) {
            CrewMember& member = (*crew_)[slot];
            if (!member.child) continue;
            ends.push_back({member.child->sentinel(), POLLIN, 0});
            slots.push_back(slot);
            any_under_way |= time_limit_.is_set() && crew_->batch_under_way(slot) != nullptr;
        }
        ticking_ = time_limit_.is_set() && (work_left || any_under_way);
        // Only closed pools run out of workers; a start that failed is tried again.
        return !slots.empty() || phase != PoolBoard::closing || work_left;
    }

    [[nodiscard]] int poll_milliseconds() const noexcept {
        if (missing_workers_) return restart_delay;
        if (!ticking_) return settlement_.has_looked_at_memory() ? -1 : first_look_delay;
        return time_limit_.tick();
    }

    [[gnu::cold]] void replace_workers() {
        for (std::uint32_t slot = 0; slot < options_.workers; ++slot) {
            if ((*crew_)[slot].child) continue;
            try {
                crew_->start(slot);
                failed_starts_ = 0;
            } catch (const std::exception& error) {
                missing_workers_ = true;
                if (++failed_starts_ > most_failed_starts && crew_->is_empty()) {
                    break_pool(std::string("no worker can be started: ") + error.what());
                }
                return;
            }
        }
    }

    /// Without the memory to say what was lost, all has to be.
    [[gnu::cold]] void bury_or_break(std::uint32_t slot) {
        try {
            bury(slot);
        } catch (const std::exception& error) {
            break_pool(std::string("a worker was lost, and then: ") + error.what());
        }
    }

    /// Finds out what a worker that has ended was doing, and takes it from there.
    [[gnu::cold, gnu::noinline]] void bury(std::uint32_t slot_index) {
        CrewMember& member = (*crew_)[slot_index];
        const WorkerEnd end{member.child->exitcode().value_or(0), member.child->pid(),
                            member.ticket, member.doom};
        state().remove(*member.child);
        log_if_enabled(log_level::debug, [&] {
            return "cleaning up worker " + std::to_string(slot_index) + " (pid " +
                   std::to_string(end.pid) + ", exitcode " + std::to_string(end.exitcode) + ")";
        });
        WorkerSlot& slot = board_->slots()[slot_index];
        const bool held_a_chunk = settlement_.settle(slot, end);
        if (slot.parked.exchange(0) != 0) board_->parked.fetch_sub(1);
        std::uint32_t as_spinner = slot_index + 1;
        board_->spinner.compare_exchange_strong(as_spinner, 0);
        slot.entry.store(0);
        member.child.reset();
        const bool was_ready = slot.ready.load() != 0;
        const bool finished_some =
            board_->logs()[slot_index].recorded.load() != member.records_before;
        const bool lived = was_ready && monotonic_now() - member.started > 1'000'000'000;
        if (held_a_chunk || finished_some || lived) {
            useless_starts_ = 0;
        } else {
            note_useless_start(was_ready ? "before they take a task" : "before they are ready",
                               end.exitcode);
        }
    }

    [[gnu::cold]] void free_everything() noexcept {
        if (board_ == nullptr) return;
        entries_.clear();
        if (const Offset failure = board_->failure.load()) destroy_payload(heap().at(failure));
        deallocate(board_);
    }

    const SupervisorOptions options_;
    const std::uint32_t owner_depth_ = fork_depth();
    Descriptor wake_{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")};
    PoolBoard* board_ = nullptr;
    Courier courier_;

    mutable LocalMutex mutex_;  // guards what follows
    std::unique_ptr<Crew> crew_;
    EntryList entries_;
    Settlement settlement_;
    TimeLimit time_limit_;
    PendingList<PendingBatch> pending_;
    std::uint64_t last_serial_ = 0;
    std::atomic<bool> closed_{false};
    StreamRegistry streams_;
    std::exception_ptr broken_;
    std::uint32_t useless_starts_ = 0;  // in a row
    int failed_starts_ = 0;             // in a row
    bool missing_workers_ = false;
    bool ticking_ = false;  // whether the watching thread looks for slow tasks

    std::mutex join_mutex_;
    std::unique_ptr<std::thread> thread_;
};

}  // namespace multiprocessing::detail
