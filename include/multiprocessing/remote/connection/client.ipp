// multiprocessing/remote/connection/client.ipp
//
// How a client connects: see client.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/connection/client.hpp"

#include <poll.h>
#include <time.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/remote/connection/handshake_peer.hpp"
#include "multiprocessing/remote/connection/socket.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// Goes through the handshake with a listener. @returns the socket
inline Descriptor greet_listener(HandshakePeer peer, const Deadline& deadline) {
    while (!peer.advance()) {
        if (deadline.has_passed()) {
            throw TimeoutError("the listener at " + text_of(peer.address()) +
                               " has not accepted the connection in time");
        }
        pollfd entry{peer.fileno(), peer.events(), 0};
        const timespec wait = deadline.left_as_timespec(std::chrono::hours(1));
        if (::ppoll(&entry, 1, &wait, nullptr) < 0 && errno != EINTR) throw_system_error("ppoll");
    }
    return peer.take_socket();
}

}  // namespace multiprocessing::detail

namespace multiprocessing::connection {

inline Connection Client(const Address& address, const ClientOptions& options) {
    const detail::Deadline deadline(options.handshake_timeout);
    if (address.empty()) throw ValueError("a client needs the address of a Listener");
    detail::heap();  // from here on this process counts its forks: a connection's locks need that
    detail::Descriptor fd = detail::connect_to(address, deadline);
    if (options.authkey) {
        fd = detail::greet_listener(
            {std::move(fd), address, *options.authkey, detail::Side::client}, deadline);
    }
    return detail::python_connection(std::move(fd));
}

}  // namespace multiprocessing::connection
