// multiprocessing/mpi/mailbox.ipp
//
// How letters are sent and received: see mailbox.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/mpi/mailbox.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

constexpr int letter_tag = 1;
constexpr int piece_tag = 2;
constexpr std::uint32_t letter_magic = 0x3169706d;  // "mpi1": the layout of what ranks exchange
constexpr std::size_t small_letter = 16384;         // bytes, head included
/// Of a piece, in bytes. An int counts them; and MPI may copy a piece as a whole within one call,
/// during which this rank gives no sign of life.
constexpr std::uint64_t largest_piece = 64u << 20;
constexpr int most_letters_at_a_time = 64;  // so that sends go on meanwhile

inline Letter::Letter(LetterKind kind, std::uint64_t pool, std::uint64_t number)
    : archive_(std::make_unique<OutputArchive>()) {
    const LetterHead head{letter_magic, kind, pool, number, 0};
    archive_->write(&head, sizeof head);
}

inline std::span<const std::byte> Letter::seal() noexcept {
    const std::uint64_t size = archive_->size() - sizeof(LetterHead);
    archive_->overwrite(offsetof(LetterHead, size), &size, sizeof size);
    return archive_->view();
}

inline Mailbox::Mailbox(MPI_Comm communicator, int ranks)
    : communicator_(communicator), peers_(static_cast<std::size_t>(ranks)) {
    // A rank that is gone is for us to deal with, not a reason to end the program.
    MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN);
}

inline void Mailbox::send(int to, Letter letter) {
    Peer& peer = peers_[static_cast<std::size_t>(to)];
    if (peer.forgotten) return;
    peer.outgoing.push_back({std::move(letter), {}});
    Outgoing& outgoing = peer.outgoing.back();
    sending_to_.insert(to);
    const auto bytes = outgoing.letter.seal();
    if (bytes.size() <= small_letter) return post(outgoing, to, bytes, letter_tag);
    post(outgoing, to, bytes.first(sizeof(LetterHead)), letter_tag);
    auto rest = bytes.subspan(sizeof(LetterHead));
    while (!rest.empty()) {
        const std::size_t size = (std::min)(rest.size(), std::size_t{largest_piece});
        post(outgoing, to, rest.first(size), piece_tag);
        rest = rest.subspan(size);
    }
}

inline void Mailbox::post(Outgoing& outgoing, int to, std::span<const std::byte> bytes, int tag) {
    outgoing.requests.push_back(MPI_REQUEST_NULL);
    const int status = MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, to, tag,
                                 communicator_, &outgoing.requests.back());
    if (status != MPI_SUCCESS) unreachable_.insert(to);
}

inline bool Mailbox::poll(const Receive& receive) {
    bool moved = collect_sent();
    moved |= accept_new();
    const std::vector<int> sources(receiving_from_.begin(), receiving_from_.end());
    for (const int from : sources) moved |= go_on_with(from, receive);
    return moved;
}

inline bool Mailbox::collect_sent() {
    bool moved = false;
    for (auto to = sending_to_.begin(); to != sending_to_.end();) {
        auto& outgoing = peers_[static_cast<std::size_t>(*to)].outgoing;
        for (auto letter = outgoing.begin(); letter != outgoing.end();) {
            int done = 0;
            const int status = MPI_Testall(static_cast<int>(letter->requests.size()),
                                           letter->requests.data(), &done, MPI_STATUSES_IGNORE);
            if (status != MPI_SUCCESS) {
                unreachable_.insert(*to);
                break;
            }
            if (done == 0) break;
            letter = outgoing.erase(letter);
            moved = true;
        }
        to = outgoing.empty() ? sending_to_.erase(to) : std::next(to);
    }
    return moved;
}

