// multiprocessing/queues/queue.ipp
//
// How a queue prints, and what it says when it is closed: see queue.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/queues/queue.hpp"

#include <cstddef>
#include <string>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

[[gnu::noinline]] MULTIPROCESSING_INLINE void throw_closed_queue() {
    throw ValueError("the queue is closed in this process");
}

MULTIPROCESSING_INLINE std::string queue_text(const char* name, std::size_t size,
                                              std::size_t maxsize) {
    return std::string("<") + name + " size=" + std::to_string(size) +
           (maxsize == 0 ? "" : " maxsize=" + std::to_string(maxsize)) + ">";
}

}  // namespace multiprocessing::detail
