// multiprocessing/remote/connection/handshake_peer.ipp
//
// How the messages of a handshake are moved without waiting: see handshake_peer.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/connection/handshake_peer.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

inline HandshakePeer::HandshakePeer(Descriptor fd, Address address, std::string key, Side side)
    : fd_(std::move(fd)),
      address_(std::move(address)),
      side_(side),
      handshake_(std::move(key), side) {
    if (const auto first = handshake_.begin()) send(*first);
}

inline short HandshakePeer::events() const noexcept {
    return outgoing_.empty() ? POLLIN : POLLIN | POLLOUT;
}

inline bool HandshakePeer::advance() {
    for (;;) {
        const bool all_sent = flush();
        if (handshake_.is_done()) return all_sent;
        if (!receive()) return false;
    }
}

inline void HandshakePeer::send(std::string_view message) {
    const PythonHeader header(message.size());
    const auto bytes = header.bytes();
    outgoing_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()).append(message);
}

inline bool HandshakePeer::flush() {
    while (!outgoing_.empty()) {
        const ssize_t sent = retry_on_eintr([&] {
            return ::send(fd_.get(), outgoing_.data(), outgoing_.size(),
                          MSG_NOSIGNAL | MSG_DONTWAIT);
        });
        if (sent < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
            fail_as_left();
        }
        outgoing_.erase(0, static_cast<std::size_t>(sent));
    }
    return true;
}

inline bool HandshakePeer::fill(std::size_t wanted) {
    while (received_ < wanted) {
        const ssize_t got = retry_on_eintr([&] {
            return ::recv(fd_.get(), incoming_.data() + received_, wanted - received_,
                          MSG_DONTWAIT);
        });
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
        if (got <= 0) fail_as_left();
        received_ += static_cast<std::size_t>(got);
    }
    return true;
}

inline bool HandshakePeer::receive() {
    std::size_t header = PythonHeader::short_size;
    if (!fill(header)) return false;
    const auto size_in_header = [&] {
        return PythonHeader::read(std::as_bytes(std::span(incoming_)).first(header));
    };
    try {
        std::optional<std::uint64_t> size = size_in_header();
        if (!size) {
            header = PythonHeader::long_size;
            if (!fill(header)) return false;
            size = size_in_header();
        }
        if (*size > longest_before_proof) fail("has sent too long a message in the handshake");
        if (!fill(header + static_cast<std::size_t>(*size))) return false;
    } catch (const AuthenticationError&) {
        throw;
    } catch (const ProcessError&) {
        fail("does not speak the protocol of multiprocessing");
    }
    const std::string message(incoming_.data() + header, received_ - header);
    received_ = 0;
    take_message(message);
    return true;
}

inline void HandshakePeer::take_message(std::string_view message) {
    const Handshake::Step step = handshake_.take(message);
    if (step.reply) send(*step.reply);
    if (!step.failure) return;
    (void)flush();  // what the peer is told has room in an empty socket, or the peer is gone
    throw AuthenticationError(*step.failure);
}

inline std::string HandshakePeer::description() const {
    return "the peer " + (address_.empty() ? std::string() : "at " + text_of(address_) + " ");
}

inline void HandshakePeer::fail(const std::string& why) const {
    throw AuthenticationError(description() + why);
}

inline void HandshakePeer::fail_as_left() const {
    // For who accepts, it is one more that has not proved itself. Who connects wants to know that
    // there is nobody any more.
    if (side_ == Side::client) throw EOFError(description() + "left during the handshake");
    fail("left during the handshake");
}

inline void HandshakePeer::throw_timed_out() const {
    fail("was silent for too long in the handshake");
}

}  // namespace multiprocessing::detail
