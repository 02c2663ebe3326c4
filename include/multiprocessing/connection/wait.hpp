// multiprocessing/connection/wait.hpp
//
// Waiting for several things at once: connections, processes, any descriptor. Mirrors CPython
// Lib/multiprocessing/connection.py, wait. Floor 4. Start at connection::wait.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "multiprocessing/connection/connection.hpp"
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

    /// @param other a Listener, a Handle, or anything else that has a descriptor
    template <class T>
        requires(!std::same_as<T, Connection> && !std::same_as<T, Waitable>) &&
                requires(const T& other) {
                    { other.fileno() } -> std::same_as<int>;
                }
    Waitable(const T& other) : fd_(other.fileno()) {}

    /// Returns the descriptor that is waited for.
    [[nodiscard]] int fileno() const noexcept { return fd_; }

    /// Says whether both have the same descriptor: `ready == a` works for a Connection a.
    friend bool operator==(const Waitable& a, const Waitable& b) noexcept { return a.fd_ == b.fd_; }

    /// Returns whether it is known to be ready without asking the system. For the library.
    /// @throws ValueError when it is a connection that was closed since
    [[nodiscard]] bool is_ready() const;

    friend std::string text_of(const Waitable& waitable) {
        return "<Waitable fd=" + std::to_string(waitable.fd_) + ">";
    }

  private:
    int fd_;
    std::shared_ptr<const detail::ConnectionState> connection_;
};

}  // namespace multiprocessing::connection

namespace multiprocessing::detail {

/// Waits until at least one is ready or the deadline has passed. @returns all that are ready
std::vector<connection::Waitable> wait_for_any(const std::vector<connection::Waitable>& objects,
                                               const Deadline& deadline);

}  // namespace multiprocessing::detail

namespace multiprocessing::connection {

/// Waits until at least one of the objects is ready.
///
///     for (auto ready : mp::connection::wait({a, b, process})) {
///         if (ready == a) use(a.recv<int>());
///     }
///
/// **Blocking**: until then, at most for `timeout`. A signal does not end the wait. In an empty
/// range nothing ever gets ready: without a timeout the call returns at once, where Python's would
/// never return.
/// @returns all that are ready, in their order: connections with a message or at the end of their
/// stream, processes that have ended, readable descriptors; none when the time is over
/// @throws ValueError when a connection is closed
/// @throws std::system_error EBADF when a descriptor is not open; EINVAL when there are more of
/// them
///         than RLIMIT_NOFILE
/// @par Source CPython Lib/multiprocessing/connection.py, wait
inline std::vector<Waitable> wait(std::initializer_list<Waitable> objects,
                                  Timeout timeout = std::nullopt) {
    return detail::wait_for_any(std::vector<Waitable>(objects), detail::Deadline(timeout));
}
/// Waits for the objects of a range, in the same way.
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

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/wait.ipp"
#endif
