// multiprocessing/remote/connection/handshake_peer.hpp
//
// A peer in the middle of the handshake: the socket, what of a message has come, what of one has
// not left yet. No call waits, so one thread serves many peers, however slow or silent they are.
// Floor 9. Start at HandshakePeer::advance. SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "multiprocessing/connection/python_frame.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/remote/authentication/handshake.hpp"
#include "multiprocessing/remote/connection/address.hpp"

namespace multiprocessing::detail {

/// A socket whose peer has not proved itself yet.
class HandshakePeer {
  public:
    HandshakePeer(Descriptor fd, Address address, std::string key, Side side);

    /// Sends and receives what it can without waiting.
    /// @returns whether the handshake is complete; then `take_socket` may be called
    /// @throws AuthenticationError when the peer does not know the key, does not keep to the
    ///         protocol, or, if it is a client, has left
    /// @throws EOFError when a listener has left
    bool advance();

    /// Returns what to wait for, as for poll(2).
    [[nodiscard]] short events() const noexcept;
    [[nodiscard]] int fileno() const noexcept { return fd_.get(); }
    [[nodiscard]] const Address& address() const noexcept { return address_; }
    [[nodiscard]] Descriptor take_socket() noexcept { return std::move(fd_); }

    /// Says that the time for the handshake is over. @throws AuthenticationError
    [[noreturn]] void throw_timed_out() const;

  private:
    /// Returns whether everything has left.
    bool flush();
    /// Returns whether a whole message has come, and been taken.
    bool receive();
    bool fill(std::size_t wanted);
    void send(std::string_view message);
    void take_message(std::string_view message);
    [[noreturn]] void fail_as_left() const;
    [[noreturn]] void fail(const std::string& why) const;
    [[nodiscard]] std::string description() const;

    Descriptor fd_;
    Address address_;
    const Side side_;
    Handshake handshake_;
    std::string outgoing_;
    std::array<char, PythonHeader::long_size + longest_before_proof> incoming_;
    std::size_t received_ = 0;  // bytes of `incoming_`: those of the header first
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/connection/handshake_peer.ipp"
