// multiprocessing/start_method/forkserver.hpp
//
// The forkserver start method: one clean process, started when the first child is, forks all
// children. They are as cheap as forked ones, whatever memory and threads the parent has, and have
// no copy of it. Mirrors CPython Lib/multiprocessing/popen_forkserver.py. Floor 3.
//
// The whole path: forkserver::start writes the child's identity and target to the heap as a message
// (process/message.hpp) and sends its place to the server (fork_server/client.hpp), which forks
// (fork_server/server.hpp). SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "multiprocessing/process/message.hpp"
#include "multiprocessing/start_method/fork_server/client.hpp"

namespace multiprocessing {
namespace start_method {

/// Start a child by asking a server to fork it.
struct forkserver {
    static constexpr std::string_view name = "forkserver";  ///< as get_context takes it
    static constexpr bool inherits_memory = false;

    /// Starts a child that runs `target`, which may be null. The first one starts the server.
    /// @par Processes The child has the standard output and error, the working directory and the
    /// blocked signals of the thread that starts it, the environment of the one that started the
    /// server. A server that was killed is replaced; its children go on.
    /// @throws RuntimeError when this program's main has not called freeze_support(), or when the
    /// server does not start
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
        detail::flush_standard_streams();
        std::shared_ptr<void> message = detail::make_start_message(identity, target);
        const detail::Offset place = detail::heap().offset_of(message.get());
        const detail::ProcessId server = detail::ask_fork_server(identity, place, identity.id);
        detail::Family& family = detail::heap().family();
        const pid_t pid = detail::ProcessRecord::pid_of(
            family[identity.id].state.load(std::memory_order_acquire));
        // Opened first, looked up then: it cannot be a successor's if the child is alive
        // afterwards. One that has ended already needs none.
        detail::Descriptor pidfd = open_pidfd_or_kill(pid, identity.id);
        if (!family.is_alive(identity.id)) pidfd.reset();
        return std::make_shared<detail::Child>(identity.id, pid, std::move(pidfd), identity.name,
                                               identity.daemon, std::move(message), server);
    }

    /// Without a pidfd the child could not be watched.
    static detail::Descriptor open_pidfd_or_kill(pid_t pid, detail::ProcessId id) {
        try {
            return detail::open_pidfd(pid);
        } catch (...) {
            detail::Family& family = detail::heap().family();
            if (family.is_alive(id)) ::kill(pid, SIGKILL);
            while (family.is_alive(id)) ::usleep(1000);  // nothing of it may run when it is buried
            detail::note_end(id);
            throw;
        }
    }
};

}  // namespace start_method

/// Has the fork server call `f(args...)` once, before it forks the first child: what that loads,
/// every child has from its birth, and shares its memory for as long as nobody writes to it. To be
/// called before the first process is started by forkserver; a server that runs is not warmed up,
/// one that replaces it is. An exception is reported on standard error and stops nothing.
/// @par Source CPython Lib/multiprocessing/forkserver.py, set_forkserver_preload
template <class F, class... Args>
void set_forkserver_preload(F&& f, Args&&... args) {
    const auto target = detail::make_target<false>(std::forward<F>(f), std::forward<Args>(args)...);
    detail::OutputArchive archive;
    target->save(archive);
    void* const message = detail::make_payload(archive);
    // release: pairs with the acquire of the server. One that was set before stays where it is: a
    // server that is just starting may be reading it.
    detail::fork_server_state().preload.store(detail::heap().offset_of(message),
                                              std::memory_order_release);
}

}  // namespace multiprocessing