inline bool Mailbox::accept_new() {
    for (int count = 0; count < most_letters_at_a_time; ++count) {
        int there = 0;
        MPI_Message message = MPI_MESSAGE_NULL;
        MPI_Status status;
        if (MPI_Improbe(MPI_ANY_SOURCE, letter_tag, communicator_, &there, &message, &status) !=
                MPI_SUCCESS ||
            there == 0) {
            return count != 0;
        }
        int size = 0;
        MPI_Get_count(&status, MPI_BYTE, &size);
        Incoming incoming;
        incoming.letter = std::make_unique_for_overwrite<std::byte[]>(
            (std::max)(static_cast<std::size_t>(size), sizeof(LetterHead)));
        // Not MPI_Mrecv: the message may not be here as a whole, and its sender may die now.
        if (MPI_Imrecv(incoming.letter.get(), size, MPI_BYTE, &message, &incoming.request) !=
            MPI_SUCCESS) {
            unreachable_.insert(status.MPI_SOURCE);
            continue;
        }
        Peer& peer = peers_[static_cast<std::size_t>(status.MPI_SOURCE)];
        peer.incoming.push_back(std::move(incoming));
        peer.last_heard = monotonic_now();
        receiving_from_.insert(status.MPI_SOURCE);
    }
    return true;
}

inline bool Mailbox::go_on_with(int from, const Receive& receive) {
    Peer& peer = peers_[static_cast<std::size_t>(from)];
    bool moved = false;
    while (!peer.incoming.empty() && is_complete(peer.incoming.front(), from)) {
        Incoming incoming = std::move(peer.incoming.front());
        peer.incoming.pop_front();
        if (!peer.forgotten) deliver(incoming, from, receive);
        moved = true;
    }
    if (peer.incoming.empty()) receiving_from_.erase(from);
    return moved;
}

/// Goes on with the first letter of a rank. Only the first one: the pieces come in the order of the
/// letters.
inline bool Mailbox::is_complete(Incoming& incoming, int from) {
    if (!incoming.has_head) {
        if (!has_come(incoming.request, from)) return false;
        std::memcpy(&incoming.head, incoming.letter.get(), sizeof incoming.head);
        if (incoming.head.magic != letter_magic) {
            throw RuntimeError(
                "a rank of the program sends what this one does not understand: all ranks must run "
                "the same build of the program");
        }
        incoming.has_head = true;
    }
    const std::uint64_t size = incoming.head.size;
    if (sizeof(LetterHead) + size <= small_letter) return true;
    if (!incoming.pieces) incoming.pieces = std::make_unique_for_overwrite<std::byte[]>(size);
    for (bool came = false;;) {
        if (incoming.awaited != 0) {
            if (came) return false;  // the rank has other things to do, too
            if (!has_come(incoming.request, from)) return false;
            incoming.received += std::exchange(incoming.awaited, 0);
            peers_[static_cast<std::size_t>(from)].last_heard = monotonic_now();
            came = true;
        }
        if (incoming.received == size) return true;
        incoming.awaited = (std::min)(size - incoming.received, largest_piece);
        if (MPI_Irecv(incoming.pieces.get() + incoming.received, static_cast<int>(incoming.awaited),
                      MPI_BYTE, from, piece_tag, communicator_, &incoming.request) != MPI_SUCCESS) {
            unreachable_.insert(from);
            return false;
        }
    }
}

inline bool Mailbox::has_come(MPI_Request& request, int from) {
    if (unreachable_.contains(from)) return false;
    int done = 0;
    if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS) return done != 0;
    unreachable_.insert(from);
    return false;
}

inline void Mailbox::deliver(Incoming& incoming, int from, const Receive& receive) {
    const std::byte* const content =
        incoming.pieces ? incoming.pieces.get() : incoming.letter.get() + sizeof(LetterHead);
    receive({from, incoming.head, {content, static_cast<std::size_t>(incoming.head.size)}});
}

inline bool Mailbox::is_empty() const noexcept { return sending_to_.empty(); }

inline void Mailbox::forget(int rank) {
    Peer& peer = peers_[static_cast<std::size_t>(rank)];
    peer.forgotten = true;
    sending_to_.erase(rank);
    receiving_from_.erase(rank);
}

inline void Patience::be_exact() noexcept { (void)::prctl(PR_SET_TIMERSLACK, 1UL); }

inline void Patience::note_work() noexcept { last_work_ = monotonic_now(); }

inline std::uint64_t Patience::next_rest() const noexcept {
    const std::uint64_t idle = monotonic_now() - last_work_;
    if (spinning_helps() && idle < spin_time) return 0;
    return std::clamp(idle / 8, shortest_rest, longest_rest);
}

}  // namespace multiprocessing::detail
