// multiprocessing/remote/connection/socket.hpp
//
// Stream sockets: bound to an Address, connected to one, and what of the options each needs. None
// outlives an exec, and none has the number of a standard stream. Floor 9. Start at listen_at.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/remote/connection/address.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// Makes a socket that listens. It does not block. The file of a Unix socket has mode 0600 from its
/// first moment on. @throws std::system_error EADDRINUSE, EACCES and others of bind(2); of a host
/// that is not known, EADDRNOTAVAIL
Descriptor listen_at(const Address& address, int backlog);

/// Makes a socket that is connected to the one that listens there.
/// @throws std::system_error ECONNREFUSED, ENOENT and others of connect(2)
/// @throws TimeoutError
Descriptor connect_to(const Address& address, const Deadline& deadline);

/// A connection that a listening socket has accepted.
struct AcceptedSocket {
    Descriptor fd;  // none when no peer waits, or this one has left
    Address peer;
};

/// Accepts the next connection, if one waits. @throws std::system_error EMFILE, ENFILE
AcceptedSocket accept_from(int listening);

/// Returns the address to which a socket is bound: with the port that the system has chosen.
Address bound_address(int socket);

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/connection/socket.ipp"
