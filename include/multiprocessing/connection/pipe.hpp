// multiprocessing/connection/pipe.hpp
//
// Pipe: two connected ends. Mirrors CPython Lib/multiprocessing/connection.py, Pipe. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/socket.h>

#include <utility>

#include "multiprocessing/connection/connection.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing {

/// Makes two connected ends: `auto [a, b] = mp::Pipe();`
/// @param duplex whether both ends send and receive; else the first receives and the second sends,
///        which is two to three times as fast (a pipe instead of two sockets)
/// @throws std::system_error EMFILE, ENFILE
/// @par Source CPython Lib/multiprocessing/connection.py, Pipe
[[nodiscard]] inline std::pair<Connection, Connection> Pipe(bool duplex = true) {
    // From here on this process counts its forks, which LocalMutex needs to know.
    detail::heap();
    if (duplex) {
        auto [a, b] = detail::make_socket_pair(SOCK_STREAM);
        constexpr detail::ConnectionMode both{true, true, true};
        return {Connection(std::move(a), both), Connection(std::move(b), both)};
    }
    auto [read, write] = detail::make_pipe();
    return {Connection(std::move(read), {true, false, false}),
            Connection(std::move(write), {false, true, false})};
}

}  // namespace multiprocessing
