// multiprocessing/start_method/fork.ipp
//
// How a child is forked: see fork.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/start_method/fork.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/process/fork_hooks.hpp"
#include "multiprocessing/process/lifeline.hpp"

namespace multiprocessing::start_method {

MULTIPROCESSING_INLINE std::shared_ptr<detail::Child> fork::start_body(
    detail::ProcessIdentity identity, detail::ChildBody body) {
    detail::Family& family = detail::heap().family();
    if (detail::logging_enabled(detail::log_level::warning)) detail::warn_of_threads();
    // Made before the fork, so that the child inherits them.
    detail::lifeline();
    detail::open_null_device();
    detail::bind_calls_of_children();
    // What is buffered now would otherwise be written twice.
    detail::flush_standard_streams();
    const std::uint64_t epoch = family.begin_fork();
    identity.id =
        detail::reserve_process(identity.parent_id, identity.name, {epoch, detail::self()});
    detail::hold_if_collected(identity.id);
    detail::forking_a_child = true;
    const pid_t pid = ::fork();
    const int error = errno;
    detail::forking_a_child = false;
    if (pid == 0) {
        detail::drop_inherited_output();
        detail::run_child(std::move(identity), detail::take_inherited_lifelines(), body);
    }
    family.end_fork();
    if (pid < 0) {
        family.release(identity.id);
        detail::throw_system_error("fork", error);
    }
    family.activate(identity.id, pid);
    return std::make_shared<detail::Child>(identity.id, pid,
                                           detail::open_pidfd_or_end(pid, identity.id),
                                           identity.name, identity.daemon);
}

}  // namespace multiprocessing::start_method
