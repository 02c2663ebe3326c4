// multiprocessing/pool/supervisor.hpp
//
// The owner's side of a pool: starts the workers, watches them from a thread, finds out what a dead
// one was doing, replaces it, and keeps the list of batches. Mirrors the handler threads of CPython
// Lib/multiprocessing/pool.py, Pool; without its task and result threads, since workers and callers
// meet in the heap. Floor 5. Start at Supervisor::submit and Supervisor::watch.
// SPDX-License-Identifier: MIT
#pragma once

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "multiprocessing/pool/batch.hpp"
#include "multiprocessing/pool/board.hpp"
#include "multiprocessing/pool/pending_batch.hpp"
#include "multiprocessing/pool/worker.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing::detail {

/// What the supervisor must know of a pool.
struct SupervisorOptions {
    std::uint32_t workers;
    std::uint32_t max_tasks;  // 0: no limit
    std::uint32_t retries;
};

/// Starts a worker; knows the start method.
using StartWorker =
    std::function<std::shared_ptr<Child>(const WorkerOrders&, std::shared_ptr<Target>)>;

/// The workers of a pool and their work.
class Supervisor {
  public:
    Supervisor(const SupervisorOptions& options, StartWorker start, std::shared_ptr<Target> init)
        : options_(options), start_(std::move(start)), initializer_(std::move(init)) {
        sigset_t all;
        ::sigfillset(&all);
        // The thread is to get none of the program's signals, and starts with this thread's mask.
        ::pthread_sigmask(SIG_SETMASK, &all, &owner_mask_);
        try {
            make_board();
            workers_.resize(options_.workers);
            for (std::uint32_t slot = 0; slot < options_.workers; ++slot) start_worker(slot);
            thread_ = std::make_unique<std::thread>([this] { watch(); });
        } catch (...) {
            for (const Worker& worker : workers_) end_worker(worker);
            free_everything();
            ::pthread_sigmask(SIG_SETMASK, &owner_mask_, nullptr);
            throw;
        }
        ::pthread_sigmask(SIG_SETMASK, &owner_mask_, nullptr);
    }

    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    ~Supervisor() {
        if (!is_owner()) {
            // A forked child's copy: workers, thread and board are its parent's.
            (void)thread_.release();
            return;
        }
        terminate();
        join();
        free_everything();
    }

    /// Adds a batch to the work. @throws ValueError unless the pool is running
    std::shared_ptr<PendingBatch> submit(BatchOwner batch) {
        auto pending = std::make_shared<PendingBatch>(std::move(batch));
        check_owner();
        const std::lock_guard guard(mutex_);
        check_running_locked();
        (*pending)->serial = ++last_serial_;
        (*pending)->commit_each = options_.retries > 0 ? 1 : 0;
        pending_.push_back(pending);
        append((*pending)->whole, pending);
        announce_work(board(), (*pending)->chunk_count());
        free_passed_entries();
        return pending;
    }

    /// Returns how long a caller should look for its results before it sleeps: not when the workers
    /// need its core for that.
    [[nodiscard]] std::uint32_t spins_for(const Batch& batch) const noexcept {
        return batch.chunk_count() == 1 ? board().spins : 0;
    }

    /// Takes note that the caller has its results.
    void forget(const std::shared_ptr<PendingBatch>& pending) {
        const std::lock_guard guard(mutex_);
        std::erase(pending_, pending);
    }

    /// @throws ValueError unless the pool is running; BrokenProcessPool
    void check_running() const {
        check_owner();
        const std::lock_guard guard(mutex_);
        check_running_locked();
    }

    void close() {
        check_owner();
        const std::lock_guard guard(mutex_);
        std::uint32_t running = PoolBoard::running;
        if (board().phase.compare_exchange_strong(running, PoolBoard::closing)) stir();
    }

    /// Ends the workers whatever they do, and the batches with CancelledError.
    void terminate() {
        check_owner();
        const std::lock_guard guard(mutex_);
        if (board().phase.exchange(PoolBoard::terminated) == PoolBoard::terminated) return;
        stir();
        give_up_all(std::make_exception_ptr(CancelledError()));
    }

    /// Waits until the last worker has ended. @throws ValueError while the pool is running
    void join() {
        check_owner();
        if (board().phase.load() == PoolBoard::running) throw ValueError("Pool is still running");
        const std::lock_guard guard(join_mutex_);
        if (thread_->joinable()) thread_->join();
    }

    [[nodiscard]] std::uint32_t worker_count() const noexcept { return options_.workers; }

