// multiprocessing/start_method/fork_server/server.ipp
//
// How the fork server works: see server.hpp. Start at run_fork_server, at the end.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/start_method/fork_server/server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/open_streams.hpp"
#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/detail/signal_set.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/heap/inheritance.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/lifeline.hpp"
#include "multiprocessing/process/message.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/process/target.hpp"
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/start_method/fork_server/state.hpp"

namespace multiprocessing::detail {

/// The server itself, once it has its place in the family.
class ForkServer {
  public:
    /// @param id this process's place in the family's table
    explicit ForkServer(ProcessId id) : id_(id) {
        // The server waits until all sending ends are closed, so it must not hold one itself.
        heap().requests().first.reset();
        unblock_signals();
        ignore_interrupts();
        open_null_device();
        bind_calls_of_children();
        flush_standard_streams();  // binds, too: nothing has been written yet
        (void)main_image();        // looked for once here, and not in each child
        note_children();           // a server before it may have been killed
    }

    /// Runs what the family has told it to run first.
    void run_preload() {
        const Offset message = fork_server_state().preload.load(std::memory_order_acquire);
        if (message != 0) {
            try {
                const PayloadView payload(heap().at(message));
                InputArchive archive(payload.bytes(), payload.handles());
                run_received_target(archive);
            } catch (...) {  // children can do without it, at worst more slowly
                report_exception(fork_server_name);
            }
            flush_standard_streams();
            flush_open_streams();  // or each child would write it, too
        }
        // The children have copies of what was made so far. The server keeps it until its end, and
        // its shadow keeps it for as long as there are children.
        heap().family()[id_].copies.store(ProcessRecord::held_for);
        watch_signals();
        leave_streams();
    }

    /// Serves until the family has ended, or until it is told to end and has no children. It waits
    /// for the children so that a process that asks how one of them has ended gets the true answer:
    /// the same signal may have killed that one.
    void serve() {
        const int requests = heap().requests().second.get();
        while (!is_told_to_end_ || !children_.empty()) {
            pollfd entries[2] = {{requests, POLLIN, 0}, {signals_.get(), POLLIN, 0}};
            if (::poll(entries, 2, -1) < 0 && errno != EINTR) throw_system_error("poll");
            if (entries[1].revents != 0) take_signals();
            if (entries[0].revents != 0 && !serve_one(requests)) return;
        }
    }

    /// Leaves the process group of the process that needed it first, as its last act. init may take
    /// a while to collect the server, and a program that waits for the last process of that group
    /// does not mean a zombie of the library's. Not earlier: its children would then have a parent
    /// in another group of the session, so their group would not count as an orphaned one; and when
    /// the server ends, the kernel sends SIGHUP to all of such a group if one of them is stopped.
    /// See setpgid(2).
    static void leave_group() noexcept { (void)::setpgid(0, 0); }

  private:
    /// A request as it has arrived.
    struct Order {
        ForkRequest request{};
        std::vector<Descriptor> fds;
    };

    /// The thread that needed the server first may block signals, as a pool's own thread does. The
    /// server could then not be told to end. Children get what their own parents block.
    static void unblock_signals() {
        sigset_t none;
        ::sigemptyset(&none);
        checked(::sigprocmask(SIG_SETMASK, &none, nullptr), "sigprocmask");
    }

    /// A terminal's Ctrl-C is for the program. The server has to live for its last children.
    void ignore_interrupts() {
        struct sigaction ignore {};
        ignore.sa_handler = SIG_IGN;
        ::sigaction(SIGINT, &ignore, &interrupt_before_);
    }

    /// Arranges that ends of children arrive as something to read, and so does the request to end.
    /// Called after the preload function, which may have its own ideas of SIGCHLD.
    void watch_signals() {
        struct sigaction standard {};
        standard.sa_handler = SIG_DFL;
        ::sigaction(SIGCHLD, &standard, nullptr);
        sigset_t watched;
        ::sigemptyset(&watched);
        ::sigaddset(&watched, SIGCHLD);
        ::sigaddset(&watched, SIGTERM);
        checked(::sigprocmask(SIG_BLOCK, &watched, nullptr), "sigprocmask");
        signals_ = out_of_the_way(open_descriptor(
            "signalfd", [&] { return ::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK); }));
    }

