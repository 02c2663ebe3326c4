// multiprocessing/pool/owner/supervisor.hpp
//
// The owner's side of a pool of processes: takes the calls, hands them to the workers, takes them
// back, and ends the pool. Mirrors CPython Lib/multiprocessing/pool.py, Pool, but has no task and
// result threads, because workers and callers meet in the heap. Floor 5. Start at
// Supervisor::submit.
//
// Three threads are the pool's own: one watches the workers (watcher.hpp), one starts them
// (recruiter.hpp) and one runs callbacks (courier.hpp). The last two are started when they are
// needed. Each of the three may be the one that ends the pool, and each keeps this object alive.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "multiprocessing/pool/calls/call_home.hpp"
#include "multiprocessing/pool/calls/pool_thread.hpp"
#include "multiprocessing/pool/calls/stream_registry.hpp"
#include "multiprocessing/pool/calls/submit_options.hpp"
#include "multiprocessing/pool/owner/watcher.hpp"
#include "multiprocessing/pool/owner/workplace.hpp"

namespace multiprocessing::detail {

/// What becomes of a pool's other callbacks when one of them ends the pool and cannot wait for
/// them: they run within that one, or after it.
enum class OtherCallbacks { within, after };

/// The workers of a pool and their work.
class Supervisor final : public std::enable_shared_from_this<Supervisor>,
                         public CallHome,
                         public BatchCanceller {
  public:
    /// Makes a pool and starts its workers.
    /// @throws what starting processes throws; then no worker is left
    [[gnu::cold]] static std::shared_ptr<Supervisor> make(const SupervisorOptions& options,
                                                          StartWorker start,
                                                          std::shared_ptr<Target> init);

    /// For make.
    [[gnu::cold]] Supervisor(const SupervisorOptions& options, std::unique_ptr<Crew> crew);
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    /// Ends the pool, if this process is its owner.
    [[gnu::cold]] void end(OtherCallbacks others = OtherCallbacks::within);

    /// Lets the pool finish what there is and ends it, if this process is its owner.
    [[gnu::cold]] void finish(OtherCallbacks others = OtherCallbacks::within);

    /// Adds a batch to the work. @throws ValueError unless the pool is running
    [[gnu::hot]] std::shared_ptr<PendingBatch> submit(BatchOwner batch,
                                                      const SubmitOptions& how = {});

    /// Notes that the caller has its results.
    void forget(const std::shared_ptr<PendingBatch>& pending);

    [[gnu::cold]] bool cancel(PendingBatch& batch, bool kill_running) override;

    /// Takes back what no worker has begun, and the input of streams that nobody has read.
    [[gnu::cold]] void cancel_untaken();

    /// @throws ValueError unless the pool is running; BrokenProcessPool
    void check_running() const;

    /// Changes the number of workers. @throws ValueError unless the pool is running
    [[gnu::cold]] void resize(std::uint32_t workers);

    /// Has each worker make a call as the last thing. It replaces the one before.
    /// @throws ValueError unless the pool is running
    [[gnu::cold]] void set_on_exit(const Target& call);

    /// Takes no more calls. The workers leave when everything is done.
    [[gnu::cold]] void close();

    /// Keeps the workers for a stream until it has given all its input.
    [[gnu::cold]] void add_stream(const std::shared_ptr<StreamFeed>& feed);

    /// Ends the workers soon, whatever they do, and the batches with CancelledError.
    [[gnu::cold]] void terminate();

    /// Does the same as terminate, and waits for the workers' end; in a callback, not for the other
    /// callbacks.
    [[gnu::cold]] void terminate_and_wait();

    /// Waits until the last worker has ended, and the last callback has run.
    /// @throws ValueError while the pool is running; RuntimeError in a callback
    [[gnu::cold]] void join();

    /// Returns whether this process made the pool, and is not a fork of that one.
    [[nodiscard]] bool is_owner() const noexcept { return place_.is_owner(); }
    /// Returns what Python calls the pool's state. It takes no lock: it is for printing.
    [[nodiscard]] const char* state_name() const noexcept;
    [[nodiscard]] std::uint32_t worker_count() const noexcept { return place_.roster.size(); }
    [[nodiscard]] PoolBoard& board() const noexcept { return *place_.board; }
    [[nodiscard]] Courier& courier() noexcept override { return place_.courier; }
    /// Returns what the owner remembers; in a forked child nothing.
    [[nodiscard, gnu::cold]] History history() const;
    /// Waits until the workers have written down the chunks whose results are there. That is a
    /// moment later; but it may be long where a worker has no core to run on, so this gives up.
    [[gnu::cold]] void wait_for_records() const;
    [[nodiscard]] Arrivals arrivals() const noexcept override { return place_.arrivals(); }
    [[nodiscard]] std::uint32_t withdrawals() const noexcept override {
        return place_.withdrawals.load();
    }

  private:
    [[gnu::cold]] void open();
    void check_owner() const;
    [[gnu::hot]] void check_running_locked(const SubmitOptions& how) const;
    [[gnu::hot]] EntryList& list(const std::shared_ptr<PendingBatch>& pending,
                                 const SubmitOptions& how);
    [[gnu::cold]] void come_in(std::unique_lock<LocalMutex>& lock, const SubmitOptions& how,
                               const std::shared_ptr<PendingBatch>& pending);
    [[gnu::cold]] void let_workers_leave();
    [[gnu::cold]] void feed_streams();
    [[gnu::cold]] void leave(OtherCallbacks others);

    Workplace place_;
    Watcher watcher_;
    PoolThread watching_;

    // Under the place's lock.
    std::uint64_t last_serial_ = 0;
    StreamRegistry streams_;
    std::atomic<bool> closed_{false};
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/supervisor.ipp"
#endif
