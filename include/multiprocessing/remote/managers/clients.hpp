// multiprocessing/remote/managers/clients.hpp
//
// Which process is at the other end of a connection, and when it ends. Floor 9. Start at
// ClientWatch::client_of. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/remote/managers/objects.hpp"

namespace multiprocessing::detail {

/// Returns the process that has connected a socket: by SO_PEERCRED for a unix socket, by the tables
/// in /proc for TCP on one machine. Returns 0 when it is not known: it is on another machine, or of
/// another user.
/// @par Source unix(7), SO_PEERCRED; proc(5), /proc/net/tcp and /proc/PID/fd
pid_t process_at_peer(int fd, const std::vector<pid_t>& likely = {});

/// The processes that use a server. They are watched by pidfds in one epoll(7) descriptor.
class ClientWatch {
  public:
    /// @throws std::system_error EMFILE
    ClientWatch();

    /// Returns the process at the other end of a connection. Null when it is not known.
    /// @throws EOFError when the process has ended, or has closed its end
    /// @throws std::system_error EMFILE
    [[nodiscard]] ClientPointer client_of(int fd);

    /// Returns a descriptor that polls readable when a client has ended.
    [[nodiscard]] int fileno() const noexcept { return epoll_.get(); }
    /// Returns the clients that have ended since the last call.
    [[nodiscard]] std::vector<ClientPointer> take_ended();

  private:
    [[nodiscard]] std::vector<pid_t> known_pids();
    [[nodiscard]] ClientPointer known(pid_t pid);
    [[nodiscard]] ClientPointer watch(pid_t pid);

    Descriptor epoll_;
    /// Clients of this machine have been seen whose processes cannot: those of another container.
    std::atomic<bool> has_strangers_{false};
    std::mutex mutex_;
    std::map<std::uint64_t, std::weak_ptr<ManagerClient>> clients_;  // by number
    std::uint64_t latest_number_ = 0;
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/clients.ipp"
