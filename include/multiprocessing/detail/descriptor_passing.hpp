// multiprocessing/detail/descriptor_passing.hpp
//
// Sends open descriptors in a message of a Unix socket. The receiver gets new descriptors for the
// same open files. Mirrors CPython Lib/multiprocessing/reduction.py, sendfds and recvfds. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"

namespace multiprocessing::detail {

/// How many descriptors the kernel takes in one message (SCM_MAX_FD in its include/net/scm.h).
constexpr std::size_t most_descriptors = 253;

/// Sends `bytes`, at least one, with `fds` attached to the first of them.
/// @returns what sendmsg(2) returns; errno is as it left it
ssize_t send_with_descriptors(int socket, std::span<const std::byte> bytes,
                              std::span<const int> fds, int flags) noexcept;

/// What arrived in a message with descriptors.
struct ReceivedDescriptors {
    ssize_t size;   // as recvmsg(2) returns it; errno is as it left it
    bool complete;  // whether this process could open all descriptors of the message
    std::vector<Descriptor> fds;
};

/// Receives bytes and the descriptors attached to them. With MSG_PEEK both stay in the socket, and
/// this process gets copies.
/// @throws std::bad_alloc
ReceivedDescriptors receive_with_descriptors(int socket, std::span<std::byte> bytes, int flags);

/// Makes sure that this process can open `count` more descriptors, unless other threads open some.
/// @param example any open descriptor
/// @throws std::system_error EMFILE
void require_free_descriptors(int example, std::size_t count);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/descriptor_passing.ipp"
#endif
