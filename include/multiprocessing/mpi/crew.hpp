// multiprocessing/mpi/crew.hpp
//
// The nodes of one pool, and its calls, at rank 0: what a Supervisor is to a pool of processes. It
// cuts the calls into parts, decides which node gets which, and settles what a lost node has left.
// Floor 9. Start at NodeCrew::submit, NodeCrew::hand_out and NodeCrew::take_results.
//
// A call is a batch (pool/board/board.hpp) whose chunks no worker of this machine takes. The crew
// marks a chunk as taken by the node that it is sent to, and as finished when its results are
// there. So everything that waits for a batch or reads it is as in any pool.
//
// A node holds a number of chunks in advance for each of its workers. As soon as it holds fewer, it
// gets a part of the first call that waits: a quarter of its share of the rest, so that the parts
// shrink towards the end, and slow nodes get fewer. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/mpi/desk.hpp"
#include "multiprocessing/mpi/engine.hpp"
#include "multiprocessing/mpi/log_questions.hpp"
#include "multiprocessing/pool/calls/courier.hpp"
#include "multiprocessing/pool/calls/stream_registry.hpp"
#include "multiprocessing/pool/insight/history.hpp"

namespace multiprocessing::detail {

/// A pool's nodes and calls. What takes a Desk's lock says so; the rest is for its holder.
class NodeCrew final : public NodeEngine,
                       public BatchCanceller,
                       public std::enable_shared_from_this<NodeCrew> {
  public:
    /// Opens a pool on all nodes and waits until each has answered. It takes the lock.
    /// @throws what a node has thrown; BrokenProcessPool when no node is left; then there is no
    ///         pool on any node
    static std::shared_ptr<NodeCrew> open(const std::shared_ptr<Desk>& desk,
                                          const mpi::PoolOptions& options,
                                          std::span<const std::byte> initializer);

    /// For open.
    NodeCrew(std::shared_ptr<Desk> desk, const mpi::PoolOptions& options);

    // For the threads of the program. All of these take the lock.

    std::shared_ptr<PendingBatch> submit(BatchOwner batch, const PlainSizes& sizes,
                                         const SubmitOptions& how) override;
    void forget(const std::shared_ptr<PendingBatch>&) noexcept override {}
    /// A chunk that was sent to a node counts as begun.
    bool cancel(PendingBatch& call, bool kill_running) override;
    void check_running() const override;
    void add_stream(const std::shared_ptr<StreamFeed>& feed) override;
    void close() override;
    void terminate() override;
    void join() override;
    void end() override;
    void finish() override;
    void cancel_untaken() override;
    void resize(std::uint32_t workers) override;
    /// A node that is lost, or is lost meanwhile, tells nothing.
    GatheredLogs gather(WhichRecords which) override;
    [[nodiscard]] std::uint32_t worker_count() const noexcept override;
    [[nodiscard]] const char* state_name() const noexcept override;
    [[nodiscard]] Courier& courier() noexcept override { return courier_; }
    [[nodiscard]] Arrivals arrivals() const noexcept override { return {&arrivals_, &listeners_}; }
    [[nodiscard]] std::uint32_t withdrawals() const noexcept override {
        return withdrawals_.load();
    }
    [[nodiscard]] std::vector<mpi::Node> nodes() const override;

    // For the master's thread, which holds the lock.

    /// Sends parts to nodes that have too little to do.
    void hand_out(Mailbox& mailbox);
    void take_letter(const ReceivedLetter& letter);
    /// Settles what a node has left.
    void lose(int rank);
    /// Ends all calls with an error; null: CancelledError. The nodes' pools are ended.
    void break_off(const std::exception_ptr& error);
    /// Waits for no node any more: the thread that talks with them has ended.
    void let_nodes_go();
    /// Says that the pool's work is to be finished when the program ends.
    void finish_at_exit() noexcept { finishes_at_exit_.store(true); }
    [[nodiscard]] bool finishes_at_exit() const noexcept { return finishes_at_exit_.load(); }
    /// Returns after how much silence a node is lost, in nanoseconds.
    [[nodiscard]] std::uint64_t lost_after() const noexcept {
        return static_cast<std::uint64_t>(options_.lost_after.nanoseconds().count());
    }

  private:
    struct Work {
        std::shared_ptr<PendingBatch> call;
        PlainSizes sizes;
        PartWish wish;
        std::deque<ChunkRange> waiting;  // chunks that no node has

        [[nodiscard]] std::uint64_t waiting_chunks() const noexcept;
    };
    struct Part {
        std::shared_ptr<Work> work;
        ChunkRange range;
        std::uint32_t unfinished;  // chunks
        int rank;
    };
    /// A node as this pool sees it.
    struct Seat {
        enum Phase : std::uint8_t { opening, in_use, ended } phase = ended;
        int processes = 0;
        std::uint64_t held = 0;  // chunks that are not finished
        bool remembers = false;  // whether the node can be asked what its workers have done
    };
    /// Higher priorities first, then in the order of the calls.
    using Place = std::pair<std::int64_t, std::uint64_t>;

    [[nodiscard]] bool is_owner() const noexcept { return desk_->is_owner(); }
    void check_owner() const;
    void check_running_locked(bool of_stream) const;
    void post(int rank, LetterKind kind, std::uint64_t number, bool flag);

    [[nodiscard]] int freest_node() const noexcept;
    [[nodiscard]] ChunkRange take_range(Work& work, int rank);
    void send_part(Mailbox& mailbox, const std::shared_ptr<Work>& work, int rank);
    void list(const std::shared_ptr<Work>& work);
    void unlist(const Work& work) noexcept;
    [[nodiscard]] static Place place_of(const Work& work) noexcept;

    void note_opened(int rank, InputArchive& archive);
    void take_results(const ReceivedLetter& letter);
    void take_refusal(const ReceivedLetter& letter);
    void finish_chunk_of(Part& part, std::uint32_t chunk);
    void settle_lost_chunk(Part& part, std::uint32_t chunk);
    void note_progress(Work& work);
    void stop_waiting_for(int rank);
    void note_withdrawn() noexcept;
    void leave_for_good();
    void give_up(Work& work, const std::exception_ptr& error);
    void end_if_done();
    void end_on_nodes(bool at_once);
    [[nodiscard]] bool has_open_seats() const noexcept;
    [[nodiscard]] std::exception_ptr loss_of(int rank, const LostTask& task,
                                             const std::string& task_text) const;
    void feed_streams();
    void leave(bool deliver_here);

    const std::shared_ptr<Desk> desk_;
    const mpi::PoolOptions options_;
    mutable FutexWord arrivals_{0};
    mutable std::atomic<std::uint32_t> listeners_{0};
    std::atomic<std::uint32_t> withdrawals_{0};
    Courier courier_;
    std::atomic<std::uint32_t> workers_{0};  // of the nodes that are not lost
    std::atomic<bool> closed_{false};
    std::atomic<bool> terminated_{false};
    std::atomic<bool> finishes_at_exit_{false};

    // Under the desk's lock.
    std::uint64_t number_ = 0;  // of the pool
    std::vector<Seat> seats_;   // by rank
    std::uint64_t last_serial_ = 0;
    std::uint64_t last_part_ = 0;
    std::map<std::uint64_t, std::shared_ptr<Work>> works_;  // by serial: calls that are not over
    std::map<Place, std::shared_ptr<Work>> waiting_;        // those with chunks that no node has
    std::map<std::uint64_t, Part> parts_;
    StreamRegistry streams_;
    std::exception_ptr broken_;
    std::exception_ptr opening_error_;
    bool ending_ = false;      // the nodes were told
    bool disordered_ = false;  // calls that were begun wait again
    History history_;
    LogQuestions questions_;
};

}  // namespace multiprocessing::detail

#include "multiprocessing/mpi/crew.ipp"
