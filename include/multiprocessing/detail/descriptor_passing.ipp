// multiprocessing/detail/descriptor_passing.ipp
//
// Sending and receiving descriptors: see descriptor_passing.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/descriptor_passing.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// The control part of a message with descriptors.
struct alignas(cmsghdr) DescriptorControl {
    std::byte bytes[CMSG_SPACE(most_descriptors * sizeof(int))];
};

MULTIPROCESSING_INLINE ssize_t send_with_descriptors(int socket, std::span<const std::byte> bytes,
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

MULTIPROCESSING_INLINE ReceivedDescriptors receive_with_descriptors(int socket,
                                                                    std::span<std::byte> bytes,
                                                                    int flags) {
    DescriptorControl control;
    iovec part{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof(control.bytes);
    ReceivedDescriptors received{0, true, {}};
    // Now: a failure afterwards would leak the descriptors that came.
    received.fds.reserve(most_descriptors);
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
        for (std::size_t i = 0; i < count; ++i) {
            Descriptor fd(numbers[i]);
            if (fd.get() < first_free_descriptor) fd = out_of_the_way(std::move(fd));
            if (fd.get() < first_free_descriptor) {
                received.complete = false;
            } else {
                received.fds.push_back(std::move(fd));
            }
        }
    }
    return received;
}

MULTIPROCESSING_INLINE void require_free_descriptors(int example, std::size_t count) {
    std::vector<Descriptor> copies;
    for (std::size_t i = 0; i < count; ++i) copies.push_back(duplicate_descriptor(example));
}

}  // namespace multiprocessing::detail
