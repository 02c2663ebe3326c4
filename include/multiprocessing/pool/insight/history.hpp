// multiprocessing/pool/insight/history.hpp
//
// What the owner of a pool remembers for its statistics and its report: when the pool began, which
// function each call was of, and which workers were lost. The workers' own part is in their logs
// (worker_log.hpp). Floor 5. Start at History. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <string>
#include <utility>
#include <vector>

namespace multiprocessing {

/// A worker that died while it ran a task.
struct WorkerLoss {
    double when = 0;              ///< seconds since the pool was made
    std::uint32_t worker = 0;     ///< its place in PoolStats::workers
    pid_t pid = 0;                ///< of the worker
    int exitcode = 0;             ///< its status; negative: the signal that killed it
    bool is_tried_again = false;  ///< whether the item is tried again; else this is its error
    std::string what;             ///< what happened, as WorkerLost or TimeoutError tells it

    friend std::string text_of(const WorkerLoss& loss);
};

namespace detail {

/// Which function a call is of.
struct CallName {
    std::string function;    // empty: not known
    bool is_stream = false;  // whether the call is a part of a stream
};

/// Where a worker of a pool of nodes is.
struct WorkerPlace {
    int rank = 0;
    std::string host;
    std::uint64_t memory = 0;  // bytes of its own: only its node can find out

    /// Returns e.g. "rank 3, host".
    [[nodiscard]] std::string text() const { return "rank " + std::to_string(rank) + ", " + host; }
};

/// What a pool remembers. The pool's owner guards it with a lock; a copy is a snapshot.
class History {
  public:
    static constexpr std::size_t most_losses = 64;
    static constexpr std::size_t most_runs = 512;

    History();
    /// Makes one that remembers nothing but when the pool began.
    explicit History(std::uint64_t begin) : begin_(begin) {}

    /// Notes a call. @param mark see function_mark
    void note_call(std::uint64_t serial, std::uint64_t mark, bool is_stream) noexcept {
        if (mark != last_mark_ || is_stream != last_is_stream_) {
            note_other_function(serial, mark, is_stream);
        }
    }
    /// Notes that a worker died in a task. @param error what its task gets, or would get if it were
    /// not tried again
    [[gnu::cold]] void note_loss(WorkerLoss loss, const std::exception_ptr& error) noexcept;
    /// Notes which process a worker is at the moment; 0: none.
    void note_present(std::uint32_t worker, pid_t pid);
    [[nodiscard]] pid_t present_pid(std::uint32_t worker) const noexcept {
        return worker < present_.size() ? present_[worker] : 0;
    }

    /// Returns a copy that knows of the calls, but of no worker and no loss.
    [[nodiscard]] History of_calls() const {
        History copy = *this;
        copy.lost_ = copy.retries_ = 0;
        copy.losses_.clear();
        copy.present_.clear();
        return copy;
    }
    /// Notes where the next worker is, in the order of the workers.
    void note_place(WorkerPlace place) { places_.push_back(std::move(place)); }
    /// Returns where a worker is; null in a pool of this machine.
    [[nodiscard]] const WorkerPlace* place_of(std::uint32_t worker) const noexcept {
        return worker < places_.size() ? &places_[worker] : nullptr;
    }
    /// Counts what another pool remembers as well. @param losses the latest ones, told by this
    /// pool's clock and workers
    [[gnu::cold]] void add(std::uint64_t lost, std::uint64_t retries,
                           const std::vector<WorkerLoss>& losses);
    /// Counts that tasks are tried again.
    void note_retries(std::uint64_t retries) noexcept { retries_ += retries; }

    /// Returns the number of the run of calls that the call belongs to, 0 when it is not
    /// remembered. Calls of one run have the same name.
    /// @param serial its low bits
    [[nodiscard]] std::uint64_t run_of(std::uint32_t serial) const noexcept;
    /// Returns which function the calls of a run are of.
    [[nodiscard]] CallName name_of_run(std::uint64_t run) const;

    [[nodiscard]] std::uint64_t begin() const noexcept { return begin_; }
    [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }
    [[nodiscard]] std::uint64_t retries() const noexcept { return retries_; }
    /// Returns the latest losses, the oldest first.
    [[nodiscard]] const std::list<WorkerLoss>& losses() const noexcept { return losses_; }

  private:
    /// Calls in a row of the same function. The next run ends it.
    struct Run {
        std::uint64_t first;  // serial
        std::uint64_t mark;
        bool is_stream;
    };

    [[gnu::cold]] void note_other_function(std::uint64_t serial, std::uint64_t mark,
                                           bool is_stream) noexcept;

    std::uint64_t begin_;  // nanoseconds on the monotonic clock
    std::uint64_t last_mark_ = 0;
    bool last_is_stream_ = false;
    std::vector<Run> runs_;        // a ring of most_runs
    std::uint64_t run_count_ = 0;  // ever
    std::uint64_t lost_ = 0;
    std::uint64_t retries_ = 0;
    std::list<WorkerLoss> losses_;
    std::vector<pid_t> present_;       // of a snapshot
    std::vector<WorkerPlace> places_;  // of a snapshot
};

}  // namespace detail
}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/insight/history.ipp"
#endif
