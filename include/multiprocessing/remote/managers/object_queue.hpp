// multiprocessing/remote/managers/object_queue.hpp
//
// The queue of a SyncManager: it lies in the server and holds values of any types. Mirrors CPython
// Lib/queue.py, Queue. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/managers/caller.hpp"
#include "multiprocessing/remote/managers/exposed.hpp"
#include "multiprocessing/remote/managers/methods.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A queue of values for the threads of a server.
class ObjectQueue : public std::enable_shared_from_this<ObjectQueue> {
  public:
    using value_type = pickle::object;

    /// @param maxsize how many items it holds at most; 0 or less: any number
    explicit ObjectQueue(std::int64_t maxsize) : maxsize_(maxsize) {}

    /// Puts an item in. @throws Full, ShutDown
    void put(pickle::object item, bool block = true, Timeout timeout = std::nullopt) {
        std::unique_lock lock(mutex_);
        const auto has_room = [&] { return is_shut_ || !is_full(); };
        if (!wait(lock, room_, block, timeout, has_room)) throw Full();
        if (is_shut_) throw ShutDown();
        items_.push_back(std::move(item));
        ++undone_;
        item_.notify_one();
    }
    /// Takes the oldest item out. @throws Empty, ShutDown
    pickle::object get(bool block = true, Timeout timeout = std::nullopt) {
        std::unique_lock lock(mutex_);
        const auto has_item = [&] { return is_shut_ || !items_.empty(); };
        if (!wait(lock, item_, block, timeout, has_item)) throw Empty();
        if (items_.empty()) throw ShutDown();
        pickle::object item = std::move(items_.front());
        items_.pop_front();
        room_.notify_one();
        return item;
    }
    /// Puts an item back that nobody has got: it is the next one again.
    void put_back(pickle::object item) {
        const std::scoped_lock lock(mutex_);
        items_.push_front(std::move(item));
        item_.notify_one();
    }

    /// Declares an item done. @throws ValueError
    void task_done() {
        const std::scoped_lock lock(mutex_);
        if (undone_ == 0) throw ValueError("task_done() called too many times");
        if (--undone_ == 0) done_.notify_all();
    }
    /// Waits until all items are done. @throws TimeoutError
    void join(Timeout timeout) {
        std::unique_lock lock(mutex_);
        if (!wait(lock, done_, true, timeout, [&] { return undone_ == 0; })) {
            throw TimeoutError("there are items that are not done");
        }
    }
    /// Ends the queue: no item can be put in any more. @param immediate drops what is in it
    void shutdown(bool immediate) {
        const std::scoped_lock lock(mutex_);
        is_shut_ = true;
        if (immediate) {
            undone_ -= items_.size();
            items_.clear();
            if (undone_ == 0) done_.notify_all();
        }
        item_.notify_all();
        room_.notify_all();
    }

    [[nodiscard]] std::size_t qsize() const {
        const std::scoped_lock lock(mutex_);
        return items_.size();
    }
    [[nodiscard]] bool empty() const { return qsize() == 0; }
    [[nodiscard]] bool full() const {
        const std::scoped_lock lock(mutex_);
        return is_full();
    }

  private:
    [[nodiscard]] bool is_full() const noexcept {
        return maxsize_ > 0 && items_.size() >= static_cast<std::size_t>(maxsize_);
    }
    template <class Condition>
    static bool wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                     bool block, Timeout timeout, Condition condition) {
        if (!block) return condition();
        const Deadline deadline(timeout);
        while (!condition()) {
            if (deadline.has_passed()) return false;
            if (deadline.is_forever()) {
                changed.wait(lock);
            } else {
                changed.wait_for(lock, deadline.left());
            }
        }
        return true;
    }

    mutable std::mutex mutex_;
    std::condition_variable item_;
    std::condition_variable room_;
    std::condition_variable done_;
    std::deque<pickle::object> items_;
    std::size_t undone_ = 0;
    std::int64_t maxsize_;
    bool is_shut_ = false;
};

template <>
struct Exposed<ObjectQueue> {
    static constexpr bool known = true;
    template <class Self = ObjectQueue>
    static std::vector<NamedMethod<Self>> methods() {
        const auto get = [](Self& queue, bool block, Timeout timeout) {
            CallResult result;
            const pickle::object item = get_for_caller(queue, block, timeout);
            result.undo = [self = queue.shared_from_this(), item] { self->put_back(item); };
            result.reply = reply_of("#RETURN", item);
            return result;
        };
        return {
            {"put",
             [](Self& queue, const pickle::object& item, std::optional<bool> block,
                Timeout timeout) { put_for_caller(queue, item, block.value_or(true), timeout); },
             {"item", "block", "timeout"}},
            {"get",
             [get](Self& queue, std::optional<bool> block, Timeout timeout) {
                 return get(queue, block.value_or(true), timeout);
             },
             {"block", "timeout"}},
            {"put_nowait",
             [](Self& queue, const pickle::object& item) { queue.put(item, false); },
             {"item"}},
            {"get_nowait", [get](Self& queue) { return get(queue, false, 0); }},
            {"qsize", [](Self& queue) { return static_cast<std::int64_t>(queue.qsize()); }},
            {"empty", [](Self& queue) { return queue.empty(); }},
            {"full", [](Self& queue) { return queue.full(); }},
            {"task_done", [](Self& queue) { queue.task_done(); }},
            {"join",
             [](Self& queue) {
                 (void)wait_for_caller(std::nullopt, [&](Timeout slice) {
                     try {
                         queue.join(slice);
                     } catch (const TimeoutError&) {
                         return false;
                     }
                     return true;
                 });
             }},
            {"shutdown",
             [](Self& queue, std::optional<bool> immediate) {
                 queue.shutdown(immediate.value_or(false));
             },
             {"immediate"}}};
    }
};

}  // namespace multiprocessing::detail
