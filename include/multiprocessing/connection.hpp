// multiprocessing/connection.hpp
//
// Messages between two ends: Pipe and Connection; waiting for several at once: connection::wait.
// Mirrors CPython Lib/multiprocessing/connection.py. Floor 4. Start at connection/connection.hpp.
//
// Read on in connection/state.hpp (what a Connection consists of), connection/frame.hpp (messages
// as bytes), connection/byte_stream.hpp (bytes through a pipe or socket), connection/message.hpp
// (what else a message takes along), and for connections in messages detail/descriptor_passing.hpp
// and connection/descriptor_lot.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/connection.hpp"
#include "multiprocessing/connection/handle.hpp"
#include "multiprocessing/connection/pipe.hpp"
#include "multiprocessing/connection/wait.hpp"

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/connection/format.hpp"
#endif

/// The names as in Python's module of the same name.
namespace multiprocessing::connection {

using multiprocessing::Connection;
using multiprocessing::Pipe;

}  // namespace multiprocessing::connection
