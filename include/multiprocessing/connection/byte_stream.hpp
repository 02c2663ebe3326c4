// multiprocessing/connection/byte_stream.hpp
//
// A pipe or a stream socket as a stream of bytes: all of them or an error, whatever signals arrive
// and however the kernel splits them. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>
#include <system_error>

#include "multiprocessing/connection/broken_pipe.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// An open descriptor and which of the two it is.
struct ByteStream {
    int fd;
    bool is_socket;
};

/// What a pipe holds that carries large messages. With the 64 KiB that it has at first, 1 MiB takes
/// 12 % longer, for the processes wake each other more often; 1 MiB is no better than this.
constexpr int large_pipe_size = 256 << 10;

/// Enlarges a pipe, when the system lets it (see pipe(7), pipe-user-pages-soft); a wish.
inline void enlarge_pipe(int fd) noexcept {
    if (::fcntl(fd, F_GETPIPE_SZ) < large_pipe_size) {
        (void)::fcntl(fd, F_SETPIPE_SZ, large_pipe_size);
    }
}

/// Waits for a descriptor that somebody has made non-blocking.
inline void wait_for_stream(int fd, short events) {
    pollfd entry{fd, events, 0};
    if (retry_on_eintr([&] { return ::poll(&entry, 1, -1); }) < 0) throw_system_error("poll");
}

/// Writes what it can. @returns as writev(2)
inline ssize_t write_some(ByteStream stream, std::span<iovec> parts) {
    if (stream.is_socket) {
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        return ::sendmsg(stream.fd, &message, MSG_NOSIGNAL);
    }
    return write_to_pipe(stream.fd, parts.data(), static_cast<int>(parts.size()));
}
inline ssize_t write_some(ByteStream stream, std::span<const std::byte> bytes) {
    if (stream.is_socket) return ::send(stream.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    const iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};  // it is only read
    return write_to_pipe(stream.fd, &part, 1);
}

/// After a write that failed: waits where that helps.
/// @throws std::system_error EPIPE when the peer is closed; ECONNRESET is a name for the same, when
/// the peer had not read all
inline void after_failed_write(ByteStream stream) {
    if (errno == EINTR) return;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return wait_for_stream(stream.fd, POLLOUT);
    throw_system_error("write", errno == ECONNRESET ? EPIPE : errno);
}

/// Writes all of the parts, which it uses up. @throws std::system_error EPIPE
inline void write_all(ByteStream stream, std::span<iovec> parts) {
    for (;;) {
        while (!parts.empty() && parts.front().iov_len == 0) parts = parts.subspan(1);
        if (parts.empty()) return;
        const ssize_t written = write_some(stream, parts);
        if (written < 0) {
            after_failed_write(stream);
            continue;
        }
        auto left = static_cast<std::size_t>(written);
        for (iovec& part : parts) {
            const std::size_t taken = std::min(left, part.iov_len);
            part.iov_base = static_cast<std::byte*>(part.iov_base) + taken;
            part.iov_len -= taken;
            left -= taken;
        }
    }
}

/// Writes all of the bytes; so few that they go in one piece, as a rule.
inline void write_all(ByteStream stream, std::span<const std::byte> bytes) {
    for (;;) {
        const ssize_t written = write_some(stream, bytes);
        if (written == static_cast<ssize_t>(bytes.size())) [[likely]]
            return;
        if (written < 0) {
            after_failed_write(stream);
        } else {
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        }
    }
}

/// Reads until `bytes` is full or the stream ends.
/// @returns how many it has read
inline std::size_t read_all(ByteStream stream, std::span<std::byte> bytes) {
    std::size_t filled = 0;
    while (filled < bytes.size()) {
        const ssize_t got = ::read(stream.fd, bytes.data() + filled, bytes.size() - filled);
        if (got > 0) {
            filled += static_cast<std::size_t>(got);
        } else if (got == 0 || errno == ECONNRESET) {
            // ECONNRESET is the end too: the peer was closed before it had read all.
            return filled;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_for_stream(stream.fd, POLLIN);
        } else if (errno != EINTR) {
            throw_system_error("read");
        }
    }
    return filled;
}

[[noreturn]] inline void throw_cut_off() {
    throw std::system_error(ECONNRESET, std::generic_category(), "got end of file during message");
}

/// Reads as many bytes as fit. @throws std::system_error ECONNRESET when the stream ends before
inline void read_rest(ByteStream stream, std::span<std::byte> bytes) {
    if (read_all(stream, bytes) != bytes.size()) throw_cut_off();
}

}  // namespace multiprocessing::detail
