// multiprocessing/start_method/fork_server/state.hpp
//
// What the family knows of its fork server, in the heap, and what is sent to it. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "multiprocessing/synchronize/lock_word.hpp"

namespace multiprocessing::detail {

/// All zero bytes: there was no server yet.
struct ForkServerState {
    LockWord starting;                   //  0  held by the process that starts one
    std::atomic<std::uint64_t> server;   //  8  its packed ProcessId
    std::atomic<std::uint64_t> preload;  // 16  the message with what it is to run first; 0: nothing
    std::atomic<std::uint64_t> children;  // 24  how many it has whose ends it has not passed on
};
static_assert(sizeof(ForkServerState) == 32);

/// Returns the family's; the first call makes it. @throws std::bad_alloc
ForkServerState& fork_server_state();

/// A request to fork one child. With it come descriptors: the lifelines, the sending end of the
/// requests and, where the bits say so, the working directory and the standard streams.
struct ForkRequest {
    static constexpr std::uint16_t with_directory = 1;
    static constexpr std::uint16_t with_output = 2;
    static constexpr std::uint16_t with_error = 4;

    std::uint64_t server;       //  0  the server that it is for; another one drops it
    std::uint64_t child;        //  8  the packed ProcessId that the child is to have
    std::uint64_t message;      // 16  see process/message.hpp
    std::uint64_t blocked;      // 24  the signals that are blocked in the thread that asks
    std::uint16_t descriptors;  // 32  the bits above
    std::uint16_t lifelines;    // 34  how many
    std::uint32_t unused;       // 36
};
static_assert(sizeof(ForkRequest) == 40);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/start_method/fork_server/state.ipp"
#endif
