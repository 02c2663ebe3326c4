// multiprocessing/remote/connection/client.hpp
//
// Client: makes a connection to a Listener of another program, in C++ or in Python. Mirrors CPython
// Lib/multiprocessing/connection.py, Client. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/remote/connection/address.hpp"
#include "multiprocessing/remote/connection/pickler.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::connection {

/// What Client may be told.
struct ClientOptions {
    /// The key that the listener must hold; std::nullopt: none, as in Python without authkey.
    std::optional<std::string> authkey = current_process().authkey();
    /// How long the listener may take to accept, and to prove that it holds the key. For ever, as
    /// in Python: it may do other things first.
    Timeout handshake_timeout = std::nullopt;
};

/// Makes a connection to a Listener.
///
///     mp::Connection connection = mp::connection::Client("/tmp/solver", {.authkey = "secret"});
///
/// **Blocking**: until the listener has accepted, and each side has proved to the other that it
/// holds the key.
/// @throws AuthenticationError when the peer holds another key, or does not speak the protocol
/// @throws EOFError when the listener leaves, or its process ends
/// @throws TimeoutError after `handshake_timeout`
/// @throws ValueError for an empty address
/// @throws std::system_error ECONNREFUSED, ENOENT and others of connect(2); EADDRNOTAVAIL for a
/// host
///         that is not known
/// @par Source CPython Lib/multiprocessing/connection.py, Client
[[nodiscard]] Connection Client(const Address& address, const ClientOptions& options = {});

}  // namespace multiprocessing::connection

#include "multiprocessing/remote/connection/client.ipp"
