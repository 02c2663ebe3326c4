// multiprocessing/start_method/fork_server/client.ipp
//
// How the fork server is started and asked: see client.hpp. Start at ask_fork_server, at the end.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/start_method/fork_server/client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/detail/signal_set.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/heap/inheritance.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/lifeline.hpp"
#include "multiprocessing/process/rerun.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/start_method/fork_server/server.hpp"
#include "multiprocessing/start_method/fork_server/state.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// How long a process waits for the server before it looks whether the server lives.
constexpr std::chrono::milliseconds server_check_interval{2};

/// Starts a server. @pre the caller holds ForkServerState::starting
MULTIPROCESSING_INLINE ProcessId start_fork_server(ForkServerState& state) {
    Family& family = heap().family();
    const ProcessId id = reserve_process(self(), fork_server_name);
    // Commits, before there is a server. If this process is killed from here on, the next one finds
    // the place that the server is to take, and gives it back. A second server beside it would take
    // its requests away.
    state.server.store(Family::pack(id), std::memory_order_release);
    try {
        const pid_t pid =
            rerun_program({Role::fork_server, 0, id}, "--multiprocessing-forkserver", {});
        // What was started forks the server and ends.
        const Descriptor starter = open_pidfd(pid);
        if (starter) poll_readable(starter.get(), Deadline(Timeout()));
        // Fails where SIGCHLD is ignored, or where the program waits for any child.
        (void)retry_on_eintr([&] { return ::waitpid(pid, nullptr, 0); });
    } catch (...) {
        note_end(id);
        throw;
    }
    if (family[id].phase() == ProcessRecord::running) return id;
    note_end(id);
    throw RuntimeError(
        "the fork server did not start. If it has said nothing on standard error, it has left the "
        "program's main too early: write\n"
        "    multiprocessing::freeze_support();\n"
        "as the first line of main(), before it looks at its arguments");
}

/// Ends the server when its family ends in order, so that nothing outlives the program. A server
/// whose family is killed ends by itself, a moment later.
MULTIPROCESSING_INLINE void end_fork_server() noexcept {
    // A child of the program's own fork is not the end of the family.
    if (fork_depth() != 0) return;
    try {
        const ProcessId server = Family::unpack(fork_server_state().server.load());
        const std::uint64_t state = heap().family()[server].state.load();
        if (!ProcessRecord::is_of(state, server)) return;
        const Descriptor pidfd = open_pidfd(ProcessRecord::pid_of(state));
        if (!pidfd || !heap().family().is_alive(server)) return;
        signal_pidfd(pidfd.get(), SIGTERM);
        // A server that has children left, whose parents were killed, ends with the last of them.
        if (fork_server_state().children.load() != 0) return;
        poll_readable(pidfd.get(), Deadline(std::chrono::seconds(1)));
    } catch (...) {  // no descriptor left, say; then the server ends when it notices
    }
}

/// Returns a running fork server, started now if there is none.
/// @param dead a server that is known to have ended
/// @throws RuntimeError, std::system_error when it cannot be started
MULTIPROCESSING_INLINE ProcessId ensure_fork_server(ProcessId dead = {}) {
    ForkServerState& state = fork_server_state();
    const auto usable = [&](ProcessId id) { return id && id != dead; };
    ProcessId server = Family::unpack(state.server.load(std::memory_order_acquire));
    if (usable(server)) return server;
    struct Turn {
        explicit Turn(LockWord& lock) : lock_(lock) { lock_.acquire_or_recover(); }
        ~Turn() { lock_.release(); }
        LockWord& lock_;
    } const turn(state.starting);
    server = Family::unpack(state.server.load(std::memory_order_acquire));
    if (usable(server)) return server;
    note_end(dead);
    state.server.store(0);
    return start_fork_server(state);
}

/// Returns the working directory; none when it cannot be opened, which is no error.
MULTIPROCESSING_INLINE Descriptor open_directory() noexcept {
    return try_to_open([] { return ::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC); });
}

