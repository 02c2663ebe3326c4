// multiprocessing/connection/byte_stream.ipp
//
// The slow parts of a stream of bytes: see byte_stream.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/byte_stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>
#include <system_error>

#include "multiprocessing/connection/broken_pipe.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// The size in bytes of a pipe that carries large messages. With the 64 KiB that a pipe has at
/// first, 1 MiB takes 12 % longer, for the processes wake each other more often. A pipe of 1 MiB is
/// no better than this one.
constexpr int large_pipe_size = 256 << 10;

MULTIPROCESSING_INLINE void enlarge_pipe(int fd) noexcept {
    if (::fcntl(fd, F_GETPIPE_SZ) < large_pipe_size) {
        (void)::fcntl(fd, F_SETPIPE_SZ, large_pipe_size);
    }
}

MULTIPROCESSING_INLINE void wait_for_stream(int fd, short events) {
    pollfd entry{fd, events, 0};
    if (retry_on_eintr([&] { return ::poll(&entry, 1, -1); }) < 0) throw_system_error("poll");
}

MULTIPROCESSING_INLINE void after_failed_write(ByteStream stream) {
    if (errno == EINTR) return;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return wait_for_stream(stream.fd, POLLOUT);
    throw_system_error("write", errno == ECONNRESET ? EPIPE : errno);
}

MULTIPROCESSING_INLINE void after_failed_read(ByteStream stream) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wait_for_stream(stream.fd, POLLIN);
    } else if (errno != EINTR) {
        throw_system_error("read");
    }
}

/// Sends the rest of a large message through a socket between processes of one machine. While the
/// receiver is slow the socket stays as small as it is, which is fastest. When nobody receives at
/// all, the socket is enlarged for this message, as far as the system allows it (see socket(7),
/// wmem_max): so two processes that send to each other first need not wait for each other for ever.
class LargeSend {
  public:
    /// The size in bytes from which on a message may fill a socket.
    static constexpr std::size_t smallest = std::size_t{64} << 10;

    explicit LargeSend(int fd) noexcept : fd_(fd) {}
    LargeSend(const LargeSend&) = delete;
    LargeSend& operator=(const LargeSend&) = delete;
    ~LargeSend() {
        if (size_before_ != 0) set_size(SO_SNDBUF, size_before_);
    }

    /// Sends what it can, and waits when that is nothing. @param left how many bytes the parts have
    /// @returns as sendmsg(2); 0 after it has waited
    ssize_t send(std::span<iovec> parts, std::size_t left) {
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) return sent;
        if (was_enlarged_ || poll_writable(patience)) {
            wait_for_stream(fd_, POLLOUT);
        } else {
            was_enlarged_ = true;
            enlarge(left);
        }
        return 0;
    }

  private:
    static constexpr int patience = 10;  // in milliseconds
    static constexpr std::size_t largest = std::size_t{4} << 20;

    [[nodiscard]] bool poll_writable(int milliseconds) const {
        pollfd entry{fd_, POLLOUT, 0};
        return retry_on_eintr([&] { return ::poll(&entry, 1, milliseconds); }) != 0;
    }
    [[nodiscard]] int option(int name) const noexcept {
        int value = 0;
        socklen_t length = sizeof value;
        return ::getsockopt(fd_, SOL_SOCKET, name, &value, &length) == 0 ? value : 0;
    }
    void set_size(int name, int bytes) const noexcept {
        const int half = bytes / 2;  // the kernel doubles it
        (void)::setsockopt(fd_, SOL_SOCKET, name, &half, sizeof half);
    }
    /// Makes room for what is left beside what is in the socket already.
    void enlarge(std::size_t left) noexcept {
        // A TCP socket finds its size by itself, unless it is set.
        if (left > largest || option(SO_DOMAIN) != AF_UNIX) return;
        size_before_ = option(SO_SNDBUF);
        const int needed = size_before_ + 2 * static_cast<int>(left);
        set_size(SO_SNDBUF, needed);
        if (option(SO_SNDBUF) < needed) set_size(SO_SNDBUFFORCE, needed);
    }

    int fd_;
    int size_before_ = 0;
    bool was_enlarged_ = false;
};

/// Writes all of the parts. @param write_some as writev(2), of some parts and how long they are
template <class WriteSome>
void write_parts(ByteStream stream, std::span<iovec> parts, std::size_t left,
                 WriteSome write_some) {
    while (left > 0) {
        while (parts.front().iov_len == 0) parts = parts.subspan(1);
        const ssize_t written = write_some(parts, left);
        if (written < 0) {
            after_failed_write(stream);
            continue;
        }
        auto done = static_cast<std::size_t>(written);
        left -= done;
        for (iovec& part : parts) {
            const std::size_t taken = (std::min)(done, part.iov_len);
            part.iov_base = static_cast<std::byte*>(part.iov_base) + taken;
            part.iov_len -= taken;
            done -= taken;
        }
    }
}

MULTIPROCESSING_INLINE void write_all(ByteStream stream, std::span<iovec> parts) {
    std::size_t size = 0;
    for (const iovec& part : parts) size += part.iov_len;
    if (!stream.is_socket) {
        return write_parts(stream, parts, size, [&](std::span<iovec> some, std::size_t) {
            return write_to_pipe(stream.fd, some.data(), static_cast<int>(some.size()));
        });
    }
    if (size >= LargeSend::smallest) {
        LargeSend large(stream.fd);
        return write_parts(stream, parts, size, [&](std::span<iovec> some, std::size_t left) {
            return large.send(some, left);
        });
    }
    write_parts(stream, parts, size, [&](std::span<iovec> some, std::size_t) {
        msghdr message{};
        message.msg_iov = some.data();
        message.msg_iovlen = some.size();
        return ::sendmsg(stream.fd, &message, MSG_NOSIGNAL);
    });
}

MULTIPROCESSING_INLINE std::size_t read_some_soon(ByteStream stream, std::span<std::byte> bytes,
                                                  SpinBudget& waiting) {
    ssize_t got = -1;
    const auto has_come = [&] {
        got = ::recv(stream.fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
        return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    };
    if (stream.is_socket && !has_come()) waiting.spin(has_come);
    while (got < 0) {  // an error comes again
        got = ::read(stream.fd, bytes.data(), bytes.size());
        if (got >= 0) break;
        if (errno == ECONNRESET) return 0;  // the end too, see read_all
        after_failed_read(stream);
    }
    return static_cast<std::size_t>(got);
}

MULTIPROCESSING_INLINE std::size_t read_all_soon(ByteStream stream, std::span<std::byte> bytes,
                                                 SpinBudget& waiting) {
    const std::size_t filled = read_some_soon(stream, bytes, waiting);
    if (filled == 0) return 0;
    return filled + read_all(stream, bytes.subspan(filled));
}

MULTIPROCESSING_INLINE void throw_cut_off() {
    throw std::system_error(ECONNRESET, std::generic_category(), "got end of file during message");
}

}  // namespace multiprocessing::detail
