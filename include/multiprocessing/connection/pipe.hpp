// multiprocessing/connection/pipe.hpp
//
// Pipe: two connected ends. Mirrors CPython Lib/multiprocessing/connection.py, Pipe. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "multiprocessing/connection/connection.hpp"

namespace multiprocessing {

/// Makes two connected ends: `auto [a, b] = mp::Pipe();`
/// @param duplex whether both ends send and receive. Without it the first only receives and the
///        second only sends, which is two to three times as fast (a pipe instead of two sockets)
/// @throws std::system_error EMFILE, ENFILE
/// @par Source CPython Lib/multiprocessing/connection.py, Pipe
[[nodiscard]] std::pair<Connection, Connection> Pipe(bool duplex = true);

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/pipe.ipp"
#endif
