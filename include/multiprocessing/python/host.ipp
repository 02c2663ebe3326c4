// multiprocessing/python/host.ipp
//
// How guests are let in, and buried: see host.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/python/host.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <span>
#include <system_error>
#include <thread>
#include <tuple>

#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/detail/thread.hpp"
#include "multiprocessing/heap/burial.hpp"
#include "multiprocessing/logging/event.hpp"
#include "multiprocessing/process/fork_hooks.hpp"
#include "multiprocessing/remote/managers/errors.hpp"

namespace multiprocessing::detail::pythons {

inline HostServer::HostServer(const connection::Address& address,
                              const connection::ListenerOptions& options,
                              std::vector<GuestArgument> arguments)
    : listener_(address, options),
      address_(listener_.address()),
      arguments_(std::move(arguments)),
      wake_(open_descriptor("eventfd", [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); })) {}

inline void HostServer::start() {
    static_cast<void>(self());
    start_thread([server = shared_from_this(), counted = OwnThread()] { server->run(); }).detach();
}

inline void HostServer::stop() noexcept {
    stopping_.store(true);
    const std::uint64_t one = 1;
    // It cannot fail but by EAGAIN, when the counter is full: then the thread wakes up all the
    // same.
    (void)!::write(wake_.get(), &one, sizeof one);
}

inline void HostServer::run() noexcept {
    while (!stopping_.load() || !guests_.empty()) {
        try {
            if (stopping_.load()) listener_.close();
            wait_for_work();
        } catch (const std::exception& error) {
            note(log_level::warning, "python::Host: ", error);
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }
    listener_.close();
}

inline void HostServer::wait_for_work() {
    std::vector<pollfd> entries;
    for (const Guest& guest : guests_) entries.push_back({guest.process.get(), POLLIN, 0});
    if (!listener_.closed()) {
        entries.push_back({wake_.get(), POLLIN, 0});
        entries.push_back({listener_.fileno(), POLLIN, 0});
    }
    // A second: peers in the handshake have a time limit, which try_accept looks after.
    if (::poll(entries.data(), entries.size(), 1000) < 0 && errno != EINTR) {
        throw_system_error("poll");
    }
    bury_ended_guests();
    if (!stopping_.load()) accept_all();
}

inline void HostServer::accept_all() {
    for (;;) {
        try {
            auto connection = listener_.try_accept(0);
            if (!connection) return;
            let_in(std::move(*connection));
        } catch (const AuthenticationError& error) {
            note(log_level::info, "python::Host: ", error);
        }
    }
}

/// Returns the process at the other end of a Unix socket.
inline pid_t peer_of(int socket) {
    ucred peer{};
    socklen_t size = sizeof(peer);
    detail::checked(::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size), "getsockopt");
    return peer.pid;
}

/// Returns what a guest is told: the layout, its place in the family's table, and for each argument
/// its kind, its item, where it is, what it is, and the pickle of a value.
inline pickle::object invitation(ProcessId id, const std::vector<GuestArgument>& arguments) {
    using Part = std::tuple<std::string, std::string, std::uint64_t, int, std::vector<std::byte>>;
    std::vector<Part> parts;
    for (const GuestArgument& argument : arguments) {
        const auto* const value = reinterpret_cast<const std::byte*>(argument.value.data());
        parts.emplace_back(
            argument.kind, argument.item, argument.handle.offset(),
            argument.handle ? static_cast<int>(argument.handle.object()->kind()) : -1,
            std::vector<std::byte>(value, value + argument.value.size()));
    }
    return std::make_tuple(static_cast<std::int64_t>(object_layout), id.index, id.generation,
                           parts);
}

inline void HostServer::let_in(Connection connection) {
    const pid_t pid = peer_of(connection.fileno());
    Descriptor process = open_pidfd(pid);
    if (process.get() < 0) return;  // it has ended
    const ProcessId id = reserve_process(self(), "Guest", {});
    // From now on its end is noticed, whatever it does.
    guests_.push_back({std::move(process), id});
    try {
        connection.send(invitation(id, arguments_));
        Heap& own = heap();
        const std::array fds{own.segment().fd(), own.mailbox().first.get(),
                             own.mailbox().second.get(), own.requests().first.get(),
                             own.requests().second.get()};
        const std::array count{static_cast<std::byte>(fds.size())};  // as Python's recvfds wants it
        if (send_with_descriptors(connection.fileno(), count, fds, MSG_NOSIGNAL) < 0) {
            throw_system_error("sendmsg");
        }
        // Until it has handles of its own on the objects.
        if (!connection.poll(5)) throw TimeoutError("a guest does not answer");
        static_cast<void>(connection.recv<bool>());
    } catch (const std::exception& error) {
        note(log_level::info, "python::Host: ", error);
    }
}

inline void HostServer::bury_ended_guests() noexcept {
    std::erase_if(guests_, [](const Guest& guest) {
        pollfd entry{guest.process.get(), POLLIN, 0};
        if (::poll(&entry, 1, 0) <= 0) return false;
        note_end(guest.id);
        return true;
    });
}

}  // namespace multiprocessing::detail::pythons

namespace multiprocessing::python {

inline Host::Host(const connection::Address& address, const connection::ListenerOptions& options,
                  std::vector<detail::GuestArgument> arguments) {
    if (address.is_tcp() || options.family == "AF_INET") {
        throw ValueError("a Host needs a Unix socket: descriptors cannot be passed through TCP");
    }
    server_ = std::make_shared<detail::pythons::HostServer>(address, options, std::move(arguments));
    server_->start();
}

inline const connection::Address& Host::address() const {
    if (server_ == nullptr) throw ValueError("the host is closed");
    return server_->address();
}

}  // namespace multiprocessing::python
