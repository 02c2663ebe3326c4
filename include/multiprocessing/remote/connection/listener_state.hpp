// multiprocessing/remote/connection/listener_state.hpp
//
// What a Listener consists of: the listening socket, and the peers that are in the middle of the
// handshake. All of them are waited for at once, by an epoll(7) whose descriptor is the listener's.
// So a peer that says nothing holds up nobody. Floor 9. Start at ListenerState::accept.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/heap/local_mutex.hpp"
#include "multiprocessing/remote/connection/address.hpp"
#include "multiprocessing/remote/connection/handshake_peer.hpp"
#include "multiprocessing/remote/connection/socket_file.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// The sockets of the peers that are in the handshake, noted in single words: a process that was
/// forked while another thread was in accept finds the list of these peers half changed, but these
/// words whole.
class SocketNotes {
  public:
    /// How many there can be. A further one is not noted.
    static constexpr std::size_t most = 256;

    /// Notes a socket. @returns its place
    std::size_t note(int fd) noexcept;
    /// Before the socket is closed: its number may then be another file's.
    void forget(std::size_t place) noexcept {
        if (place < most) words_[place].store(0);
    }
    /// In a forked process: closes its copies of all of them.
    void close_all() noexcept;

  private:
    std::array<std::atomic<int>, most> words_{};  // the descriptor + 1; 0: none
};

/// The address of the last peer. A process that was forked while another thread stored it reads the
/// one before: the new one is written aside, and one store publishes it.
class LatestAddress {
  public:
    /// The caller holds a lock, the same one each time.
    void set(const Address& address) noexcept;
    [[nodiscard]] Address get() const;

  private:
    /// What an Address is, without memory of its own, which may be half written.
    struct Plain {
        char text[128];  // of the host or the path: both are shorter
        std::size_t size;
        int port;
    };
    Plain plain_[2]{{{}, 0, -1}, {{}, 0, -1}};
    std::atomic<std::size_t> latest_{0};
};

/// The object behind a Listener. It does not move.
class ListenerState {
  public:
    /// @param authkey none: peers need not prove anything
    ListenerState(Address address, std::optional<std::string> authkey, int backlog,
                  Timeout handshake_timeout);
    ListenerState(const ListenerState&) = delete;
    ListenerState& operator=(const ListenerState&) = delete;
    ~ListenerState();

    /// Waits for a peer that completes the handshake.
    /// @returns its socket; none when the deadline has passed
    /// @throws AuthenticationError for a peer that fails in it @throws std::system_error EMFILE
    std::optional<Descriptor> accept(const Deadline& deadline);

    /// Closes. A thread that is in accept leaves it with a ValueError.
    void close() noexcept;

    [[nodiscard]] bool closed() const noexcept { return closed_.load(); }
    [[nodiscard]] const Address& address() const noexcept { return address_; }
    [[nodiscard]] Address last_accepted();
    /// Returns a descriptor that is readable while accept has something to do.
    [[nodiscard]] int fileno();

  private:
    using Clock = std::chrono::steady_clock;

    /// A peer, and when it must have completed the handshake.
    struct Guest {
        HandshakePeer peer;
        Clock::time_point deadline;
        std::uint32_t events = 0;  // that are waited for
        std::list<Guest>::iterator place;
        std::size_t note = 0;  // see SocketNotes
    };
    using Guests = std::list<Guest>;
    /// How many peers can be in the handshake. Further ones wait in the queue of the system.
    static constexpr std::size_t most_guests = SocketNotes::most;

    void check_open() const;
    /// Makes what a process needs of its own after a fork: it has none of its parent's guests.
    void renew_if_forked();
    /// Drops the parent's guests. Their list is not freed: another thread of the parent may have
    /// been changing it.
    void forget_inherited() noexcept;
    void make_waiting_place();
    void watch(int operation, int fd, std::uint32_t events, void* guest);

    /// Waits for one event, at most until the deadline, and does what it says. @returns a socket
    /// when a handshake is complete
    std::optional<Descriptor> take_event(const Deadline& deadline);
    std::optional<Descriptor> handle(void* source);
    std::optional<Descriptor> take_connection();
    std::optional<Descriptor> advance(Guest& guest);
    std::optional<Descriptor> expire();
    Descriptor complete(Descriptor fd, const Address& peer);
    void remove(Guest& guest) noexcept;
    [[nodiscard]] int milliseconds_until(const Deadline& deadline) const;

    SocketFile file_;
    Address address_;
    const std::optional<std::string> authkey_;
    const Timeout handshake_timeout_;

    std::atomic<bool> closed_{false};
    LocalMutex accepting_;  // guards the rest, but for last_accepted_
    Descriptor listening_;
    Descriptor waiting_place_;  // the epoll
    Descriptor wake_;           // an eventfd: close writes to it
    std::uint32_t depth_ = 0;   // the fork depth of the process that has made these
    std::unique_ptr<Guests> guests_ = std::make_unique<Guests>();  // the first to go is in front
    SocketNotes notes_;
    bool is_full_ = false;
    Clock::time_point left_;  // when accept was left: the time of the guests stands still since

    LocalMutex naming_;
    LatestAddress last_accepted_;
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/connection/listener_state.ipp"
