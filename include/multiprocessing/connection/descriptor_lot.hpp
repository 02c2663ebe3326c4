// multiprocessing/connection/descriptor_lot.hpp
//
// Where open descriptors wait that travel in memory: in a process's arguments, a queue's item, a
// pool's task, a message in a pipe. There they are a ticket; the descriptor itself lies, with the
// ticket's number, in a datagram that was sent to the family's own socket and not yet received. Who
// reads the ticket takes the descriptor out, so that it then is nowhere else, and the end of file
// is seen when its last holder closes it. Mirrors CPython
// Lib/multiprocessing/resource_sharer.py, without its server. Floor 4. Start at park_descriptor.
//
// A socket gives its datagrams in order. To get at one behind others, those are sent anew to the
// end, each before it is taken away at the front. So a process killed at any moment leaves at worst
// a datagram twice, and the lock abandoned, which tells the next one to look for it.
// SPDX-License-Identifier: MIT
#pragma once

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/synchronize/lock_word.hpp"

namespace multiprocessing::detail {

/// The ticket for a parked descriptor, as messages carry it.
struct ParkedDescriptor : SharedObject {
    std::uint64_t number = 0;              // 24
    std::atomic<std::uint32_t> parked{0};  // 32  0: not yet, or taken out; a kill may leave it 1
    std::uint32_t unused = 0;              // 36

    static constexpr ObjectKind object_kind = ObjectKind::descriptor;

    ParkedDescriptor() noexcept : SharedObject(object_kind) {}

    /// What happens to the ticket of a message that nobody has read.
    void destroy() noexcept;
};
static_assert(sizeof(ParkedDescriptor) == 40);

/// What the processes know of the lot. In the heap, for as long as the family lives.
struct LotState {
    LockWord lock;                       //  0  guards the datagrams and the rest of this
    std::uint64_t last_number;           //  8  of a ticket, or of a mark
    std::atomic<std::uint64_t> in_hand;  // 16  what the lock's holder is parking or taking, or 0
    std::uint32_t damaged;               // 24  somebody died while he held the lock
    std::uint32_t unused;                // 28
};
static_assert(sizeof(LotState) == 32);

/// The lot, locked.
class DescriptorLot {
  public:
    DescriptorLot() : state_(shared_state()) {
        if (!state_.lock.try_fast() && state_.lock.recover()) state_.damaged = 1;
    }
    DescriptorLot(const DescriptorLot&) = delete;
    DescriptorLot& operator=(const DescriptorLot&) = delete;
    ~DescriptorLot() {
        try {
            state_.lock.release();
        } catch (...) {  // AbandonedError, which the holder's own release cannot meet
        }
    }

    /// Puts a copy of `fd` in. @throws std::system_error ENOBUFS when the lot is full
    void park(ParkedDescriptor& ticket, int fd) {
        repair_if_damaged();
        if (is_full()) throw_full();
        ticket.number = ++state_.last_number;
        const InHand hand(state_, ticket.number);
        send(ticket.number, std::span(&fd, 1));
        ticket.parked.store(1, std::memory_order_relaxed);
    }

    /// Takes the ticket's descriptor out. @returns none when it is not there
    /// @throws std::system_error EMFILE; then it stays
    Descriptor take(ParkedDescriptor& ticket) {
        repair_if_damaged();
        const InHand hand(state_, ticket.number);
        return find(ticket, false);
    }

    /// Returns a copy of the ticket's descriptor, which stays. @returns none when it is not there
    /// @throws std::system_error EMFILE
    Descriptor copy(ParkedDescriptor& ticket) {
        repair_if_damaged();
        return find(ticket, true);
    }

  protected:  // the steps, for tests of what a kill between them leaves
    Descriptor find(ParkedDescriptor& ticket, bool keep) {
        std::uint64_t first_behind = 0;
        for (;;) {
            Front front = look();
            if (front.number == 0 || front.number == first_behind) return {};
            if (front.number == ticket.number) {
                if (keep) return std::move(front.fd);
                drop_front();
                ticket.parked.store(0, std::memory_order_relaxed);
                return std::move(front.fd);
            }
            if (first_behind == 0) first_behind = front.number;
            move_to_end(front);
        }
    }

    struct Front {
        std::uint64_t number = 0;  // 0: the lot is empty
        Descriptor fd;             // none in a mark
    };

    /// Notes which ticket is the holder's: if he dies with the lock held, it is nobody's any more,
    /// for its message is not sent yet, or was received by him.
    class InHand {
      public:
        InHand(LotState& state, std::uint64_t number) noexcept : state_(state) {
            state_.in_hand.store(number, std::memory_order_relaxed);
        }
        InHand(const InHand&) = delete;
        InHand& operator=(const InHand&) = delete;
        ~InHand() { state_.in_hand.store(0, std::memory_order_relaxed); }

      private:
        LotState& state_;
    };

    static constexpr int wanted_room = 8 << 20;  // bytes; of which the system may grant less
    static constexpr int reserved_room = 8 << 10;

