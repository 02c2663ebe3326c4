// multiprocessing/queues/joinable_queue.hpp
//
// JoinableQueue: a queue that counts the items that were put and are not done yet. Mirrors CPython
// Lib/multiprocessing/queues.py, JoinableQueue. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/queues/queue.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {

/// A Queue that counts the items that were put and not yet declared done.
/// @par Processes An item that a process took before it was killed stays undone: give join a
/// timeout
/// @par Source CPython Lib/multiprocessing/queues.py, JoinableQueue
template <class T>
class JoinableQueue : public Queue<T> {
  public:
    /// Makes a new queue, as Queue does. @throws std::bad_alloc
    explicit JoinableQueue(int maxsize = 0) : Queue<T>(maxsize) {}

    /// Declares an item done that was taken before.
    /// @throws ValueError when more items were declared done than put
    void task_done() const {
        if (!this->state().task_done()) throw ValueError("task_done() called too many times");
    }

    /// Waits until every item that was put is done.
    ///
    /// **Blocking**: until then, at most for `timeout`. A signal does not end the wait.
    /// @throws TimeoutError when they were not all done in time
    void join(Timeout timeout = std::nullopt) const {
        if (!this->state().join(detail::Deadline(timeout))) {
            throw TimeoutError("the items of the queue were not all done in time");
        }
    }

    /// Makes a queue of a handle that has arrived. For the library.
    static JoinableQueue from_shared_handle(detail::AnyHandle handle) {
        return JoinableQueue(std::move(handle));
    }

    friend std::string text_of(const JoinableQueue& queue) {
        return detail::queue_text("JoinableQueue", queue.qsize(), queue.maxsize());
    }

  private:
    explicit JoinableQueue(detail::AnyHandle handle) noexcept : Queue<T>(std::move(handle)) {}
};

/// Does not compile, and says that a queue has a type of items: JoinableQueue<int>.
JoinableQueue() -> JoinableQueue<detail::Untyped>;
/// Does not compile either.
JoinableQueue(int) -> JoinableQueue<detail::Untyped>;

}  // namespace multiprocessing