/// Sends a request. @returns false when the server has ended meanwhile
/// @throws std::system_error EMFILE
MULTIPROCESSING_INLINE bool send_to_fork_server(ForkRequest request, const ProcessIdentity& child,
                                                ProcessId server) {
    const int socket = heap().requests().first.get();
    std::vector<int> fds = lifelines_for_child(child.dies_with_parent);
    request.lifelines = static_cast<std::uint16_t>(fds.size());
    fds.push_back(socket);
    const Descriptor directory = open_directory();
    const auto add = [&](int fd, std::uint16_t bit) {
        if (fd < 0 || ::fcntl(fd, F_GETFD) < 0) return;
        fds.push_back(fd);
        request.descriptors |= bit;
    };
    add(directory.get(), ForkRequest::with_directory);
    add(STDOUT_FILENO, ForkRequest::with_output);
    add(STDERR_FILENO, ForkRequest::with_error);
    for (;;) {
        const ssize_t sent =
            send_with_descriptors(socket, std::as_bytes(std::span(&request, 1)), fds, MSG_DONTWAIT);
        if (sent >= 0) return true;
        // The socket is full, or too many descriptors of this user are on their way: the server
        // will read some.
        if (errno != EAGAIN && errno != ENOBUFS && errno != ETOOMANYREFS) {
            throw_system_error("sendmsg");
        }
        pollfd entry{socket, errno == EAGAIN ? short{POLLOUT} : short{0}, 0};
        ::poll(&entry, 1, static_cast<int>(server_check_interval.count()));
        if (!heap().family().is_alive(server)) return false;
    }
}

/// Waits until the child that was asked for runs.
/// @returns false when it never will, because the server, or the child itself, has ended before
/// @throws std::system_error EAGAIN, ENOMEM, EMFILE: the server could not fork
MULTIPROCESSING_INLINE bool wait_until_forked(ProcessId child, ProcessId server) {
    Family& family = heap().family();
    const std::atomic<std::uint64_t>& word = family[child].state;
    for (;;) {
        const std::uint64_t state = word.load(std::memory_order_acquire);
        if (ProcessRecord::phase_of(state) == ProcessRecord::running) return true;
        const Ending ending = family.ending(child);
        if (ending.kind == Ending::refused) {
            throw_system_error("fork", ending.value);
        }
        const timespec interval{0, std::chrono::nanoseconds(server_check_interval).count()};
        const bool timed_out =
            futex_wait(futex_half(word), static_cast<std::uint32_t>(state), &interval);
        const bool lost = ending.kind == Ending::ended || (timed_out && !family.is_alive(server));
        if (lost) return !family.withdraw(child);  // it may have begun in this very moment
    }
}

MULTIPROCESSING_INLINE ProcessId ask_fork_server(const ProcessIdentity& identity, Offset message,
                                                 ProcessId& id) {
    constexpr int most_attempts = 100;
    // Servers that die late, after they have loaded for a long time, are tried less often, but more
    // than once.
    constexpr int fewest_attempts = 3;
    constexpr std::chrono::seconds longest{30};
    const auto since = std::chrono::steady_clock::now();
    Family& family = heap().family();
    end_server.store(end_fork_server);
    sigset_t blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    ProcessId server = ensure_fork_server();
    int attempts = 0;
    do {
        ++attempts;
        id = reserve_process(identity.parent_id, identity.name);
        try {
            const ForkRequest request{
                Family::pack(server), Family::pack(id), message, to_bits(blocked), 0, 0, 0};
            if (send_to_fork_server(request, identity, server) && wait_until_forked(id, server)) {
                return server;
            }
            family.withdraw(id);
            if (!family.is_alive(server)) server = ensure_fork_server(server);
        } catch (...) {
            family.release(id);
            throw;
        }
    } while (attempts < fewest_attempts ||
             (attempts < most_attempts && std::chrono::steady_clock::now() - since < longest));
    throw RuntimeError("the fork server ended " + std::to_string(attempts) +
                       " times before it had forked the child: does its preload function crash, or "
                       "is something killing it?");
}

}  // namespace multiprocessing::detail
