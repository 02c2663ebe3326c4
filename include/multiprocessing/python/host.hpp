// multiprocessing/python/host.hpp
//
// Lets programs of Python that somebody else has started join the family of a C++ program, through
// a Unix socket. Needs the target multiprocessing::remote, and so is no part of python.hpp. Floor
// 10. Start at Host. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/python/passing.hpp"
#include "multiprocessing/remote/connection/address.hpp"
#include "multiprocessing/remote/connection/listener.hpp"
#include "multiprocessing/start_method/guest.hpp"

namespace multiprocessing::detail::pythons {

/// Waits for guests, and for their ends, in a thread of its own. It goes on until the last guest
/// has ended, also when the host is gone.
class HostServer : public std::enable_shared_from_this<HostServer> {
  public:
    HostServer(const connection::Address& address, const connection::ListenerOptions& options,
               std::vector<GuestArgument> arguments);

    /// Starts the thread. @throws std::system_error
    void start();
    /// Lets nobody in any more. @pre this process has made it
    void stop() noexcept;
    [[nodiscard]] const connection::Address& address() const noexcept { return address_; }
    [[nodiscard]] bool is_of_this_process() const noexcept { return depth_ == fork_depth(); }

  private:
    struct Guest {
        Descriptor process;  // a pidfd
        ProcessId id;
    };

    void run() noexcept;
    void wait_for_work();
    void accept_all();
    void let_in(Connection connection);
    void bury_ended_guests() noexcept;

    connection::Listener listener_;
    const connection::Address address_;
    const std::vector<GuestArgument> arguments_;
    const Descriptor wake_;  // an eventfd
    const std::uint32_t depth_ = fork_depth();
    std::atomic<bool> stopping_{false};
    std::vector<Guest> guests_{};
};

}  // namespace multiprocessing::detail::pythons

namespace multiprocessing::python {

/// Has this process's family take in programs of Python that others have started.
///
///     mp::python::Host host("/run/user/1000/work.sock", {.authkey = "secret"}, queue, lock);
///
/// In Python, `queue, lock = mp.attach("/run/user/1000/work.sock", b"secret")` makes the process
/// one of the family, before it makes objects of its own, and returns what the host gives, as
/// `mp.arguments` of a Process. Objects that it makes afterwards can be put into a queue, too.
///
/// @par Safety Both sides prove that they hold the key, as with a connection::Listener; only then
/// does the host pass the descriptors of the family's memory. Whoever has these can do whatever the
/// family's own processes can.
/// @par Processes A guest that ends, or is killed, is noticed: what it held is given back, and its
/// locks are abandoned. Guests that are there stay when the host is destroyed. A forked child has
/// no part in its parent's host.
class Host {
  public:
    /// Listens at a Unix socket; `{}` is a fresh one. @param arguments what guests are given
    /// @throws ValueError for a TCP address; as Listener; and as pickle::dumps
    template <class... Args>
    explicit Host(const connection::Address& address, const connection::ListenerOptions& options,
                  const Args&... arguments)
        : Host(address, options,
               std::vector<detail::GuestArgument>{detail::pythons::argument_of(arguments)...}) {}
    /// Takes over what the other does; the other is closed then.
    Host(Host&&) noexcept = default;
    /// Closes its own, and takes the other's over.
    Host& operator=(Host&& other) noexcept {
        if (this != &other) {
            close();
            server_ = std::move(other.server_);
        }
        return *this;
    }
    /// Closes.
    ~Host() { close(); }

    /// Lets no more guests in. A second call does nothing.
    void close() noexcept {
        if (server_ != nullptr && server_->is_of_this_process()) server_->stop();
        server_ = nullptr;
    }
    /// Returns where it listens. @throws ValueError when it is closed
    [[nodiscard]] const connection::Address& address() const;

  private:
    Host(const connection::Address& address, const connection::ListenerOptions& options,
         std::vector<detail::GuestArgument> arguments);

    std::shared_ptr<detail::pythons::HostServer> server_;
};

}  // namespace multiprocessing::python

#include "multiprocessing/python/host.ipp"