  private:
    struct Worker {
        std::shared_ptr<Child> child;  // null: none at the moment
        std::uint32_t ticket = 0;
    };

    static constexpr std::chrono::milliseconds termination_grace{200};
    static constexpr std::chrono::milliseconds restart_delay{20};
    static constexpr int most_failed_starts = 100;
    static constexpr std::uint32_t spins_before_sleep = 2000;  // some tens of microseconds

    PoolBoard& board() const noexcept { return *board_; }

    [[nodiscard]] bool is_owner() const noexcept { return fork_depth() == owner_depth_; }
    /// A pool that came to a child by fork is not the child's: its lock may be locked for ever
    /// there.
    void check_owner() const {
        if (!is_owner()) throw ValueError("Pool not running in this process: it is another's");
    }
    void check_running_locked() const {
        if (broken_) std::rethrow_exception(broken_);
        if (board().phase.load() != PoolBoard::running) throw ValueError("Pool not running");
    }

    void make_board() {
        void* const block =
            allocate_zeroed(sizeof(PoolBoard) + options_.workers * sizeof(WorkerSlot));
        board_ = static_cast<PoolBoard*>(block);
        board_->worker_count = options_.workers;
        board_->max_tasks = options_.max_tasks;
        // More spinners than cores would only take them from each other.
        const bool room = static_cast<int>(options_.workers) <= usable_cpu_count();
        board_->spins = spinning_helps() && room ? spins_before_sleep : 0;
        // The list is never empty, so that adding to it and taking from it do not meet.
        Entry* const first = static_cast<Entry*>(allocate_zeroed(sizeof(Entry)));
        last_ = first;
        board_->head.store(heap().offset_of(first));
        entries_.push_back({first, nullptr});
    }

    // --- the list of entries ---

    struct Listed {
        Entry* entry;
        std::shared_ptr<PendingBatch> pending;  // whose it is; none for the first
    };

    void append(Entry& entry, const std::shared_ptr<PendingBatch>& pending) {
        entries_.push_back({&entry, pending});
        // seq_cst, so that a worker that read the number of work before reads the entry after it.
        std::exchange(last_, &entry)->next.store(heap().offset_of(&entry));
    }

    /// Frees the entries that the head has passed and no worker looks at.
    void free_passed_entries() {
        if (entries_.size() < 2 * options_.workers + 8) return;  // a scan frees many at a time
        const Offset head = board().head.load();
        while (heap().offset_of(entries_.front().entry) != head) {
            passed_.push_back(std::move(entries_.front()));
            entries_.pop_front();
        }
        std::erase_if(passed_, [this](Listed& listed) { return free_if_unused(listed); });
    }

    bool free_if_unused(Listed& listed) {
        const Offset offset = heap().offset_of(listed.entry);
        for (std::uint32_t slot = 0; slot < options_.workers; ++slot) {
            if (board().slots()[slot].entry.load() == offset) return false;
        }
        // A batch's own entry lies in its block, which goes with the last owner of `pending`.
        if (!lies_in_batch(listed)) deallocate(listed.entry);
        return true;
    }

    static bool lies_in_batch(const Listed& listed) noexcept {
        return listed.pending && listed.entry == &(*listed.pending)->whole;
    }

    // --- workers ---

    void start_worker(std::uint32_t slot) {
        Worker& worker = workers_[slot];
        worker.ticket = ++last_ticket_ & (UINT32_MAX >> 2);
        board().slots()[slot].ready.store(0);
        const WorkerOrders orders{heap().offset_of(board_), slot, worker.ticket,
                                  to_bits(owner_mask_)};
        worker.child = start_(orders, initializer_);
    }

    static void end_worker(const Worker& worker) {
        if (!worker.child) return;
        worker.child->signal(SIGKILL);
        worker.child->wait(Timeout());
        state().remove(*worker.child);
    }

    /// Without the memory to say what was lost, all has to be.
    void bury_or_break(std::uint32_t slot) {
        try {
            bury(slot);
        } catch (const std::exception& error) {
            break_pool(std::string("a worker was lost, and then: ") + error.what());
        }
    }

    /// Finds out what a worker that has ended was doing, and takes it from there.
    void bury(std::uint32_t slot_index) {
        Worker& worker = workers_[slot_index];
        const int exitcode = worker.child->exitcode().value_or(0);
        const pid_t pid = worker.child->pid();
        state().remove(*worker.child);
        WorkerSlot& slot = board().slots()[slot_index];
        if (const Offset offset = slot.entry.load()) {
            Entry& entry = *heap().at<Entry>(offset);
            if (entry.batch != 0) settle_chunk(entry, slot, worker.ticket, exitcode, pid);
        }
        if (slot.parked.exchange(0) != 0) board().parked.fetch_sub(1);
        slot.entry.store(0);
        worker.child.reset();
        if (slot.ready.load() == 0) note_failed_start(exitcode);
    }