    /// Lets go of the streams of the process that started the server: if one is a pipe, its reader
    /// waits for its end. Children get those of their own parents.
    static void leave_streams() {
        const Descriptor null =
            try_to_open([] { return ::open("/dev/null", O_WRONLY | O_CLOEXEC); });
        // Where there is none, a stream that cannot be written to: a write fails, and raises no
        // signal.
        const int sink = null ? null.get() : open_null_device();
        checked(::dup2(sink, STDOUT_FILENO), "dup2");
        checked(::dup2(sink, STDERR_FILENO), "dup2");
    }

    void take_signals() {
        signalfd_siginfo signal;
        while (::read(signals_.get(), &signal, sizeof signal) > 0) {
            if (signal.ssi_signo == SIGTERM) is_told_to_end_ = true;
        }
        collect_children();
    }

    void collect_children() {
        for (;;) {
            siginfo_t info{};
            // Looked at, noted, and only then collected: for as long as there is no note, the pid
            // is the child's, see ask_fork_server.
            const int found = ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
            if (found != 0 || info.si_pid == 0) return;
            if (const auto child = children_.extract(info.si_pid)) {
                note_children();
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
            note_children();
        }
    }

    void note_children() noexcept { fork_server_state().children.store(children_.size()); }

    /// The child's first steps: it takes its place, and what its parent has sent along. It leaves
    /// if its place was given to another child because this one was too late.
    [[noreturn]] void run_forked(Order order, ProcessId id) noexcept {
        Family& family = heap().family();
        const ForkRequest& request = order.request;
        // Commits: from here on the parent has a child, and will not ask for another one.
        if (!family.activate(id, ::getpid())) ::_exit(0);
        family.note_origin(id, {0, id_});
        futex_wake(futex_half(family[id].state));
        signals_.reset();
        auto next = order.fds.begin();
        Lifelines lifelines;
        for (unsigned i = 0; i < request.lifelines; ++i) lifelines.add(std::move(*next++));
        heap().requests().first = std::move(*next++);
        // A folder that may no longer be entered is not worth a child's life, and neither is a
        // stream that cannot be had.
        if ((request.descriptors & ForkRequest::with_directory) != 0) {
            (void)!::fchdir((next++)->get());
        }
        replace_stream(STDOUT_FILENO, request, ForkRequest::with_output, next);
        replace_stream(STDERR_FILENO, request, ForkRequest::with_error, next);
        order.fds.clear();
        ::sigaction(SIGINT, &interrupt_before_, nullptr);
        const sigset_t blocked = from_bits(request.blocked);
        ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
        run_start_message(request.message, id, std::move(lifelines));
    }

    static void replace_stream(int stream, const ForkRequest& request, std::uint16_t bit,
                               std::vector<Descriptor>::iterator& next) noexcept {
        if ((request.descriptors & bit) != 0) {
            (void)::dup2((next++)->get(), stream);
        } else {
            ::close(stream);  // as it is in the parent
        }
    }

    const ProcessId id_;
    struct sigaction interrupt_before_ {};
    Descriptor signals_;
    bool is_told_to_end_ = false;
    std::map<pid_t, ProcessId> children_;
};

MULTIPROCESSING_INLINE void run_fork_server() noexcept {
    try {
        const ProcessId id = take_inheritance().id;
        Family& family = heap().family();
        // Forks once more, so that the server is no child of the process that happened to need it
        // first: it would turn up wherever that program waits for any child.
        const pid_t pid = checked(::fork(), "fork");
        if (pid != 0) ::_exit(family.activate(id, pid) ? 0 : 1);
        // The process that wanted it was killed meanwhile, and another process has started another
        // one.
        if (!family.activate(id, ::getpid())) ::_exit(1);
        ProcessIdentity identity;
        identity.name = fork_server_name;
        identity.id = id;
        become(std::move(identity));
        ForkServer server(id);
        server.run_preload();
        server.serve();
        ForkServer::leave_group();
        ::_exit(0);
    } catch (...) {
        report_exception(fork_server_name);
        ::_exit(1);
    }
}

}  // namespace multiprocessing::detail
