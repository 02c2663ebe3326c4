// multiprocessing/start_method/forkserver.hpp
//
// The forkserver start method: one clean process forks all children. It is started with the first
// child. The children are as cheap as forked ones, whatever memory and threads the parent has, and
// have no copy of its memory. Mirrors CPython Lib/multiprocessing/popen_forkserver.py. Floor 3.
//
// The whole path: forkserver::start writes the child's identity and target to the heap as a message
// (process/message.hpp) and sends its place to the server (fork_server/client.hpp), which forks
// (fork_server/server.hpp). SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "multiprocessing/process/child.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/process/target.hpp"

namespace multiprocessing {
namespace start_method {

/// Start a child by asking a server to fork it.
struct forkserver {
    static constexpr std::string_view name = "forkserver";  ///< as get_context takes it
    static constexpr bool inherits_memory = false;

    /// Starts a child that runs `target`, which may be null. The first one starts the server.
    /// @par Processes The child has the standard output and error, the working directory and the
    /// blocked signals of the thread that starts it. It has the environment and the process group
    /// of the process that started the server. A server that was killed is replaced; its children
    /// go on.
    /// @throws RuntimeError when this program's main has not called freeze_support(), or when the
    ///         server does not start
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

/// Has each fork server that starts from now on make the call of `target`, which must travel.
void set_preload(const Target& target);

}  // namespace detail

/// Has the fork server call `f(args...)` once, before it forks the first child. Every child has
/// what that loads from its birth, and shares the memory of it for as long as nobody writes to it.
/// Call it before forkserver starts the first process: it has no effect on a server that runs, but
/// on one that replaces it. An exception is reported on standard error and stops nothing.
/// @par Source CPython Lib/multiprocessing/forkserver.py, set_forkserver_preload
template <class F, class... Args>
void set_forkserver_preload(F&& f, Args&&... args) {
    const auto target = detail::make_target<false>(std::forward<F>(f), std::forward<Args>(args)...);
    detail::set_preload(*target);
}

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/start_method/forkserver.ipp"
#endif
