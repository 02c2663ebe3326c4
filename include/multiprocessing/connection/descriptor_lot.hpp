// multiprocessing/connection/descriptor_lot.hpp
//
// A place where open descriptors wait that travel in memory: in a process's arguments, a queue's
// item, a pool's task, a message in a pipe. The memory holds only a ticket. The descriptor itself
// lies, with the number of the ticket, in a datagram that was sent to the family's own socket and
// not yet received. The reader of the ticket takes the descriptor out. After that it is nowhere
// else, and the end of file is seen when its last holder closes it. Mirrors CPython
// Lib/multiprocessing/resource_sharer.py, without its server. Floor 4. Start at park_descriptor.
//
// A socket gives its datagrams in order. To get at one behind others, a process sends those anew to
// the end, each before it takes it away at the front. So a process that is killed at any moment
// leaves at worst a datagram twice, and the lock abandoned. That tells the next process to look for
// the duplicate. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/synchronize/lock_word.hpp"

namespace multiprocessing::detail {

/// The ticket for a parked descriptor, as messages carry it.
struct ParkedDescriptor : SharedObject {
    std::uint64_t number = 0;              // 24
    std::atomic<std::uint32_t> parked{0};  // 32  0: not yet, or taken out; a kill may leave it 1
    std::uint32_t unused = 0;              // 36

    static constexpr ObjectKind object_kind = ObjectKind::descriptor;

    ParkedDescriptor() noexcept : SharedObject(object_kind) {}

    /// Takes the descriptor out, when the ticket goes with a message that nobody has read.
    void destroy() noexcept;
};
static_assert(sizeof(ParkedDescriptor) == 40);

/// What the processes know of the lot. It is in the heap for as long as the family lives.
struct LotState {
    LockWord lock;                       //  0  guards the datagrams and the rest of this
    std::uint64_t last_number;           //  8  of a ticket, or of a mark
    std::atomic<std::uint64_t> in_hand;  // 16  what the lock's holder is parking or taking, or 0
    std::uint32_t damaged;               // 24  a process died while it held the lock
    std::uint32_t unused;                // 28
};
static_assert(sizeof(LotState) == 32);

/// The lot, locked.
class DescriptorLot {
  public:
    DescriptorLot();
    DescriptorLot(const DescriptorLot&) = delete;
    DescriptorLot& operator=(const DescriptorLot&) = delete;
    ~DescriptorLot();

    /// Puts a copy of `fd` in. @throws std::system_error ENOBUFS when the lot is full
    void park(ParkedDescriptor& ticket, int fd);

    /// Takes the ticket's descriptor out. @returns none when it is not there
    /// @throws std::system_error EMFILE; then it stays
    Descriptor take(ParkedDescriptor& ticket);

    /// Returns a copy of the ticket's descriptor, which stays. @returns none when it is not there
    /// @throws std::system_error EMFILE
    Descriptor copy(ParkedDescriptor& ticket);

  protected:  // the steps: tests kill a process between them
    /// Finds the descriptor of a ticket. @param keep whether it stays in the lot
    Descriptor find(ParkedDescriptor& ticket, bool keep);

    struct Front {
        std::uint64_t number = 0;  // 0: the lot is empty
        Descriptor fd;             // none in a mark
    };

    static LotState& shared_state();
    static int sender();
    static int receiver();

    /// Returns whether only the reserve is left. It is kept for datagrams that move to the end, and
    /// for the marks and duplicates of killed processes.
    static bool is_full();

    [[noreturn, gnu::cold]] static void throw_full();

    static void send(std::uint64_t number, std::span<const int> fds);

    /// Returns a copy of what is at the front. @throws std::system_error EMFILE
    static Front look();

    static void drop_front();

    /// Sends the front to the end, and drops it then: see the top of the file.
    static void move_to_end(const Front& front);

    /// Looks at every datagram once, up to a mark that it puts behind them all. It drops
    /// duplicates, marks, and what a dead process did not get to hand over.
    void repair_if_damaged();

    LotState& state() noexcept { return state_; }

  private:
    LotState& state_;
};

/// Parks a copy of `fd` for the reader of the message that the ticket goes into.
/// @throws std::system_error ENOBUFS, ETOOMANYREFS
/// @par Processes A process that is killed between this call and the sending of the message leaves
/// the descriptor parked until the family ends
template <class Ticket = ParkedDescriptor>  // so that a program without connections compiles no lot
Handle<Ticket> park_descriptor(int fd) {
    auto ticket = make_shared_object<Ticket>();
    // Only messages hold it. No forked process has inherited a right to it, however old it is.
    ticket->set_birth(SharedObject::never_inherited);
    DescriptorLot().park(*ticket, fd);
    return ticket;
}

/// Takes the descriptor out that was parked for a ticket.
/// @param keep whether to take a copy, because the message with the ticket will be read again
/// @throws ProcessError when it was taken before, or `ticket` is something else
Descriptor take_parked_descriptor(const AnyHandle& ticket, bool keep = false);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/descriptor_lot.ipp"
#endif
