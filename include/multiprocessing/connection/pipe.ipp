// multiprocessing/connection/pipe.ipp
//
// How a pipe is made: see pipe.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/pipe.hpp"

#include <sys/socket.h>

#include <utility>

#include "multiprocessing/connection/connection.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE std::pair<Connection, Connection> Pipe(bool duplex) {
    // From here on this process counts its forks. LocalMutex needs that count.
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
