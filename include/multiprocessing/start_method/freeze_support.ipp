// multiprocessing/start_method/freeze_support.ipp
//
// How a program that is started anew finds its part: see freeze_support.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/start_method/freeze_support.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap/inheritance.hpp"
#include "multiprocessing/process/program.hpp"
#include "multiprocessing/process/rerun.hpp"
#include "multiprocessing/start_method/fork_server/server.hpp"
#include "multiprocessing/start_method/spawn.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE void freeze_support() {
    detail::freeze_support_was_called.store(true);
    switch (detail::take_inheritance().role) {
        case detail::Role::none:
        case detail::Role::guest:
            return;
        case detail::Role::child:
            detail::take_program_name();
            detail::run_spawned();
        case detail::Role::fork_server:
            detail::take_program_name();
            detail::run_fork_server();
    }
}

}  // namespace multiprocessing
