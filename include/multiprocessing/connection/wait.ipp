// multiprocessing/connection/wait.ipp
//
// How several things are waited for at once: see wait.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/wait.hpp"

#include <poll.h>
#include <time.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <vector>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::connection {

MULTIPROCESSING_INLINE bool Waitable::is_ready() const {
    if (connection_ == nullptr) return false;
    connection_->check_open();
    return connection_->has_message();
}

}  // namespace multiprocessing::connection

namespace multiprocessing::detail {

/// Waits until one is ready, and marks in their `revents` all that are.
inline void poll_all(std::vector<pollfd>& entries, const Deadline& deadline) {
    for (;;) {
        const timespec wait = deadline.left_as_timespec(std::chrono::hours(1));
        const int ready = ::ppoll(entries.data(), entries.size(), &wait, nullptr);
        if (ready > 0) return;
        if (ready < 0 && errno != EINTR) throw_system_error("ppoll");
        if (deadline.has_passed()) return;
    }
}

MULTIPROCESSING_INLINE std::vector<connection::Waitable> wait_for_any(
    const std::vector<connection::Waitable>& objects, const Deadline& deadline) {
    std::vector<pollfd> entries;
    entries.reserve(objects.size());
    bool any_ready = false;
    for (const connection::Waitable& object : objects) {
        entries.push_back({object.fileno(), POLLIN, 0});
        any_ready = object.is_ready() || any_ready;
    }
    if (objects.empty() && deadline.is_forever()) return {};
    poll_all(entries, any_ready ? Deadline(Timeout(0)) : deadline);
    std::vector<connection::Waitable> ready;
    for (std::size_t i = 0; i < objects.size(); ++i) {
        if ((entries[i].revents & POLLNVAL) != 0) throw_system_error("poll", EBADF);
        // POLLHUP and POLLERR too: the end of the stream is something to receive.
        if (entries[i].revents != 0 || objects[i].is_ready()) ready.push_back(objects[i]);
    }
    return ready;
}

}  // namespace multiprocessing::detail
