// multiprocessing/remote/managers/clients.ipp
//
// How a peer's process is found, and watched: see clients.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/clients.hpp"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <system_error>

#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// An address as /proc/net/tcp writes it: "0100007F:C350"; of IPv6 as /proc/net/tcp6 does.
inline std::string address_in_proc(const sockaddr_storage& address) {
    char text[48];
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        std::snprintf(text, sizeof text, "%08X:%04X", v4.sin_addr.s_addr, ntohs(v4.sin_port));
        return text;
    }
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    std::uint32_t words[4];
    std::memcpy(words, &v6.sin6_addr, sizeof words);
    std::snprintf(text, sizeof text, "%08X%08X%08X%08X:%04X", words[0], words[1], words[2],
                  words[3], ntohs(v6.sin6_port));
    return text;
}

/// Returns the inode of the socket between two addresses, both as /proc writes them; 0: none is
/// here.
inline unsigned long inode_of_socket(const char* table, const std::string& local,
                                     const std::string& remote) {
    FILE* const file = std::fopen(table, "re");
    if (file == nullptr) return 0;
    unsigned long inode = 0;
    char line[512];
    while (inode == 0 && std::fgets(line, sizeof line, file) != nullptr) {
        char from[64];
        char to[64];
        unsigned long found = 0;
        // sl local remote state queues timer retransmissions uid timeout inode
        const int read =
            std::sscanf(line, " %*d: %63s %63s %*x %*s %*s %*s %*d %*d %lu", from, to, &found);
        if (read == 3 && local == from && remote == to) inode = found;
    }
    std::fclose(file);
    return inode;
}

/// Says whether a process has a descriptor of this socket.
inline bool has_socket(const std::string& pid, const std::string& link) {
    const std::string folder = "/proc/" + pid + "/fd/";
    DIR* const directory = ::opendir(folder.c_str());
    if (directory == nullptr) return false;  // it has ended, or is another user's
    bool found = false;
    while (const dirent* const entry = found ? nullptr : ::readdir(directory)) {
        char target[64];
        const ssize_t size = ::readlink((folder + entry->d_name).c_str(), target, sizeof target);
        found = size > 0 && link == std::string_view(target, static_cast<std::size_t>(size));
    }
    ::closedir(directory);
    return found;
}

/// Returns a process that has a descriptor of this socket; it looks among the likely ones first.
inline pid_t process_with_socket(unsigned long inode, const std::vector<pid_t>& likely) {
    const std::string link = "socket:[" + std::to_string(inode) + "]";
    for (const pid_t pid : likely) {
        if (has_socket(std::to_string(pid), link)) return pid;
    }
    DIR* const processes = ::opendir("/proc");
    if (processes == nullptr) return 0;
    pid_t found = 0;
    while (const dirent* const entry = found != 0 ? nullptr : ::readdir(processes)) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        if (has_socket(entry->d_name, link)) found = static_cast<pid_t>(std::atol(entry->d_name));
    }
    ::closedir(processes);
    return found;
}

/// Writes a mapped IPv4 address (::ffff:127.0.0.1) as the one of IPv4 that it stands for.
inline void unmap(sockaddr_storage& address) {
    if (address.ss_family != AF_INET6) return;
    const auto v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return;
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = v6.sin6_port;
    std::memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
    std::memcpy(&address, &v4, sizeof v4);
}

/// The addresses of the two ends of a connection.
struct SocketEnds {
    sockaddr_storage peer{};
    sockaddr_storage own{};
};

/// Returns nothing for what is not connected any more.
inline std::optional<SocketEnds> ends_of_socket(int fd) {
    SocketEnds ends;
    socklen_t peer_size = sizeof ends.peer;
    socklen_t own_size = sizeof ends.own;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&ends.peer), &peer_size) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&ends.own), &own_size) != 0) {
        return std::nullopt;
    }
    unmap(ends.peer);
    unmap(ends.own);
    return ends;
}

