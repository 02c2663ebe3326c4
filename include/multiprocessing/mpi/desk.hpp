// multiprocessing/mpi/desk.hpp
//
// What the threads of rank 0 share: the nodes, and the letters that are to be sent. The threads of
// the program leave here what they want; the master's thread, which alone has the mailbox, takes it
// up. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/mpi/mailbox.hpp"

namespace multiprocessing::detail {

class NodeCrew;

/// A node as the master knows it.
struct KnownNode {
    std::string host;
    int cores = 0;
    std::uint64_t last_heard = 0;  // nanoseconds on the monotonic clock
    bool greeted = false;          // whether its hello has come
    bool lost = false;
    bool finished = false;  // whether its last letter has come
};

/// What the threads of rank 0 share.
struct Desk {
    const std::uint32_t owner_depth = fork_depth();
    FutexWord wake{0};  // changes with each wish

    std::mutex mutex;                 // guards what follows, and the state of the crews
    std::condition_variable changed;  // a crew's state, or a node's
    std::vector<KnownNode> nodes;     // by rank; that of rank 0 is unused
    std::deque<std::pair<int, Letter>> outgoing;
    std::map<std::uint64_t, std::weak_ptr<NodeCrew>> crews;  // by the number of the pool
    std::uint64_t last_pool = 0;
    bool any_lost = false;
    bool finishing = false;

    /// Has the master's thread look at what is here.
    void stir() noexcept {
        wake.fetch_add(1);
        futex_wake(wake);
    }
    /// Returns whether this process is rank 0, and no fork of it.
    [[nodiscard]] bool is_owner() const noexcept { return owner_depth == fork_depth(); }
};

}  // namespace multiprocessing::detail
