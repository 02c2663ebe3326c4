// multiprocessing/queues/simple_queue.hpp
//
// SimpleQueue: a queue without a bound. Mirrors CPython Lib/multiprocessing/queues.py, SimpleQueue.
// Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "multiprocessing/heap.hpp"
#include "multiprocessing/queues/queue.hpp"

namespace multiprocessing {

/// A Queue without a bound.
/// Differs: CPython's has only put, get, empty and close, and its put blocks when a pipe is full.
/// @par Source CPython Lib/multiprocessing/queues.py, SimpleQueue
template <class T>
class SimpleQueue : public Queue<T> {
  public:
    /// Makes a new queue. @throws std::bad_alloc
    SimpleQueue() : Queue<T>(0) {}

    /// Makes a queue of a handle that has arrived. For the library.
    static SimpleQueue from_shared_handle(detail::AnyHandle handle) {
        return SimpleQueue(std::move(handle));
    }

    friend std::string text_of(const SimpleQueue& queue) {
        return detail::queue_text("SimpleQueue", queue.qsize(), queue.maxsize());
    }

  private:
    explicit SimpleQueue(detail::AnyHandle handle) noexcept : Queue<T>(std::move(handle)) {}
};

/// Does not compile, and says that a queue has a type of items: SimpleQueue<int>.
SimpleQueue() -> SimpleQueue<detail::Untyped>;

}  // namespace multiprocessing
