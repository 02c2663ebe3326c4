// multiprocessing/start_method/fork.hpp
//
// The fork start method: the child is a copy of its parent at the moment of the start, so the
// target is simply there. Mirrors CPython Lib/multiprocessing/popen_fork.py. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <memory>
#include <string_view>
#include <utility>

#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/target.hpp"

namespace multiprocessing::start_method {

/// Start a child with fork(2).
struct fork {
    static constexpr std::string_view name = "fork";  ///< as get_context takes it
    static constexpr bool inherits_memory = true;

    /// Starts a child that runs `body` and leaves.
    /// @throws std::system_error EAGAIN (too many processes), ENOMEM, EMFILE
    template <class Body>
    static std::shared_ptr<detail::Child> start(detail::ProcessIdentity identity, Body&& body,
                                                const detail::Target* = nullptr) {
        detail::Family& family = detail::heap().family();
        if (detail::logging_enabled(detail::log_level::warning)) detail::warn_of_threads();
        // Made before the fork, so that the child inherits them.
        detail::lifeline();
        detail::open_null_device();
        // What is buffered now would otherwise be written twice.
        detail::flush_standard_streams();
        const std::uint64_t epoch = family.begin_fork();
        identity.id =
            detail::reserve_process(identity.parent_id, identity.name, {epoch, detail::self()});
        detail::forking_a_child = true;
        const pid_t pid = ::fork();
        const int error = errno;
        detail::forking_a_child = false;
        if (pid == 0) {
            detail::drop_inherited_output();
            detail::run_child(std::move(identity), detail::take_inherited_lifeline(),
                              std::forward<Body>(body));
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
};

}  // namespace multiprocessing::start_method
