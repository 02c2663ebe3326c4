// multiprocessing/start_method/fork_server/server.hpp
//
// The fork server: one clean process with one thread. It forks the children that its family asks
// for, and passes their exit codes on. It ends with the last process of the family. Mirrors CPython
// Lib/multiprocessing/forkserver.py, main. Floor 3. SPDX-License-Identifier: MIT
#pragma once

namespace multiprocessing::detail {

/// The server's name in the family's table and in messages.
inline constexpr const char* fork_server_name = "ForkServer";

/// The life of the process that was started as the fork server.
[[noreturn]] void run_fork_server() noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/start_method/fork_server/server.ipp"
#endif
