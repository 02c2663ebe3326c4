// multiprocessing/remote/connection/socket.ipp
//
// How sockets are bound, connected and accepted: see socket.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/connection/socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/connection/address.hpp"

namespace multiprocessing::detail {

/// An address in the system's form.
struct SocketAddress {
    sockaddr_storage bytes{};
    socklen_t size = sizeof(sockaddr_storage);

    [[nodiscard]] const sockaddr* get() const noexcept {
        return reinterpret_cast<const sockaddr*>(&bytes);
    }
    [[nodiscard]] sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&bytes); }
    [[nodiscard]] int family() const noexcept { return bytes.ss_family; }
    [[nodiscard]] bool is_tcp() const noexcept { return family() != AF_UNIX; }
};

[[noreturn, gnu::cold]] inline void throw_at_address(const char* call, const Address& address,
                                                     int error) {
    throw std::system_error(error, std::generic_category(), call + (" " + text_of(address)));
}

inline SocketAddress unix_address(const Address& address) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    // A path ends with a zero byte; a name without a file is as long as the structure says.
    const std::size_t room = sizeof(name.sun_path) - (address.is_abstract() ? 0 : 1);
    if (address.path().size() > room) throw_at_address("AF_UNIX path", address, ENAMETOOLONG);
    std::memcpy(name.sun_path, address.path().data(), address.path().size());
    SocketAddress result;
    std::memcpy(&result.bytes, &name, sizeof(name));
    result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.path().size() +
                                         (address.is_abstract() ? 0 : 1));
    return result;
}

/// Returns the addresses of a host: those of IPv4, which CPython's connections use, first.
/// @param passive whether they are to be bound
inline std::vector<SocketAddress> tcp_addresses(const Address& address, bool passive) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
    const std::string port = std::to_string(address.port());
    const char* const host = address.host().empty() ? nullptr : address.host().c_str();
    addrinfo* found = nullptr;
    const StandardStreamsTaken taken;
    const int error = ::getaddrinfo(host, port.c_str(), &hints, &found);
    if (error != 0) {
        const std::string what =
            "host " + detail::quoted(address.host()) + " is not known: " + ::gai_strerror(error);
        throw std::system_error(error == EAI_SYSTEM ? errno : EADDRNOTAVAIL,
                                std::generic_category(), what);
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
    std::vector<SocketAddress> results;
    for (const int family : {AF_INET, AF_INET6}) {
        for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
            if (entry->ai_family != family) continue;
            SocketAddress result;
            std::memcpy(&result.bytes, entry->ai_addr, entry->ai_addrlen);
            result.size = entry->ai_addrlen;
            results.push_back(result);
        }
    }
    return results;
}

inline std::vector<SocketAddress> socket_addresses(const Address& address, bool passive) {
    if (address.is_tcp()) return tcp_addresses(address, passive);
    return {unix_address(address)};
}

inline Descriptor new_socket(const SocketAddress& address) {
    return open_descriptor(
        "socket", [&] { return ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0); });
}

/// Small messages leave at once. A failure is ignored: they would leave later.
inline void send_without_delay(int fd, int family) noexcept {
    const int on = 1;
    if (family != AF_UNIX) (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

inline Descriptor try_to_listen(const SocketAddress& address, int backlog, int& error) {
    Descriptor fd = new_socket(address);
    const int on = 1;
    if (address.is_tcp()) {
        // The port is free again as soon as the last listener is closed.
        checked(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "setsockopt");
    } else {
        // Before bind(2), which makes the file with these permissions.
        checked(::fchmod(fd.get(), S_IRUSR | S_IWUSR), "fchmod");
    }
    error = 0;
    if (::bind(fd.get(), address.get(), address.size) != 0 || ::listen(fd.get(), backlog) != 0) {
        error = errno;
        fd.reset();
    }
    return fd;
}

inline Descriptor listen_at(const Address& address, int backlog) {
    int error = EADDRNOTAVAIL;
    for (const SocketAddress& candidate : socket_addresses(address, true)) {
        Descriptor fd = try_to_listen(candidate, backlog, error);
        if (!fd) continue;
        // Several processes may wait for a connection that only one of them gets.
        const int flags = checked(::fcntl(fd.get(), F_GETFL), "fcntl");
        checked(::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK), "fcntl");
        return out_of_the_way(std::move(fd));
    }
    throw_at_address("bind", address, error);
}

/// Limits how long connect(2) waits: for a Unix socket whose listener's queue is full there is
/// nothing that poll(2) could wait for.
inline void limit_connect(int fd, const Deadline& deadline) {
    if (deadline.is_forever()) return;
    const auto left = std::chrono::ceil<std::chrono::microseconds>(deadline.left());
    const auto count = (std::max)(std::int64_t{1}, std::int64_t{left.count()});  // 0: for ever
    const timeval limit{static_cast<time_t>(count / 1'000'000),
                        static_cast<suseconds_t>(count % 1'000'000)};
    checked(::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), "setsockopt");
}