inline pid_t process_at_peer(int fd, const std::vector<pid_t>& likely) {
    const auto ends = ends_of_socket(fd);
    if (!ends) return 0;
    const sa_family_t family = ends->peer.ss_family;
    if (family == AF_UNIX) {
        ucred credentials{};
        socklen_t size = sizeof credentials;
        const int failed = ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size);
        return failed == 0 ? credentials.pid : 0;
    }
    if (family != AF_INET && family != AF_INET6) return 0;
    const std::string local = address_in_proc(ends->peer);
    const std::string remote = address_in_proc(ends->own);
    const char* const table = family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6";
    const unsigned long inode = inode_of_socket(table, local, remote);
    return inode == 0 ? 0 : process_with_socket(inode, likely);
}

inline ClientWatch::ClientWatch() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_) throw_system_error("epoll_create1");
}

inline std::vector<pid_t> ClientWatch::known_pids() {
    const std::scoped_lock lock(mutex_);
    std::vector<pid_t> pids;
    for (const auto& [number, weak] : clients_) {
        if (const ClientPointer client = weak.lock()) pids.push_back(client->pid);
    }
    return pids;
}

/// Says whether the other end of a connection is closed, or will be in so many milliseconds.
inline bool is_hung_up(int fd, int patience = 0) noexcept {
    pollfd entry{fd, POLLRDHUP, 0};
    return ::poll(&entry, 1, patience) > 0 &&
           (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/// Says whether both ends of a connection have one IP address: they are on one machine.
inline bool is_within_machine(int fd) {
    const auto ends = ends_of_socket(fd);
    if (!ends || ends->peer.ss_family != ends->own.ss_family) return false;
    if (ends->peer.ss_family != AF_INET && ends->peer.ss_family != AF_INET6) return false;
    const auto host = [](const sockaddr_storage& end) {
        const std::string address = address_in_proc(end);
        return address.substr(0, address.find(':'));
    };
    return host(ends->peer) == host(ends->own);
}

inline ClientPointer ClientWatch::client_of(int fd) {
    const pid_t pid = process_at_peer(fd, known_pids());
    ClientPointer client;
    if (pid != 0) {
        const std::scoped_lock lock(mutex_);
        client = known(pid);
        if (client == nullptr) client = watch(pid);
    }
    // It was there while its process was looked up; so that was the right one, or there is none
    // here, or it is between losing its descriptors and closing its sockets, as exit(2) goes.
    const bool may_end = pid == 0 && is_within_machine(fd);
    const int patience = !may_end ? 0 : has_strangers_.load() ? 1 : 50;
    if (is_hung_up(fd, patience)) throw EOFError("the client has ended");
    if (may_end) has_strangers_.store(true);
    return client;
}

inline ClientPointer ClientWatch::known(pid_t pid) {
    ClientPointer found;
    for (auto place = clients_.begin(); place != clients_.end();) {
        const ClientPointer client = place->second.lock();
        if (client == nullptr) {
            place = clients_.erase(place);
            continue;
        }
        // A pid is another's only after its process has ended, which its pidfd tells.
        if (client->pid == pid && !poll_readable(client->pidfd.get(), Deadline(0))) found = client;
        ++place;
    }
    return found;
}

inline ClientPointer ClientWatch::watch(pid_t pid) {
    auto client = std::make_shared<ManagerClient>();
    client->number = ++latest_number_;
    client->pid = pid;
    client->pidfd = open_pidfd(pid);
    if (!client->pidfd) throw EOFError("the client has ended");
    epoll_event event{};
    event.events = EPOLLIN | EPOLLONESHOT;
    event.data.u64 = client->number;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client->pidfd.get(), &event) != 0) {
        throw_system_error("epoll_ctl");
    }
    clients_[client->number] = client;
    return client;
}

inline std::vector<ClientPointer> ClientWatch::take_ended() {
    std::vector<ClientPointer> ended;
    epoll_event events[64];
    const int count = ::epoll_wait(epoll_.get(), events, 64, 0);
    const std::scoped_lock lock(mutex_);
    for (int i = 0; i < count; ++i) {
        // A copy: epoll_event is packed, and find takes a reference.
        const std::uint64_t number = events[i].data.u64;
        const auto place = clients_.find(number);
        if (place == clients_.end()) continue;
        if (ClientPointer client = place->second.lock()) ended.push_back(std::move(client));
        clients_.erase(place);
    }
    return ended;
}

}  // namespace multiprocessing::detail
