// multiprocessing/mpi/mailbox.hpp
//
// Letters between ranks. This is the only part that sends and receives through MPI, and one thread
// of a rank has the rank's mailbox. No call of it blocks: two ranks that both wait in MPI_Send for
// the other one to receive would wait for ever. Floor 9. Start at Mailbox::poll.
//
// A letter is a head and a content. A small one is one MPI message. Of a larger one the head goes
// alone, and the content follows in pieces, under a tag of their own, because the count of an MPI
// message is an int. Messages of one sender and tag keep their order, so the pieces need no
// numbers. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "multiprocessing/mpi/library.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// What a letter says. The content of each is told in node.ipp and crew.ipp, where it is written.
enum class LetterKind : std::uint32_t {
    hello,     // node: which program it runs, and where
    beat,      // both: the sender lives
    open,      // master: start a pool
    opened,    // node: how many processes it has, or what was thrown
    part,      // master: run these chunks
    results,   // node: what became of some chunks of a part
    refused,   // node: a part cannot be run; what was thrown
    cancel,    // master: give a part up
    broken,    // node: the pool is broken; the error
    end,       // master: end a pool
    ended,     // node: the pool has ended
    resize,    // master: another number of workers
    ask,       // master: what have the workers written down
    told,      // node: this
    forget,    // master: nobody asks of an ended pool any more
    finish,    // master: the program ends
    finished,  // node: the last letter
};

/// What a letter begins with.
struct LetterHead {
    std::uint32_t magic;   //  0
    LetterKind kind;       //  4
    std::uint64_t pool;    //  8
    std::uint64_t number;  // 16  of the part
    std::uint64_t size;    // 24  of the content, in bytes
};
static_assert(sizeof(LetterHead) == 32);

/// A letter to be sent.
class Letter {
  public:
    explicit Letter(LetterKind kind, std::uint64_t pool = 0, std::uint64_t number = 0);

    /// Returns where the content is written.
    [[nodiscard]] OutputArchive& content() noexcept { return *archive_; }

    /// Returns the head and the content. Nothing may be written any more.
    [[nodiscard]] std::span<const std::byte> seal() noexcept;

  private:
    std::unique_ptr<OutputArchive> archive_;
};

/// A letter that has come.
struct ReceivedLetter {
    int from;
    LetterHead head;
    std::span<const std::byte> content;
};

/// The letters of a rank.
class Mailbox {
  public:
    using Receive = std::function<void(const ReceivedLetter&)>;

    /// @param ranks how many there are
    Mailbox(MPI_Comm communicator, int ranks);
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    /// Begins to send a letter.
    void send(int to, Letter letter);

    /// Goes on with everything that is under way, and calls `receive` for each letter that is
    /// complete: those of one sender in their order.
    /// @returns whether anything has moved
    bool poll(const Receive& receive);

    /// Goes on with what is being sent, and no more: for within `receive` and between two polls.
    void push() { (void)collect_sent(); }

    /// Returns whether all that was sent to ranks which are not forgotten has left.
    [[nodiscard]] bool is_empty() const noexcept;

    /// Has nothing more to do with a rank, which is gone. What was on its way to it stays in
    /// memory: MPI may still read it.
    void forget(int rank);

    /// Returns when anything has come from a rank, be it a piece of a large letter, or a letter
    /// that waits behind one of which pieces are still to come; in nanoseconds on the monotonic
    /// clock.
    [[nodiscard]] std::uint64_t last_heard(int rank) const noexcept {
        return peers_[static_cast<std::size_t>(rank)].last_heard;
    }

    /// Returns the ranks of which MPI has said that it cannot reach them.
    [[nodiscard]] const std::set<int>& unreachable() const noexcept { return unreachable_; }

  private:
    struct Outgoing {
        Letter letter;
        std::vector<MPI_Request> requests;
    };
    struct Incoming {
        std::unique_ptr<std::byte[]> letter;  // the head, and the content if it is small
        MPI_Request request = MPI_REQUEST_NULL;
        bool has_head = false;
        LetterHead head{};
        std::unique_ptr<std::byte[]> pieces;
        std::uint64_t received = 0;  // bytes of the pieces
        std::uint64_t awaited = 0;   // bytes of the piece that is to come
    };
    struct Peer {
        std::list<Outgoing> outgoing;
        std::deque<Incoming> incoming;
        std::uint64_t last_heard = 0;
        bool forgotten = false;
    };

    void post(Outgoing& outgoing, int to, std::span<const std::byte> bytes, int tag);
    bool collect_sent();
    bool accept_new();
    bool go_on_with(int from, const Receive& receive);
    [[nodiscard]] bool is_complete(Incoming& incoming, int from);
    [[nodiscard]] bool has_come(MPI_Request& request, int from);
    void deliver(Incoming& incoming, int from, const Receive& receive);

    const MPI_Comm communicator_;
    std::vector<Peer> peers_;  // by rank
    std::set<int> sending_to_;
    std::set<int> receiving_from_;
    std::set<int> unreachable_;
};

/// Returns how long a node waits between two letters with results of one part, in nanoseconds. Rank
/// 0 can take some ten thousand letters a second, so the more nodes there are, the fewer each
/// sends.
[[nodiscard]] constexpr std::uint64_t between_results(int ranks) noexcept {
    return (std::max)(std::uint64_t{300'000}, static_cast<std::uint64_t>(ranks) * 150'000);
}

/// How long a thread that polls a mailbox rests between two looks: not at all right after there was
/// something, then an eighth of the time since. A rank that blocks in MPI instead takes a whole
/// core.
class Patience {
  public:
    /// Has the rests of this thread end on time. Linux adds up to 50 µs to each wait of a thread,
    /// unless told otherwise, which is more than the shortest rests take.
    static void be_exact() noexcept;

    void note_work() noexcept;
    /// Returns how long to rest, in nanoseconds; 0: look again at once.
    [[nodiscard]] std::uint64_t next_rest() const noexcept;

  private:
    static constexpr std::uint64_t spin_time = 50'000;  // nanoseconds, as what follows
    static constexpr std::uint64_t shortest_rest = 20'000;
    static constexpr std::uint64_t longest_rest = 1'000'000;

    std::uint64_t last_work_ = 0;
};

}  // namespace multiprocessing::detail

#include "multiprocessing/mpi/mailbox.ipp"
