// multiprocessing/start_method/freeze_support.hpp
//
// Where a program that was started anew by its own family turns off from main. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/rerun.hpp"
#include "multiprocessing/start_method/fork_server/server.hpp"
#include "multiprocessing/start_method/spawn.hpp"

namespace multiprocessing {

/// Tells a child that runs the program anew from the program itself. The first line of main: in a
/// spawned child, and in the fork server, it does what that is there for and never returns, else it
/// returns at once. Under fork alone it is not needed.
/// @par Source CPython Lib/multiprocessing/spawn.py, freeze_support
inline void freeze_support() {
    detail::freeze_support_was_called.store(true);
    switch (detail::take_inheritance().role) {
        case detail::Role::none:
            return;
        case detail::Role::child:
            detail::run_spawned();
        case detail::Role::fork_server:
            detail::run_fork_server();
    }
}

}  // namespace multiprocessing
