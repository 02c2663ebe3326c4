// multiprocessing/start_method/spawn.hpp
//
// The spawn start method: the child is the same program, started anew. It enters through
// freeze_support() in main, maps the family's segment and finds its target there. Nothing of the
// parent's memory is copied, so the cost does not grow with it. Mirrors CPython
// Lib/multiprocessing/popen_spawn_posix.py and spawn.py. Floor 3.
//
// The whole path: spawn::start writes the child's identity and target to the heap as a message
// (process/message.hpp) and runs the program with the message's place in the environment
// (process/rerun.hpp); freeze_support() reads them back. SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "multiprocessing/process/child.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/process/target.hpp"

namespace multiprocessing {
namespace start_method {

/// Start a child by running the program anew.
struct spawn {
    static constexpr std::string_view name = "spawn";  ///< as get_context takes it
    static constexpr bool inherits_memory = false;

    /// Starts a child that runs `target`, which may be null.
    /// @throws RuntimeError when this program's main has not called freeze_support()
    /// @throws std::system_error EAGAIN, ENOMEM, EMFILE; ENOENT without /proc, when the program is
    ///         not found by its name either
    template <class Body>
    static std::shared_ptr<detail::Child> start(detail::ProcessIdentity identity, Body&&,
                                                const detail::Target* target) {
        return start_without_body(std::move(identity), target);
    }

  private:
    static std::shared_ptr<detail::Child> start_without_body(detail::ProcessIdentity identity,
                                                             const detail::Target* target);
};

}  // namespace start_method

namespace detail {

struct ProgramCommand;

/// Starts another program as a child, a guest of the family.
/// @param last    its last argument
/// @param message what it is told; it lives until the child was seen to have ended
/// @throws std::system_error EAGAIN, ENOMEM, EMFILE; with the program's name: ENOENT, EACCES, …
std::shared_ptr<Child> spawn_guest(ProcessIdentity identity, const ProgramCommand& program,
                                   const std::string& last, std::shared_ptr<void> message);

/// Lives the rest of a spawned child's life.
[[noreturn]] void run_spawned() noexcept;

}  // namespace detail
}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/start_method/spawn.ipp"
#endif
