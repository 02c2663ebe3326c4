// multiprocessing/mpi/node.hpp
//
// What a rank other than 0 does: it runs the parts that the master sends in pools of its own, and
// sends back what became of them. The thread of the loop runs no task and waits for nothing but the
// next letter or result, so its beats tell that the node lives, whatever its tasks do. Floor 9.
// Start at NodeLoop::run. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/mpi/hosted_pool.hpp"
#include "multiprocessing/mpi/mailbox.hpp"
#include "multiprocessing/mpi/parts.hpp"
#include "multiprocessing/pool/calls/pool_thread.hpp"
#include "multiprocessing/pool/owner/pending_batch.hpp"

namespace multiprocessing::detail {

/// How a node's loop has ended.
enum class NodeEnd {
    finished,    ///< the program ends, and all ranks are there
    after_loss,  ///< the program ends, and a rank is lost: MPI_Finalize would wait for it
    abandoned,   ///< rank 0 or the launcher is gone
};

/// Where rank 0 runs, as it tells the other ranks when they begin.
struct RankZero {
    std::int32_t pid = 0;
    char machine[124] = {};  // boot and namespace of its pids; empty: unknown
};

/// Returns what this process is as rank 0.
RankZero rank_zero_here() noexcept;

/// Returns a pidfd of rank 0, or nothing where it runs on another machine: there its silence alone
/// tells that it is gone.
Descriptor watch_rank_zero(const RankZero& rank_zero) noexcept;

/// A part that a node runs.
class RunningPart {
  public:
    RunningPart(std::shared_ptr<PendingBatch> call, std::uint64_t result_size);

    [[nodiscard]] PendingBatch& call() const noexcept { return *call_; }
    /// Returns whether all of it is told, or will never be.
    [[nodiscard]] bool is_over() const noexcept { return untold_ == 0 || call_->is_given_up(); }
    /// Returns the chunks that are finished and not told yet, and counts them as told.
    /// @param workers of the pool: so many chunks may be under way among finished ones
    [[nodiscard]] std::vector<std::uint32_t> take_finished(std::uint32_t workers);
    [[nodiscard]] std::uint64_t result_size() const noexcept { return result_size_; }
    /// Returns whether it is time to tell of it again, `rest` after the last time: a letter for
    /// each chunk would be many.
    [[nodiscard]] bool is_due(std::uint64_t now, std::uint64_t rest) const noexcept;
    void note_told(std::uint64_t now) noexcept { last_told_ = now; }

  private:
    std::shared_ptr<PendingBatch> call_;
    std::uint64_t result_size_;
    std::vector<bool> told_;
    std::uint32_t first_untold_ = 0;
    std::uint32_t untold_;
    std::uint64_t last_told_ = 0;
};

/// The loop of a node.
class NodeLoop {
  public:
    NodeLoop(MPI_Comm communicator, const RankOf& rank, const RankZero& rank_zero);

    /// Serves the master until the program ends.
    NodeEnd run();

  private:
    struct Hosted {
        std::unique_ptr<HostedPool> pool;
        std::map<std::uint64_t, RunningPart> parts;
        std::uint64_t beat = 0;  // nanoseconds between two signs of life
        bool is_broken = false;
        bool is_ending = false;
        PoolThread ender;  // ends the pool, which may take some time
        std::atomic<bool> has_ended{false};
        bool end_is_told = false;  // only what the workers have done is kept
    };
    using Pools = std::map<std::uint64_t, std::shared_ptr<Hosted>>;

    void say_hello();
    void receive(const ReceivedLetter& letter);
    void open(const ReceivedLetter& letter);
    void take_part(const ReceivedLetter& letter);
    [[nodiscard]] static Letter refusal_of(std::uint64_t pool, std::uint64_t number);
    void cancel(const ReceivedLetter& letter);
    void end(const ReceivedLetter& letter);
    bool tell_results();
    bool tell_results_of(std::uint64_t number, Hosted& hosted);
    void tell_of_part(std::uint64_t pool, std::uint64_t number, Hosted& hosted, RunningPart& part);
    void tell_if_broken(std::uint64_t number, Hosted& hosted, const RunningPart& part);
    bool tell_ended();
    void resize(const ReceivedLetter& letter);
    void tell_logs(const ReceivedLetter& letter);
    void beat(std::uint64_t now);
    /// Returns what is done between the pieces of a long copy.
    [[nodiscard]] Meanwhile sign_of_life();
    void rest(std::uint32_t seen);
    [[nodiscard]] Hosted* busiest() noexcept;
    [[nodiscard]] bool is_abandoned(std::uint64_t now);
    [[nodiscard]] bool is_rank_zero_dead() const noexcept;
    void say_farewell();
    void send(Letter letter);

    Mailbox mailbox_;
    const RankOf rank_;
    const std::string place_;  // for the texts of errors
    const pid_t launcher_;
    const Descriptor rank_zero_;
    Patience patience_;
    Pools pools_;
    std::uint64_t last_step_;  // nanoseconds on the monotonic clock, as what follows
    std::uint64_t last_sent_ = 0;
    std::uint64_t last_heard_;
    bool finishing_ = false;
    bool any_lost_ = false;
};

}  // namespace multiprocessing::detail

#include "multiprocessing/mpi/node.ipp"