inline void lift_limit(int fd) {
    const timeval none{};
    checked(::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)), "setsockopt");
}

/// Waits for a connection that a signal has not ended. @returns 0, or why there is none
inline int wait_for_connection(int fd, const Deadline& deadline) {
    for (;;) {
        pollfd entry{fd, POLLOUT, 0};
        const timespec wait = deadline.left_as_timespec(std::chrono::hours(1));
        const int ready = ::ppoll(&entry, 1, &wait, nullptr);
        if (ready < 0 && errno != EINTR) return errno;
        if (ready > 0) break;
        if (deadline.has_passed()) return EAGAIN;
    }
    int error = 0;
    socklen_t size = sizeof(error);
    checked(::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), "getsockopt");
    return error;
}

/// Connects. @returns 0, or why not: EAGAIN when the deadline has passed
inline int connect_socket(int fd, const SocketAddress& address, const Deadline& deadline) {
    for (;;) {
        limit_connect(fd, deadline);
        if (::connect(fd, address.get(), address.size) == 0) return 0;
        if (errno == EINPROGRESS) return EAGAIN;  // of TCP, at the limit
        if (errno != EINTR) return errno;
        // TCP goes on by itself, and a second call would fail. A Unix socket has not begun.
        if (address.is_tcp()) return wait_for_connection(fd, deadline);
    }
}

inline Descriptor connect_to(const Address& address, const Deadline& deadline) {
    int error = EADDRNOTAVAIL;
    for (const SocketAddress& candidate : socket_addresses(address, false)) {
        Descriptor fd = new_socket(candidate);
        error = connect_socket(fd.get(), candidate, deadline);
        if (error == EAGAIN && !deadline.is_forever()) {
            throw TimeoutError("the listener at " + text_of(address) +
                               " has not taken the connection in time");
        }
        if (error != 0) continue;
        if (!deadline.is_forever()) lift_limit(fd.get());
        send_without_delay(fd.get(), candidate.family());
        return fd;
    }
    throw_at_address("connect", address, error);
}

inline Address address_from(const SocketAddress& address) {
    if (!address.is_tcp()) {
        const std::size_t start = offsetof(sockaddr_un, sun_path);
        if (address.size <= start) return {};
        sockaddr_un name{};
        std::memcpy(&name, &address.bytes, sizeof(name));
        std::string path(name.sun_path, address.size - start);
        if (path.front() != '\0') path.resize(std::strlen(path.c_str()));
        return path;
    }
    char host[INET6_ADDRSTRLEN] = "";
    if (address.family() == AF_INET) {
        sockaddr_in name{};
        std::memcpy(&name, &address.bytes, sizeof(name));
        ::inet_ntop(AF_INET, &name.sin_addr, host, sizeof(host));
        return {host, ntohs(name.sin_port)};
    }
    sockaddr_in6 name{};
    std::memcpy(&name, &address.bytes, sizeof(name));
    ::inet_ntop(AF_INET6, &name.sin6_addr, host, sizeof(host));
    return {host, ntohs(name.sin6_port)};
}

inline AcceptedSocket accept_from(int listening) {
    SocketAddress peer;
    Descriptor fd = try_to_open([&] {
        peer.size = sizeof(peer.bytes);
        return ::accept4(listening, peer.get(), &peer.size, SOCK_CLOEXEC);
    });
    if (!fd) {
        // accept(2): an error of the connection that was next is no error of the listener.
        switch (errno) {
            case EAGAIN:
            case EINTR:
            case ECONNABORTED:
            case ENETDOWN:
            case EPROTO:
            case ENOPROTOOPT:
            case EHOSTDOWN:
            case ENONET:
            case EHOSTUNREACH:
            case ENETUNREACH:
                return {};
            default:
                throw_system_error("accept");
        }
    }
    send_without_delay(fd.get(), peer.family());
    return {out_of_the_way(std::move(fd)), address_from(peer)};
}

inline Address bound_address(int socket) {
    SocketAddress own;
    checked(::getsockname(socket, own.get(), &own.size), "getsockname");
    return address_from(own);
}

}  // namespace multiprocessing::detail