    /// Settles the chunk that a dead worker had taken, if it had: its item is lost, or tried again.
    void settle_chunk(Entry& entry, WorkerSlot& slot, std::uint32_t ticket, int exitcode,
                      pid_t pid) {
        Batch& batch = *heap().at<Batch>(entry.batch);
        const std::uint32_t index = slot.chunk.load();
        Chunk& chunk = batch.chunks()[std::min(index, batch.chunk_count() - 1)];
        if (chunk.state.load() == (ticket << 2 | Chunk::taken)) {
            const std::uint32_t item = std::max(slot.item.load(), chunk.start);
            const std::uint32_t committed = committed_items(chunk);
            if (committed > item) {
                set_start(chunk, committed);  // it died between two items
            } else {
                if (item != chunk.start) set_start(chunk, item);
                if (++chunk.attempts > options_.retries) {
                    lose_item(batch, chunk, index, item, exitcode, pid);
                }
            }
            if (chunk.start >= batch.size_of(index)) {
                chunk.state.store(ticket << 2 | Chunk::finished);
            } else {
                try_again(entry, chunk, index);
            }
        }
        // It may have died after the last store and before it told anybody.
        announce(batch);
    }

    static void set_start(Chunk& chunk, std::uint32_t item) noexcept {
        chunk.start = item;
        chunk.attempts = 0;
    }

    void lose_item(Batch& batch, Chunk& chunk, std::uint32_t index, std::uint32_t item,
                   int exitcode, pid_t pid) {
        const std::uint64_t number = std::uint64_t{index} * batch.chunk_size + item;
        record_error(chunk, item,
                     std::make_exception_ptr(
                         WorkerLost(describe_loss(exitcode, pid, number), exitcode, pid)));
        set_start(chunk, item + 1);
    }

    static std::string describe_loss(int exitcode, pid_t pid, std::uint64_t item) {
        std::string text = "the worker with pid " + std::to_string(pid);
        if (exitcode < 0) {
            const char* const name = ::sigabbrev_np(-exitcode);
            text += " was killed by signal " + std::to_string(-exitcode) + " (SIG" +
                    (name != nullptr ? name : "?") + ")";
        } else {
            text += " exited with status " + std::to_string(exitcode);
        }
        return text + " while it ran item " + std::to_string(item) + " of the call";
    }

    void try_again(const Entry& entry, Chunk& chunk, std::uint32_t index) {
        for (const auto& pending : pending_) {
            if (heap().offset_of(&**pending) != entry.batch) continue;
            Entry* const again = static_cast<Entry*>(allocate_zeroed(sizeof(Entry)));
            again->batch = entry.batch;
            again->cursor.store(index);
            again->end = index + 1;
            chunk.state.store(Chunk::pending, std::memory_order_release);
            append(*again, pending);
            announce_work(board(), 1);
            return;
        }
    }

    // --- what ends a pool ---

    /// Makes workers and the watching thread look at the phase. Under the lock.
    void stir() {
        announce_work(board(), UINT32_MAX);
        const std::uint64_t one = 1;
        (void)!::write(wake_.get(), &one, sizeof one);  // fails only when it is readable anyway
    }

    void give_up_all(const std::exception_ptr& error) {
        for (const auto& pending : pending_) pending->give_up(error);
    }

    /// Notes that a worker ended before it was ready. When none becomes ready any more, starting
    /// others would go on for ever: the pool is of no use.
    void note_failed_start(int exitcode) {
        if (const Offset failure = board().failure.exchange(0)) {
            const PayloadView payload(heap().at(failure));
            InputArchive archive(payload.bytes(), payload.handles());
            break_pool("a process initializer failed: " + archive.read<std::string>());
            destroy_payload(heap().at(failure));
            return;
        }
        const std::uint32_t readied = board().readied.load();
        if (std::exchange(readied_, readied) != readied) failed_starts_ = 0;
        if (++failed_starts_ > 4 * options_.workers + 8) {
            break_pool("the workers end before they are ready, the last one with exit code " +
                       std::to_string(exitcode));
        }
    }

    void break_pool(const std::string& why) {
        if (broken_) return;
        broken_ = std::make_exception_ptr(BrokenProcessPool(why));
        board().phase.store(PoolBoard::terminated);
        give_up_all(broken_);
        stir();
    }

