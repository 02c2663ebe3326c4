// multiprocessing/start_method/fork_server/server.hpp
//
// The fork server: one clean process with one thread, which forks the children that its family asks
// for, and passes their exit codes on. It ends with the last process of the family. Mirrors CPython
// Lib/multiprocessing/forkserver.py, main. Floor 3. Start at run_fork_server.
// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/detail/signal_set.hpp"
#include "multiprocessing/process/message.hpp"
#include "multiprocessing/start_method/fork_server/state.hpp"

namespace multiprocessing::detail {

class ForkServer {
  public:
    /// @param id this process's place in the family's table
    explicit ForkServer(ProcessId id) : id_(id) {
        // Its end would otherwise be waited for by the one who waits for it.
        heap().requests().first.reset();
        unblock_signals();
        ignore_interrupts();
        open_null_device();
    }

    /// Runs what the family has told it to run first.
    void run_preload() {
        const Offset message = fork_server_state().preload.load(std::memory_order_acquire);
        if (message != 0) {
            try {
                const PayloadView payload(heap().at(message));
                InputArchive archive(payload.bytes(), payload.handles());
                run_received_target(archive);
            } catch (...) {  // children can do without it, at most slower
                report_exception(name);
            }
            flush_standard_streams();
        }
        // What was made so far, the children have copies of. The server keeps it until its end, and
        // its shadow for as long as there are children.
        heap().family()[id_].copies.store(ProcessRecord::held_for);
        watch_children();
        leave_streams();
    }

    /// Serves until the family has ended.
    void serve() {
        const int requests = heap().requests().second.get();
        for (;;) {
            pollfd entries[2] = {{requests, POLLIN, 0}, {child_signals_.get(), POLLIN, 0}};
            if (::poll(entries, 2, -1) < 0 && errno != EINTR) throw_system_error("poll");
            if (entries[1].revents != 0) collect_children();
            if (entries[0].revents != 0 && !serve_one(requests)) return;
        }
    }

    static constexpr const char* name = "ForkServer";

  private:
    /// A request as it has arrived.
    struct Order {
        ForkRequest request{};
        std::vector<Descriptor> fds;
    };

    /// Whoever needed the server first may block signals, as a pool's own thread does; the server
    /// could then not be told to end. Children are given what their own parents block.
    static void unblock_signals() {
        sigset_t none;
        ::sigemptyset(&none);
        check(::sigprocmask(SIG_SETMASK, &none, nullptr), "sigprocmask");
    }

    /// A terminal's Ctrl-C is for the program; the server has to live for its last children.
    void ignore_interrupts() {
        struct sigaction ignore {};
        ignore.sa_handler = SIG_IGN;
        ::sigaction(SIGINT, &ignore, &interrupt_before_);
    }

