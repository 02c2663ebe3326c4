// multiprocessing/mpi/master.hpp
//
// The thread of rank 0 that has the mailbox. It sends what the pools want to send, takes what the
// nodes send, and watches whether they live. MPI itself says nothing of a rank that is gone, so
// each node sends a beat when it has nothing else to say; a node that is silent for too long is
// lost. Floor 9. Start at Master::run. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "multiprocessing/mpi/crew.hpp"
#include "multiprocessing/mpi/desk.hpp"
#include "multiprocessing/mpi/mailbox.hpp"
#include "multiprocessing/pool/calls/pool_thread.hpp"

namespace multiprocessing::detail {

/// The master of a program's nodes.
class Master : public std::enable_shared_from_this<Master> {
  public:
    Master(MPI_Comm communicator, int ranks);

    /// Starts the thread, and waits until each node has said which program it runs.
    /// @throws RuntimeError when one of them runs another build, or says nothing
    void start();

    /// Ends all pools and lets the nodes go; then the thread ends.
    /// @returns whether all ranks are there, so that MPI_Finalize will return
    bool finish();

    [[nodiscard]] const std::shared_ptr<Desk>& desk() const noexcept { return desk_; }

  private:
    using Crews = std::vector<std::shared_ptr<NodeCrew>>;

    void run();
    bool step();
    void rest(std::uint32_t seen);
    void receive(const ReceivedLetter& letter);
    void take_hello(int from, std::span<const std::byte> content);
    bool send_outgoing();
    void beat(std::uint64_t now);
    void look_for_losses(std::uint64_t now);
    void lose(int rank);
    [[nodiscard]] bool is_done() const;
    [[nodiscard]] Crews crews() const;

    const std::shared_ptr<Desk> desk_ = std::make_shared<Desk>();
    Mailbox mailbox_;
    Patience patience_;
    PoolThread thread_;
    std::exception_ptr refusal_;   // under the desk's lock
    std::uint64_t last_step_ = 0;  // nanoseconds on the monotonic clock, as what follows
    std::uint64_t last_beat_ = 0;
};

/// What a node says of itself in its first letter.
std::string program_text();

}  // namespace multiprocessing::detail

#include "multiprocessing/mpi/master.ipp"