    // --- the watching thread ---

    void watch() {
        for (;;) {
            std::vector<pollfd> ends{{wake_.get(), POLLIN, 0}};
            std::vector<std::uint32_t> slots;
            {
                const std::lock_guard guard(mutex_);
                if (board().phase.load() == PoolBoard::terminated) break;
                replace_workers();
                for (std::uint32_t slot = 0; slot < options_.workers; ++slot) {
                    if (!workers_[slot].child) continue;
                    ends.push_back({workers_[slot].child->sentinel(), POLLIN, 0});
                    slots.push_back(slot);
                }
                // Only closed pools run out of workers; a start that failed is tried again.
                if (slots.empty() && board().phase.load() == PoolBoard::closing &&
                    !has_untaken_chunks()) {
                    break;
                }
            }
            const int delay = missing_workers_ ? static_cast<int>(restart_delay.count()) : -1;
            if (::poll(ends.data(), ends.size(), delay) < 0) continue;  // EINTR; ENOMEM: again
            std::uint64_t count = 0;
            if (ends[0].revents != 0) (void)!::read(wake_.get(), &count, sizeof count);
            const std::lock_guard guard(mutex_);
            for (std::size_t i = 1; i < ends.size(); ++i) {
                if (ends[i].revents != 0) bury_or_break(slots[i - 1]);
            }
        }
        end_workers();
    }

    [[nodiscard]] bool has_untaken_chunks() const {
        return std::any_of(entries_.begin(), entries_.end(), [](const Listed& listed) {
            return listed.entry->cursor.load() < listed.entry->end;
        });
    }

    void replace_workers() {
        missing_workers_ = false;
        // The workers of a closed pool leave when there is nothing to take.
        if (board().phase.load() == PoolBoard::closing && !has_untaken_chunks()) return;
        for (std::uint32_t slot = 0; slot < options_.workers; ++slot) {
            if (workers_[slot].child) continue;
            try {
                start_worker(slot);
                starts_failed_ = 0;
            } catch (const std::exception& error) {
                missing_workers_ = true;
                if (++starts_failed_ > most_failed_starts && !has_workers()) {
                    break_pool(std::string("no worker can be started: ") + error.what());
                }
                return;
            }
        }
    }

    [[nodiscard]] bool has_workers() const {
        return std::any_of(workers_.begin(), workers_.end(),
                           [](const Worker& worker) { return worker.child != nullptr; });
    }

    /// Ends those who are left: idle ones leave by themselves, the others by SIGTERM, or when they
    /// have blocked it or are stopped, by SIGKILL.
    void end_workers() {
        for (const Worker& worker : workers_) {
            if (worker.child) worker.child->signal(SIGTERM);
        }
        const Deadline grace(termination_grace);
        for (Worker& worker : workers_) {
            if (!worker.child) continue;
            if (!worker.child->wait(grace)) worker.child->signal(SIGKILL);
            worker.child->wait(Timeout());
            state().remove(*worker.child);
            worker.child.reset();
        }
    }

    void free_everything() noexcept {
        if (board_ == nullptr) return;
        for (auto* const list : {&passed_, &entries_}) {
            for (const Listed& listed : *list) {
                if (!lies_in_batch(listed)) deallocate(listed.entry);
            }
            list->clear();
        }
        if (const Offset failure = board_->failure.load()) destroy_payload(heap().at(failure));
        deallocate(board_);
    }

    const SupervisorOptions options_;
    const StartWorker start_;
    const std::shared_ptr<Target> initializer_;
    const std::uint32_t owner_depth_ = fork_depth();
    sigset_t owner_mask_;
    Descriptor wake_{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")};
    PoolBoard* board_ = nullptr;

    mutable std::mutex mutex_;  // guards what follows
    Entry* last_ = nullptr;
    std::deque<Listed> entries_;  // from the head on, or a little before
    std::deque<Listed> passed_;
    std::vector<std::shared_ptr<PendingBatch>> pending_;
    std::vector<Worker> workers_;
    std::uint32_t last_ticket_ = 0;
    std::uint64_t last_serial_ = 0;
    std::exception_ptr broken_;
    std::uint32_t failed_starts_ = 0;  // in a row
    std::uint32_t readied_ = 0;        // PoolBoard::readied at the last of them
    int starts_failed_ = 0;
    bool missing_workers_ = false;

    std::mutex join_mutex_;
    std::unique_ptr<std::thread> thread_;
};

}  // namespace multiprocessing::detail