    /// Arranges that ends of children arrive as something to read. After the preload function,
    /// which may have its own ideas of SIGCHLD.
    void watch_children() {
        struct sigaction standard {};
        standard.sa_handler = SIG_DFL;
        ::sigaction(SIGCHLD, &standard, nullptr);
        sigset_t children;
        ::sigemptyset(&children);
        ::sigaddset(&children, SIGCHLD);
        check(::sigprocmask(SIG_BLOCK, &children, nullptr), "sigprocmask");
        child_signals_ =
            Descriptor(check(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
    }

    /// Lets go of the streams of the one who started the server: if one is a pipe, its reader waits
    /// for its end. Children get those of their own parents.
    static void leave_streams() {
        const Descriptor null(check(::open("/dev/null", O_WRONLY | O_CLOEXEC), "open"));
        check(::dup2(null.get(), STDOUT_FILENO), "dup2");
        check(::dup2(null.get(), STDERR_FILENO), "dup2");
    }

    void collect_children() {
        signalfd_siginfo signals[16];
        while (::read(child_signals_.get(), signals, sizeof(signals)) > 0) {
        }
        for (;;) {
            siginfo_t info{};
            // Looked at, noted, and only then taken away: for as long as there is no note, the pid
            // is the child's, see ask_fork_server.
            const int found = ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
            if (found != 0 || info.si_pid == 0) return;
            if (const auto child = children_.extract(info.si_pid)) {
                heap().family().note_ending(
                    child.mapped(),
                    {Ending::ended, static_cast<std::int16_t>(exitcode_from(info))});
            }
            ::waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
        }
    }

    /// @returns false when the family has ended
    bool serve_one(int requests) {
        Order order;
        auto received = receive_with_descriptors(
            requests, std::as_writable_bytes(std::span(&order.request, 1)), MSG_DONTWAIT);
        if (received.size == 0) return false;
        if (received.size < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
            throw_system_error("recvmsg");
        }
        if (order.request.server != Family::pack(id_)) return true;  // its asker has asked again
        const ProcessId child = Family::unpack(order.request.child);
        if (!received.complete) {
            heap().family().note_ending(child, {Ending::refused, EMFILE});
            return true;
        }
        order.fds = std::move(received.fds);
        fork_child(std::move(order), child);
        return true;
    }

    void fork_child(Order order, ProcessId id) {
        forking_a_child = true;
        const pid_t pid = ::fork();
        const int error = errno;
        forking_a_child = false;
        if (pid == 0) run_forked(std::move(order), id);
        if (pid < 0) {
            heap().family().note_ending(id, {Ending::refused, static_cast<std::int16_t>(error)});
        } else {
            children_.emplace(pid, id);
        }
    }

    /// The child's first steps: it takes its place, unless it was given to another one because
    /// this one was too late, and what its parent has sent along.
    [[noreturn]] void run_forked(Order order, ProcessId id) noexcept {
        Family& family = heap().family();
        // Commits: from here on the parent has a child, and will not ask for another one.
        if (!family.activate(id, ::getpid())) ::_exit(0);
        family.note_origin(id, {0, id_});
        futex_wake(futex_half(family[id].state));
        child_signals_.reset();
        const ForkRequest& request = order.request;
        auto next = order.fds.begin();
        Descriptor lifeline = std::move(*next++);
        heap().requests().first = std::move(*next++);
        // Neither is worth a child's life: a folder that may no longer be entered, a stream that
        // cannot be had.
        if ((request.descriptors & ForkRequest::with_directory) != 0) {
            (void)!::fchdir((next++)->get());
        }
        replace_stream(STDOUT_FILENO, request, ForkRequest::with_output, next);
        replace_stream(STDERR_FILENO, request, ForkRequest::with_error, next);
        order.fds.clear();
        ::sigaction(SIGINT, &interrupt_before_, nullptr);
        const sigset_t blocked = from_bits(request.blocked);
        ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
        run_start_message(request.message, id, std::move(lifeline));
    }

    static void replace_stream(int stream, const ForkRequest& request, std::uint32_t bit,
                               std::vector<Descriptor>::iterator& next) noexcept {
        if ((request.descriptors & bit) != 0) {
            (void)::dup2((next++)->get(), stream);
        } else {
            ::close(stream);  // as it is in the parent
        }
    }

    const ProcessId id_;
    struct sigaction interrupt_before_ {};
    Descriptor child_signals_;
    std::map<pid_t, ProcessId> children_;
};

/// The life of the process that was started as the fork server.
[[noreturn]] inline void run_fork_server() noexcept {
    try {
        const ProcessId id = take_inheritance().id;
        Family& family = heap().family();
        // Once more, so that the server is no child of the one who happened to need it first: it
        // would turn up wherever that program waits for any child.
        const pid_t pid = check(::fork(), "fork");
        if (pid != 0) ::_exit(family.activate(id, pid) ? 0 : 1);
        // Whoever wanted it was killed meanwhile, and somebody else has another one started.
        if (!family.activate(id, ::getpid())) ::_exit(1);
        ProcessIdentity identity;
        identity.name = ForkServer::name;
        identity.id = id;
        become(std::move(identity));
        ForkServer server(id);
        server.run_preload();
        server.serve();
        ::_exit(0);
    } catch (...) {
        report_exception(ForkServer::name);
        ::_exit(1);
    }
}

}  // namespace multiprocessing::detail
