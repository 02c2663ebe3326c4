// multiprocessing/remote/connection/handles.ipp
//
// How descriptors are sent as CPython sends them: one byte, their number, with the descriptors
// attached. See handles.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/connection/handles.hpp"

#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/connection/byte_stream.hpp"
#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// Returns the socket of a connection. TCP would drop the descriptors without a word.
inline ByteStream unix_socket_of(const Connection& connection) {
    int domain = 0;
    socklen_t size = sizeof(domain);
    const int fd = connection.fileno();
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX) {
        throw ValueError("only a connection that is a Unix socket carries descriptors");
    }
    return {fd, true};
}

}  // namespace multiprocessing::detail

namespace multiprocessing::connection {

inline void send_handle(Connection& connection, int handle, std::optional<pid_t>) {
    const detail::ByteStream stream = detail::unix_socket_of(connection);
    const std::byte count{1};
    while (detail::send_with_descriptors(stream.fd, std::span(&count, 1), std::span(&handle, 1),
                                         0) < 0) {
        detail::after_failed_write(stream);
    }
}

inline void send_handle(Connection& connection, const Handle& handle,
                        std::optional<pid_t> destination_pid) {
    send_handle(connection, handle.fileno(), destination_pid);
}

inline Handle recv_handle(Connection& connection) {
    const detail::ByteStream stream = detail::unix_socket_of(connection);
    std::byte count{};
    for (;;) {
        auto received = detail::receive_with_descriptors(stream.fd, std::span(&count, 1), 0);
        if (received.size < 0 && errno != ECONNRESET) {
            detail::after_failed_read(stream);
            continue;
        }
        if (received.size <= 0) throw EOFError("the other end of the connection is closed");
        if (!received.complete) detail::throw_system_error("recvmsg", EMFILE);
        if (received.fds.size() != 1 || count != std::byte{1}) {
            throw RuntimeError("Invalid data received: not the one descriptor of send_handle");
        }
        return Handle(received.fds.front().release());
    }
}

}  // namespace multiprocessing::connection
