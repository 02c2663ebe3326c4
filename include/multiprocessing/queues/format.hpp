// multiprocessing/queues/format.hpp
//
// fmt prints queues in the way of Python's repr: <Queue size=3 maxsize=10>. Floor 4.
//
// queues.hpp includes this file when fmt was included before, see synchronize/format.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <string>

#include "multiprocessing/queues/joinable_queue.hpp"
#include "multiprocessing/queues/queue.hpp"
#include "multiprocessing/queues/simple_queue.hpp"

namespace multiprocessing::detail {

template <class T>
constexpr const char* queue_class(const Queue<T>&) noexcept {
    return "Queue";
}
template <class T>
constexpr const char* queue_class(const JoinableQueue<T>&) noexcept {
    return "JoinableQueue";
}
template <class T>
constexpr const char* queue_class(const SimpleQueue<T>&) noexcept {
    return "SimpleQueue";
}

template <class Queue>
struct QueueFormatter : fmt::formatter<std::string> {
    template <class FormatContext>
    auto format(const Queue& queue, FormatContext& context) const {
        const std::size_t maxsize = queue.maxsize();
        const std::string bound = maxsize == 0 ? "" : " maxsize=" + std::to_string(maxsize);
        return fmt::formatter<std::string>::format(std::string("<") + queue_class(queue) +
                                                       " size=" + std::to_string(queue.qsize()) +
                                                       bound + ">",
                                                   context);
    }
};

}  // namespace multiprocessing::detail

template <class T>
struct fmt::formatter<multiprocessing::Queue<T>>
    : multiprocessing::detail::QueueFormatter<multiprocessing::Queue<T>> {};
template <class T>
struct fmt::formatter<multiprocessing::JoinableQueue<T>>
    : multiprocessing::detail::QueueFormatter<multiprocessing::JoinableQueue<T>> {};
template <class T>
struct fmt::formatter<multiprocessing::SimpleQueue<T>>
    : multiprocessing::detail::QueueFormatter<multiprocessing::SimpleQueue<T>> {};
