// multiprocessing/queues/joinable_queue.hpp
//
// JoinableQueue: a queue that counts what was put and is not yet done. Mirrors CPython
// Lib/multiprocessing/queues.py, JoinableQueue. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/queues/queue.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {

/// A Queue that counts the items that were put and not yet declared done.
/// @par Processes an item that a killed process had taken stays undone: give join a timeout
/// @par Source CPython Lib/multiprocessing/queues.py, JoinableQueue
template <class T>
class JoinableQueue : public Queue<T> {
  public:
    /// Makes a new queue, as Queue does. @throws std::bad_alloc
    explicit JoinableQueue(int maxsize = 0) : Queue<T>(maxsize) {}

    /// Says that an item that was taken is done.
    /// @throws ValueError when more were declared done than put
    void task_done() const {
        if (!this->state().task_done()) throw ValueError("task_done() called too many times");
    }

    /// Waits until every item that was put is done.
    ///
    /// **Blocking**: until then, at most for `timeout`. A signal does not end the wait.
    /// @throws TimeoutError when it was not in time
    void join(Timeout timeout = std::nullopt) const {
        if (!this->state().join(detail::Deadline(timeout))) {
            throw TimeoutError("the items of the queue were not all done in time");
        }
    }

    /// For the library: a handle that has arrived.
    static JoinableQueue from_shared_handle(detail::AnyHandle handle) {
        return JoinableQueue(std::move(handle));
    }

    friend std::string text_of(const JoinableQueue& queue) {
        return detail::queue_text("JoinableQueue", queue.qsize(), queue.maxsize());
    }

  private:
    explicit JoinableQueue(detail::AnyHandle handle) noexcept : Queue<T>(std::move(handle)) {}
};

}  // namespace multiprocessing
