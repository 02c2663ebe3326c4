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

/// Writes what it can of the parts. @returns as writev(2)
inline ssize_t write_some_parts(ByteStream stream, std::span<iovec> parts) {
    if (stream.is_socket) {
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        return ::sendmsg(stream.fd, &message, MSG_NOSIGNAL);
    }
    return write_to_pipe(stream.fd, parts.data(), static_cast<int>(parts.size()));
}

MULTIPROCESSING_INLINE void write_all(ByteStream stream, std::span<iovec> parts) {
    for (;;) {
        while (!parts.empty() && parts.front().iov_len == 0) parts = parts.subspan(1);
        if (parts.empty()) return;
        const ssize_t written = write_some_parts(stream, parts);
        if (written < 0) {
            after_failed_write(stream);
            continue;
        }
        auto left = static_cast<std::size_t>(written);
        for (iovec& part : parts) {
            const std::size_t taken = (std::min)(left, part.iov_len);
            part.iov_base = static_cast<std::byte*>(part.iov_base) + taken;
            part.iov_len -= taken;
            left -= taken;
        }
    }
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
