// multiprocessing/start_method/spawn.hpp
//
// The spawn start method: the child is the same program, started anew; it enters through
// freeze_support() in main, maps the family's segment and finds its target there. Nothing of the
// parent's memory is copied, so the cost does not grow with it. Mirrors CPython
// Lib/multiprocessing/popen_spawn_posix.py and spawn.py. Floor 3.
//
// The whole path: spawn::start writes the child's identity and target to the heap as a message
// (process/message.hpp) and runs the program with the message's place in the environment
// (process/rerun.hpp); freeze_support() reads them back. SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>

#include <memory>
#include <string_view>
#include <utility>

#include "multiprocessing/process/message.hpp"
#include "multiprocessing/process/rerun.hpp"

namespace multiprocessing {
namespace start_method {

/// Start a child by running the program anew.
struct spawn {
    static constexpr std::string_view name = "spawn";  ///< as get_context takes it
    static constexpr bool inherits_memory = false;

    /// Starts a child that runs `target`, which may be null.
    /// @throws RuntimeError when this program's main has not called freeze_support()
    /// @throws std::system_error EAGAIN, ENOMEM, EMFILE
    template <class Body>
    static std::shared_ptr<detail::Child> start(detail::ProcessIdentity identity, Body&&,
                                                const detail::Target* target) {
        return start_without_body(std::move(identity), target);
    }

  private:
    static std::shared_ptr<detail::Child> start_without_body(detail::ProcessIdentity identity,
                                                             const detail::Target* target) {
        detail::require_freeze_support();
        detail::Family& family = detail::heap().family();
        identity.id = detail::reserve_process(identity.parent_id, identity.name);
        pid_t pid = 0;
        std::shared_ptr<void> message;
        try {
            message = detail::make_start_message(identity, target);
            const detail::Offset place = detail::heap().offset_of(message.get());
            pid = detail::rerun_program({detail::Role::child, place, identity.id},
                                        "--multiprocessing-spawn=" + identity.name,
                                        detail::lifeline().read.get());
        } catch (...) {
            family.release(identity.id);
            throw;
        }
        family.activate(identity.id, pid);
        return std::make_shared<detail::Child>(identity.id, pid,
                                               detail::open_pidfd_or_end(pid, identity.id),
                                               identity.name, identity.daemon, std::move(message));
    }
};

}  // namespace start_method

namespace detail {

/// The rest of a spawned child's life.
[[noreturn]] inline void run_spawned() noexcept {
    ::fcntl(lifeline_descriptor, F_SETFD, FD_CLOEXEC);
    const Inheritance& inheritance = take_inheritance();
    run_start_message(inheritance.message, inheritance.id, Descriptor(lifeline_descriptor));
}

}  // namespace detail
}  // namespace multiprocessing
