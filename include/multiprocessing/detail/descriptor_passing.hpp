// multiprocessing/detail/descriptor_passing.hpp
//
// Open descriptors in a message of a Unix socket: the receiver gets descriptors of its own for the
// same open files. Mirrors CPython Lib/multiprocessing/reduction.py, sendfds and recvfds. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// How many descriptors the kernel takes in one message (SCM_MAX_FD in its include/net/scm.h).
constexpr std::size_t most_descriptors = 253;

/// The control part of a message with descriptors.
struct alignas(cmsghdr) DescriptorControl {
    std::byte bytes[CMSG_SPACE(most_descriptors * sizeof(int))];
};

/// Sends `bytes`, at least one, with `fds` attached to the first of them.
/// @returns what sendmsg(2) does, with its errno
inline ssize_t send_with_descriptors(int socket, std::span<const std::byte> bytes,
                                     std::span<const int> fds, int flags) noexcept {
    DescriptorControl control{};
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};  // only read
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(head), fds.data(), fds.size_bytes());
    }
    return retry_on_eintr([&] { return ::sendmsg(socket, &message, flags | MSG_NOSIGNAL); });
}

/// What came with descriptors.
struct ReceivedDescriptors {
    ssize_t size;   // as recvmsg(2) returns it, with its errno
    bool complete;  // whether this process could open all descriptors that came
    std::vector<Descriptor> fds;
};

/// Receives bytes and the descriptors attached to them. With MSG_PEEK both stay in the socket, and
/// the process has copies.
/// @throws std::bad_alloc
inline ReceivedDescriptors receive_with_descriptors(int socket, std::span<std::byte> bytes,
                                                    int flags) {
    DescriptorControl control;
    iovec part{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof(control.bytes);
    ReceivedDescriptors received{0, true, {}};
    received.fds.reserve(most_descriptors);  // now: those that have come must not leak
    received.size =
        retry_on_eintr([&] { return ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC); });
    if (received.size < 0) return received;
    received.complete = (message.msg_flags & MSG_CTRUNC) == 0;
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr;
         head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        std::array<int, most_descriptors> numbers;
        std::memcpy(numbers.data(), CMSG_DATA(head), count * sizeof(int));
        for (std::size_t i = 0; i < count; ++i) received.fds.emplace_back(numbers[i]);
    }
    return received;
}

/// Returns a descriptor of this process's own for the same open file.
/// @throws std::system_error EMFILE
inline Descriptor duplicate_descriptor(int fd) {
    return Descriptor(check(::fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl"));
}

/// Makes sure that this process can open so many descriptors more, unless other threads do.
/// @throws std::system_error EMFILE
inline void require_free_descriptors(int example, std::size_t count) {
    std::vector<Descriptor> copies;
    for (std::size_t i = 0; i < count; ++i) copies.push_back(duplicate_descriptor(example));
}

}  // namespace multiprocessing::detail
