// multiprocessing/connection/descriptor_lot.ipp
//
// How descriptors are parked, found again, and sorted out after a kill: see descriptor_lot.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/descriptor_lot.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

/// Notes which ticket is in the hand of the lock's holder. If the holder dies with the lock held,
/// that ticket is nobody's any more: its message is not sent yet, or the holder had received it.
class LotInHand {
  public:
    LotInHand(LotState& state, std::uint64_t number) noexcept : state_(state) {
        state_.in_hand.store(number, std::memory_order_relaxed);
    }
    LotInHand(const LotInHand&) = delete;
    LotInHand& operator=(const LotInHand&) = delete;
    ~LotInHand() { state_.in_hand.store(0, std::memory_order_relaxed); }

  private:
    LotState& state_;
};

inline constexpr int wanted_lot_room = 8 << 20;  // bytes; of which the system may grant less
inline constexpr int reserved_lot_room = 8 << 10;

MULTIPROCESSING_INLINE void ParkedDescriptor::destroy() noexcept {
    if (parked.load(std::memory_order_relaxed) == 0) return;
    try {
        (void)DescriptorLot().take(*this);
    } catch (...) {
        // This process is out of descriptors: there are others before it, and no way to move them.
        // It stays parked until the family ends.
    }
}

MULTIPROCESSING_INLINE DescriptorLot::DescriptorLot() : state_(shared_state()) {
    if (!state_.lock.try_fast() && state_.lock.recover()) state_.damaged = 1;
}

MULTIPROCESSING_INLINE DescriptorLot::~DescriptorLot() {
    try {
        state_.lock.release();
    } catch (...) {  // AbandonedError, which the holder's own release cannot meet
    }
}

MULTIPROCESSING_INLINE void DescriptorLot::park(ParkedDescriptor& ticket, int fd) {
    repair_if_damaged();
    if (is_full()) throw_full();
    ticket.number = ++state_.last_number;
    const LotInHand hand(state_, ticket.number);
    send(ticket.number, std::span(&fd, 1));
    ticket.parked.store(1, std::memory_order_relaxed);
}

MULTIPROCESSING_INLINE Descriptor DescriptorLot::take(ParkedDescriptor& ticket) {
    repair_if_damaged();
    const LotInHand hand(state_, ticket.number);
    return find(ticket, false);
}

MULTIPROCESSING_INLINE Descriptor DescriptorLot::copy(ParkedDescriptor& ticket) {
    repair_if_damaged();
    return find(ticket, true);
}

MULTIPROCESSING_INLINE Descriptor DescriptorLot::find(ParkedDescriptor& ticket, bool keep) {
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

MULTIPROCESSING_INLINE LotState& DescriptorLot::shared_state() {
    std::atomic<Offset>& place = heap().descriptor_lot();
    if (const Offset known = place.load(std::memory_order_acquire)) {
        return *heap().at<LotState>(known);
    }
    // All zero is a new lot.
    void* const fresh = allocate_zeroed(sizeof(LotState));
    // Without privilege the second call, up to net.core.wmem_max. A failure is ignored.
    if (::setsockopt(sender(), SOL_SOCKET, SO_SNDBUFFORCE, &wanted_lot_room, sizeof(int)) != 0) {
        (void)::setsockopt(sender(), SOL_SOCKET, SO_SNDBUF, &wanted_lot_room, sizeof(int));
    }
    Offset known = 0;
    if (place.compare_exchange_strong(known, heap().offset_of(fresh))) {
        return *static_cast<LotState*>(fresh);
    }
    deallocate(fresh);  // another process was faster
    return *heap().at<LotState>(known);
}

MULTIPROCESSING_INLINE int DescriptorLot::sender() { return heap().mailbox().first.get(); }
MULTIPROCESSING_INLINE int DescriptorLot::receiver() { return heap().mailbox().second.get(); }

MULTIPROCESSING_INLINE bool DescriptorLot::is_full() {
    int used = 0;
    int room = 0;
    socklen_t size = sizeof(room);
    if (::ioctl(sender(), SIOCOUTQ, &used) != 0 ||
        ::getsockopt(sender(), SOL_SOCKET, SO_SNDBUF, &room, &size) != 0) {
        return false;  // then the kernel refuses the datagram that is too many
    }
    return used + reserved_lot_room > room;
}

MULTIPROCESSING_INLINE void DescriptorLot::throw_full() {
    throw std::system_error(
        ENOBUFS, std::generic_category(),
        "too many connections are on their way in arguments, queues and pipes: let some be "
        "received first");
}

MULTIPROCESSING_INLINE void DescriptorLot::send(std::uint64_t number, std::span<const int> fds) {
    const auto bytes = std::as_bytes(std::span(&number, 1));
    if (send_with_descriptors(sender(), bytes, fds, MSG_DONTWAIT) >= 0) return;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) throw_full();
    throw_system_error("sendmsg");
}

MULTIPROCESSING_INLINE DescriptorLot::Front DescriptorLot::look() {
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

MULTIPROCESSING_INLINE void DescriptorLot::drop_front() {
    std::uint64_t number = 0;
    checked(retry_on_eintr([&] { return ::recv(receiver(), &number, 8, MSG_DONTWAIT); }), "recv");
}

MULTIPROCESSING_INLINE void DescriptorLot::move_to_end(const Front& front) {
    const int fd = front.fd.get();
    if (front.fd) send(front.number, std::span(&fd, 1));
    drop_front();
}

MULTIPROCESSING_INLINE void DescriptorLot::repair_if_damaged() {
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

MULTIPROCESSING_INLINE Descriptor take_parked_descriptor(const AnyHandle& ticket, bool keep) {
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

}  // namespace multiprocessing::detail
