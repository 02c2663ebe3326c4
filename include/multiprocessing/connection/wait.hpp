// multiprocessing/connection/wait.hpp
//
// Waiting for several things at once: connections, processes, any descriptor. Mirrors CPython
// Lib/multiprocessing/connection.py, wait. Floor 4. Start at connection::wait.
// SPDX-License-Identifier: MIT
#pragma once

#include <poll.h>

#include <cerrno>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "multiprocessing/connection/connection.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::connection {

/// Something that connection::wait can wait for: a descriptor that becomes readable, a Connection
/// with something to receive, a process that ends.
class Waitable {
  public:
    /// @param fd an open descriptor
    Waitable(int fd) noexcept : fd_(fd) {}

    /// @throws ValueError when the connection is closed
    Waitable(const Connection& connection)
        : fd_(connection.fileno()), connection_(connection.shared_state()) {}

    /// @param process a Process, or anything that has a sentinel
    template <class T>
        requires requires(const T& process) {
            { process.sentinel() } -> std::same_as<int>;
        }
    Waitable(const T& process) : fd_(process.sentinel()) {}

    /// Returns the descriptor that is waited for.
    [[nodiscard]] int fileno() const noexcept { return fd_; }

    /// Two are the same when their descriptors are: `ready == a` works for a Connection a.
    friend bool operator==(const Waitable& a, const Waitable& b) noexcept { return a.fd_ == b.fd_; }

    /// For the library: whether there is no need to ask the system.
    /// @throws ValueError when it is a connection that was closed since
    [[nodiscard]] bool is_ready() const {
        if (connection_ == nullptr) return false;
        connection_->check_open();
        return connection_->has_message();
    }

    friend std::string text_of(const Waitable& waitable) {
        return "<Waitable fd=" + std::to_string(waitable.fd_) + ">";
    }

  private:
    int fd_;
    std::shared_ptr<const detail::ConnectionState> connection_;
};

}  // namespace multiprocessing::connection

namespace multiprocessing::detail {

/// Waits until one is ready and marks all that are in their `revents`.
inline void poll_all(std::vector<pollfd>& entries, const Deadline& deadline) {
    for (;;) {
        const timespec wait = deadline.left_as_timespec(std::chrono::hours(1));
        const int ready = ::ppoll(entries.data(), entries.size(), &wait, nullptr);
        if (ready > 0) return;
        if (ready < 0 && errno != EINTR) throw_system_error("ppoll");
        if (deadline.has_passed()) return;
    }
}

inline std::vector<connection::Waitable> wait_for_any(
    const std::vector<connection::Waitable>& objects, const Deadline& deadline) {
    std::vector<pollfd> entries;
    entries.reserve(objects.size());
    bool any_ready = false;
    for (const connection::Waitable& object : objects) {
        entries.push_back({object.fileno(), POLLIN, 0});
        any_ready = object.is_ready() || any_ready;
    }
    if (objects.empty() && deadline.is_forever()) return {};
    poll_all(entries, any_ready ? Deadline(Timeout(0)) : deadline);
    std::vector<connection::Waitable> ready;
    for (std::size_t i = 0; i < objects.size(); ++i) {
        if ((entries[i].revents & POLLNVAL) != 0) throw_system_error("poll", EBADF);
        // POLLHUP and POLLERR too: the end of the stream is something to receive.
        if (entries[i].revents != 0 || objects[i].is_ready()) ready.push_back(objects[i]);
    }
    return ready;
}

}  // namespace multiprocessing::detail

namespace multiprocessing::connection {

/// Waits until at least one of the objects is ready.
///
///     for (auto ready : mp::connection::wait({a, b, process})) {
///         if (ready == a) use(a.recv<int>());
///     }
///
/// **Blocking**: until then, at most for `timeout`. A signal does not end it. Of an empty range
/// nothing ever comes: without a timeout that is said at once, where Python's would never return.
/// @returns all that are ready, in their order: connections with a message or at the end of their
/// stream, processes that have ended, readable descriptors; none when the time is over
/// @throws ValueError when a connection is closed
/// @throws std::system_error EBADF when a descriptor is not open; EINVAL when there are more than
///         RLIMIT_NOFILE
/// @par Source CPython Lib/multiprocessing/connection.py, wait
inline std::vector<Waitable> wait(std::initializer_list<Waitable> objects,
                                  Timeout timeout = std::nullopt) {
    return detail::wait_for_any(std::vector<Waitable>(objects), detail::Deadline(timeout));
}
/// Waits for the objects of a range.
template <class Range>
    requires requires(Range& range) {
        { *std::begin(range) } -> std::convertible_to<Waitable>;
        std::end(range);
    }
std::vector<Waitable> wait(Range&& objects, Timeout timeout = std::nullopt) {
    const detail::Deadline deadline(timeout);
    std::vector<Waitable> all;
    for (auto&& object : objects) all.push_back(object);
    return detail::wait_for_any(all, deadline);
}

}  // namespace multiprocessing::connection