    static LotState& shared_state() {
        std::atomic<Offset>& place = heap().descriptor_lot();
        if (const Offset known = place.load(std::memory_order_acquire)) {
            return *heap().at<LotState>(known);
        }
        // All zero is a new lot.
        void* const fresh = allocate_zeroed(sizeof(LotState));
        // Without privilege the second one, up to net.core.wmem_max. It is a wish.
        if (::setsockopt(sender(), SOL_SOCKET, SO_SNDBUFFORCE, &wanted_room, sizeof(int)) != 0) {
            (void)::setsockopt(sender(), SOL_SOCKET, SO_SNDBUF, &wanted_room, sizeof(int));
        }
        Offset known = 0;
        if (place.compare_exchange_strong(known, heap().offset_of(fresh))) {
            return *static_cast<LotState*>(fresh);
        }
        deallocate(fresh);  // another one was faster
        return *heap().at<LotState>(known);
    }

    static int sender() { return heap().mailbox().first.get(); }
    static int receiver() { return heap().mailbox().second.get(); }

    /// Room is kept for datagrams to move to the end, and for marks and duplicates of the killed.
    static bool is_full() {
        int used = 0;
        int room = 0;
        socklen_t size = sizeof(room);
        if (::ioctl(sender(), SIOCOUTQ, &used) != 0 ||
            ::getsockopt(sender(), SOL_SOCKET, SO_SNDBUF, &room, &size) != 0) {
            return false;  // then the kernel refuses the datagram that is too many
        }
        return used + reserved_room > room;
    }

    [[noreturn]] static void throw_full() {
        throw std::system_error(
            ENOBUFS, std::generic_category(),
            "too many connections are on their way in arguments, queues and pipes: let some be "
            "received first");
    }

    static void send(std::uint64_t number, std::span<const int> fds) {
        const auto bytes = std::as_bytes(std::span(&number, 1));
        if (send_with_descriptors(sender(), bytes, fds, MSG_DONTWAIT) >= 0) return;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) throw_full();
        throw_system_error("sendmsg");
    }

    /// Returns a copy of what is at the front. @throws std::system_error EMFILE
    static Front look() {
        Front front;
        const auto bytes = std::as_writable_bytes(std::span(&front.number, 1));
        auto received = receive_with_descriptors(receiver(), bytes, MSG_PEEK | MSG_DONTWAIT);
        if (received.size < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
            throw_system_error("recvmsg");
        }
        if (!received.complete) throw_system_error("recvmsg", EMFILE);
        if (!received.fds.empty()) front.fd = std::move(received.fds.front());
        return front;
    }

    static void drop_front() {
        std::uint64_t number = 0;
        check(retry_on_eintr([&] { return ::recv(receiver(), &number, 8, MSG_DONTWAIT); }), "recv");
    }

    /// In this order: see the top of the file.
    static void move_to_end(const Front& front) {
        const int fd = front.fd.get();
        if (front.fd) send(front.number, std::span(&fd, 1));
        drop_front();
    }

    /// Looks at every datagram once, from here to a mark that is put behind them all; drops the
    /// ones that are there twice, marks, and what a dead process did not get to hand over.
    void repair_if_damaged() {
        if (state_.damaged == 0) return;
        const std::uint64_t orphan = state_.in_hand.load(std::memory_order_relaxed);
        const std::uint64_t mark = ++state_.last_number;
        std::vector<std::uint64_t> seen;
        send(mark, {});
        for (;;) {
            const Front front = look();
            if (front.number == 0) break;
            const bool known = std::find(seen.begin(), seen.end(), front.number) != seen.end();
            if (!front.fd || known || front.number == orphan) {
                drop_front();
                if (front.number == mark) break;
            } else {
                seen.push_back(front.number);
                move_to_end(front);
            }
        }
        state_.in_hand.store(0, std::memory_order_relaxed);
        state_.damaged = 0;
    }

    LotState& state() noexcept { return state_; }

  private:
    LotState& state_;
};

/// Parks a copy of `fd` for whoever reads the message that the ticket goes into.
/// @throws std::system_error ENOBUFS, ETOOMANYREFS
/// @par Processes one that is killed between this and the sending of the message leaves the
/// descriptor parked until the family ends
template <class Ticket = ParkedDescriptor>  // so that who sends no connection compiles no lot
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
inline Descriptor take_parked_descriptor(const AnyHandle& ticket, bool keep = false) {
    if (!ticket || ticket.object()->kind() != ObjectKind::descriptor) {
        throw ProcessError("a received message is damaged: it has no descriptor where it says so");
    }
    auto& parked = static_cast<ParkedDescriptor&>(*ticket.object());
    Descriptor fd = keep ? DescriptorLot().copy(parked) : DescriptorLot().take(parked);
    if (!fd) {
        throw ProcessError("the connection in this message was received already: it can be "
                           "received once");
    }
    return fd;
}

inline void ParkedDescriptor::destroy() noexcept {
    if (parked.load(std::memory_order_relaxed) == 0) return;
    try {
        (void)DescriptorLot().take(*this);
    } catch (...) {
        // Out of descriptors: there are others before it, and no way to move them. It stays
        // parked until the family ends.
    }
}

}  // namespace multiprocessing::detail
