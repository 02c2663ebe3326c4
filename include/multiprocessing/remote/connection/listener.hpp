// multiprocessing/remote/connection/listener.hpp
//
// Listener: waits at an address for connections of other programs, in C++ or in Python. Mirrors
// CPython Lib/multiprocessing/connection.py, Listener. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/remote/connection/address.hpp"
#include "multiprocessing/remote/connection/listener_state.hpp"
#include "multiprocessing/remote/connection/pickler.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::connection {

/// What a Listener may be told.
struct ListenerOptions {
    /// The key that a peer must hold; std::nullopt: none, as in Python without authkey.
    std::optional<std::string> authkey = current_process().authkey();
    /// How many connections may wait in the system's queue before accept takes them.
    int backlog = 1;
    /// How long a peer may take to prove that it holds the key. Only time in accept counts.
    Timeout handshake_timeout = 5;
    /// "AF_INET": a free TCP port of this machine where no address is given. "AF_UNIX", "": a fresh
    /// Unix socket.
    std::string family = {};
};

/// Waits for connections. It can be moved, and closes when it is destroyed.
///
///     mp::connection::Listener listener({"localhost", 6000}, {.authkey = "secret"});
///     mp::Connection connection = listener.accept();
///     connection.send(std::vector{1, 2, 3});     // conn.recv() in Python: [1, 2, 3]
///
/// @par Safety A peer proves that it holds the key before anything else of it is read, and so does
/// this side to the peer; the key itself never travels. But nothing is encrypted: beyond one
/// machine use TCP through ssh or TLS only. The file of a Unix socket has mode 0600.
/// @par Processes A forked process has the listener too, and may accept at it. Only who has made it
/// removes its file.
/// @par Threads Any number of threads may use it; accept serves them one after the other.
/// @par Source CPython Lib/multiprocessing/connection.py, Listener
class Listener {
  public:
    /// Listens at a fresh Unix socket, in a folder of its own: `address()` tells where.
    Listener() : Listener(Address()) {}
    /// The same, from `{}`.
    Listener(std::initializer_list<detail::NoAddress>, const ListenerOptions& options = {})
        : Listener(Address(), options) {}
    /// Listens at an address.
    /// @throws std::system_error EADDRINUSE, EACCES and others of bind(2); EADDRNOTAVAIL for a host
    ///         that is not known
    /// @throws ValueError for a family that is not known, or is not the address's
    Listener(Address address, const ListenerOptions& options = {});

    /// Waits for a connection, and for the proof that the peer holds the key.
    ///
    /// **Blocking**: until a peer has proved itself. Peers that are slow, or silent, hold up nobody
    /// else. A close in another thread ends the wait.
    /// @throws AuthenticationError when a peer does not hold the key, does not speak the protocol,
    ///         leaves before it has proved itself, or takes longer than `handshake_timeout`. A
    ///         program that serves many calls accept again
    /// @throws ValueError when the listener is closed
    /// @throws std::system_error EMFILE
    Connection accept();
    /// Does the same, but waits at most so long. @returns nothing when no peer has proved itself
    std::optional<Connection> try_accept(Timeout timeout = 0);

    /// Returns where it listens: with the port that the system has chosen.
    /// @throws ValueError when the listener is closed
    [[nodiscard]] Address address() const;
    /// Returns the address of the last peer that was accepted: an empty one for a Unix socket.
    [[nodiscard]] Address last_accepted() const { return state().last_accepted(); }
    /// Returns a descriptor for poll(2) and the like: readable while `try_accept` has something to
    /// do. It is no socket. @throws ValueError when the listener is closed
    [[nodiscard]] int fileno() const { return state().fileno(); }
    /// Returns whether it is closed.
    [[nodiscard]] bool closed() const noexcept { return state_ == nullptr || state_->closed(); }
    /// Stops listening, and removes the file of the socket. A second close does nothing.
    void close() noexcept {
        if (state_ != nullptr) state_->close();
    }

    friend std::string text_of(const Listener& listener);

  private:
    [[nodiscard]] detail::ListenerState& state() const;

    std::unique_ptr<detail::ListenerState> state_;
};

}  // namespace multiprocessing::connection

#include "multiprocessing/remote/connection/listener.ipp"
