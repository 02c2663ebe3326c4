// multiprocessing/start_method/fork_server/client.hpp
//
// Asks the fork server for a child, and sees to it that there is a server. Mirrors CPython
// Lib/multiprocessing/forkserver.py, ForkServer.ensure_running and connect_to_new_process. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/segment.hpp"

namespace multiprocessing::detail {

struct ProcessIdentity;

/// Has the fork server fork a child, and starts a server if there is none.
/// @param message see process/message.hpp
/// @param id      takes the child's place in the family's table, which this function reserves
/// @returns the server that has forked it, and will collect it
/// @throws RuntimeError when one server after the other ends before it does
ProcessId ask_fork_server(const ProcessIdentity& identity, Offset message, ProcessId& id);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/start_method/fork_server/client.ipp"
#endif
