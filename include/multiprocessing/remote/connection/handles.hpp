// multiprocessing/remote/connection/handles.hpp
//
// Open descriptors through a connection that is a Unix socket, to a program in C++ or in Python.
// Mirrors CPython Lib/multiprocessing/reduction.py, send_handle and recv_handle. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <optional>

#include "multiprocessing/connection.hpp"

namespace multiprocessing::connection {

/// Sends a descriptor. It stays open here.
///
/// **Blocking**: while the socket is full.
/// @param connection      a Unix socket: of a Listener or a Client, or an end of a duplex Pipe
/// @param destination_pid is not used: it is there for the sake of Python's other systems
/// @throws ValueError when the connection or the handle is closed, or the connection is no Unix
///         socket
/// @throws std::system_error EPIPE when the peer is closed; EBADF
/// @par Source CPython Lib/multiprocessing/reduction.py, send_handle
void send_handle(Connection& connection, int handle,
                 std::optional<pid_t> destination_pid = std::nullopt);
/// Sends the descriptor of a Handle.
void send_handle(Connection& connection, const Handle& handle,
                 std::optional<pid_t> destination_pid = std::nullopt);

/// Receives a descriptor that send_handle has sent.
///
/// **Blocking**: until it comes.
/// @throws EOFError when the peer is closed
/// @throws RuntimeError when something else comes than one descriptor
/// @throws std::system_error EMFILE; then the descriptor is lost
/// @par Source CPython Lib/multiprocessing/reduction.py, recv_handle
[[nodiscard]] Handle recv_handle(Connection& connection);

}  // namespace multiprocessing::connection

/// The names as in Python's module of the same name.
namespace multiprocessing::reduction {

using connection::recv_handle;
using connection::send_handle;

}  // namespace multiprocessing::reduction

#include "multiprocessing/remote/connection/handles.ipp"
