// multiprocessing/connection/byte_stream.hpp
//
// A pipe or a stream socket as a stream of bytes: a call moves all of them or fails, whatever
// signals arrive and however the kernel splits the bytes. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <span>

#include "multiprocessing/connection/broken_pipe.hpp"
#include "multiprocessing/detail/spinning.hpp"

namespace multiprocessing::detail {

/// An open descriptor, and whether it is a socket or a pipe.
struct ByteStream {
    int fd;
    bool is_socket;
};

/// Enlarges a pipe that carries large messages, if the system allows it (see pipe(7),
/// pipe-user-pages-soft). A failure is ignored.
void enlarge_pipe(int fd) noexcept;

/// Waits for a descriptor that somebody has made non-blocking. @param events as for poll(2)
void wait_for_stream(int fd, short events);

/// After a failed write: waits where that helps.
/// @throws std::system_error EPIPE when the peer is closed. ECONNRESET means the same, where the
/// peer had not read everything
void after_failed_write(ByteStream stream);

/// After a failed read: waits where that helps. @throws std::system_error
void after_failed_read(ByteStream stream);

/// Writes what it can. @returns as writev(2)
inline ssize_t write_some(ByteStream stream, std::span<const std::byte> bytes) {
    if (stream.is_socket) return ::send(stream.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    const iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};  // it is only read
    return write_to_pipe(stream.fd, &part, 1);
}

/// Writes all of the bytes: so few that one write takes them all, as a rule.
/// @throws std::system_error EPIPE
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

/// Writes all of the parts, which it uses up. @throws std::system_error EPIPE
void write_all(ByteStream stream, std::span<iovec> parts);

/// Reads until `bytes` is full or the stream ends.
/// @returns how many bytes it has read
inline std::size_t read_all(ByteStream stream, std::span<std::byte> bytes) {
    std::size_t filled = 0;
    while (filled < bytes.size()) {
        const ssize_t got = ::read(stream.fd, bytes.data() + filled, bytes.size() - filled);
        if (got > 0) {
            filled += static_cast<std::size_t>(got);
        } else if (got == 0 || errno == ECONNRESET) {
            // ECONNRESET is the end too: the peer was closed before it had read everything.
            return filled;
        } else {
            after_failed_read(stream);
        }
    }
    return filled;
}

/// Reads what has come, at least a byte. It looks out for it before it sleeps: an answer often
/// comes sooner than a thread wakes up. (Not at a pipe: there it sleeps at once.)
/// @returns how many bytes it has read; 0 at the end of the stream
std::size_t read_some_soon(ByteStream stream, std::span<std::byte> bytes, SpinBudget& waiting);

/// Reads as read_all, but looks out for the first bytes as read_some_soon.
std::size_t read_all_soon(ByteStream stream, std::span<std::byte> bytes, SpinBudget& waiting);

[[noreturn, gnu::cold]] void throw_cut_off();

/// Fills `bytes`. @throws std::system_error ECONNRESET when the stream ends before they are full
inline void read_rest(ByteStream stream, std::span<std::byte> bytes) {
    if (read_all(stream, bytes) != bytes.size()) throw_cut_off();
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/byte_stream.ipp"
#endif
