// multiprocessing/queues/queue.hpp
//
// Queue: the handle that users have, and the base class of the other queues. Mirrors CPython
// Lib/multiprocessing/queues.py, Queue. Floor 4. Start at Queue::put.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/detail/untyped.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/queues/batches.hpp"
#include "multiprocessing/queues/item.hpp"
#include "multiprocessing/queues/item_batch.hpp"
#include "multiprocessing/queues/queue_state.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

/// Notes whether this process has closed a queue. All copies of a handle in the process share the
/// note. A forked child inherits the note but is not bound by it: the note names its parent.
class ClosedNote {
  public:
    void close() noexcept {
        if (at_ != nullptr) at_->store(fork_depth() + 1, std::memory_order_relaxed);
    }
    /// @throws ValueError when it was moved from
    [[nodiscard]] bool is_closed() const {
        if (at_ == nullptr) [[unlikely]]
            throw_empty_handle();
        return at_->load(std::memory_order_relaxed) == fork_depth() + 1;
    }

  private:
    // The fork depth of the process that closed it, plus one; 0: it is not closed.
    std::shared_ptr<std::atomic<std::uint32_t>> at_ =
        std::make_shared<std::atomic<std::uint32_t>>(0);
};

[[noreturn, gnu::cold]] void throw_closed_queue();

/// Returns the text of a queue, as in `<Queue size=3 maxsize=10>`.
std::string queue_text(const char* name, std::size_t size, std::size_t maxsize);

}  // namespace detail

/// A first-in, first-out queue between processes; a handle. T is anything picklable.
///
///     mp::Queue<std::string> q;   q.put("hello");   std::string s = q.get();
///     for (const std::string& item : q) …            // until it is shut down and drained
///
/// Differs: CPython's put hands the item to a thread, which writes it to a pipe later. Here the
/// item is in shared memory when put returns, so the process may end, be joined or be killed right
/// after.
/// @par Processes Any number of processes and threads may put and take. A process that is killed
/// meanwhile blocks nobody and breaks nothing: its item is in the queue, or it is not. The items of
/// one thread are taken in the order in which it put them.
/// @par Source CPython Lib/multiprocessing/queues.py, Queue
template <class T>
class Queue {
  public:
    using value_type = T;
    class iterator;

    /// Makes a new queue. @param maxsize how many items it holds at most; 0 or less: any number
    /// @throws std::bad_alloc
    explicit Queue(int maxsize = 0)
        : handle_(detail::make_shared_object<detail::QueueState>(maxsize)) {
        static_assert(detail::is_typed<T>,
                      "multiprocessing: a queue needs the type of its items: mp::Queue<int> q;");
    }

    /// Puts an item in.
    ///
    /// **Blocking**: while the queue is full, at most for `timeout`. A signal does not end the
    /// wait.
    /// @param block   false: do not wait, whatever the timeout
    /// @throws Full when there was no room in time @throws ShutDown when the queue was shut down
    /// @throws ValueError after close
    /// @throws std::bad_alloc when the family's heap is full; then the item is not in the queue
    /// @par Source CPython Lib/multiprocessing/queues.py, Queue.put
    void put(const T& item, bool block = true, Timeout timeout = std::nullopt) const {
        check_open();
        if constexpr (picklable<T>) {
            if (!detail::put_item<T>(*handle_, item, block, timeout)) throw Full();
        } else {
            static_cast<void>(sizeof(detail::TravelRefusal<T>));
        }
    }
    /// Puts an item in that the caller gives away with std::move: it is gone here once it is in the
    /// queue. A Connection, say, is then open in the queue alone.
    void put(T&& item, bool block = true, Timeout timeout = std::nullopt) const {
        put(std::as_const(item), block, timeout);
        if constexpr (!std::is_trivially_destructible_v<T> && std::is_move_constructible_v<T>) {
            try {
                [[maybe_unused]] const T consumed(std::move(item));
            } catch (...) {
                // The item is in the queue, and an error would say that it is not: it stays here
                // too.
            }
        }
    }
    /// Not allowed: seconds in the place of `block` would mean true, and wait for ever.
    template <std::floating_point Seconds>
    void put(const T&, Seconds) const = delete;  // write put(item, true, seconds)
    /// Not allowed: the item is of another type than the queue's.
    template <class Other>
        requires(!std::is_convertible_v<Other, const T&>)
    void put(const Other&) const = delete;  // the item is of another type than the queue's items
    /// Puts an item in if there is room now. @throws Full, and as put
    void put_nowait(const T& item) const { put(item, false); }
    /// Puts an item in that the caller gives away, if there is room now. @throws Full, and as put
    void put_nowait(T&& item) const { put(std::move(item), false); }

    /// Takes the oldest item out.
    ///
    /// **Blocking**: while the queue is empty, at most for `timeout`. A signal does not end it.
    /// @param block   false: do not wait, whatever the timeout
    /// @throws Empty when there was no item in time @throws ValueError after close
    /// @throws ShutDown when the queue was shut down and is drained
    /// @par Source CPython Lib/multiprocessing/queues.py, Queue.get
    T get(bool block = true, Timeout timeout = std::nullopt) const {
        std::optional<T> item = take(block, timeout);
        if (!item) throw Empty();
        return std::move(*item);
    }
    /// Not allowed: seconds in the place of `block` would mean true, and wait for ever.
    template <std::floating_point Seconds>
    T get(Seconds) const = delete;  // write get(true, seconds)
    /// Takes the oldest item if there is one now. @throws Empty, and as get
    T get_nowait() const { return get(false); }
    /// Takes the oldest item if there is one now. Returns nothing when there is none, and when the
    /// queue was shut down and is drained.
    /// @throws ValueError after close
    std::optional<T> try_get() const {
        try {
            return take(false, std::nullopt);
        } catch (const ShutDown&) {
            return std::nullopt;
        }
    }

    /// Puts many items in, in their order. The queue is locked once, not once an item.
    ///
    /// As many as there is room for are put in one step, 65,536 at most: nobody else's items come
    /// between them, and a process that is killed meanwhile has put all of them or none. A queue
    /// without a maxsize has room for any number. The rest of a longer range follows as room
    /// becomes free, so a process that is killed has put the first so many.
    ///
    /// **Blocking**: until there was room for all. A signal does not end the wait.
    /// @param items a range of T. They are serialised first: if that throws, none is put. A
    ///              container that is given away with std::move keeps empty items, as in put
    /// @throws ShutDown when the queue was shut down @throws ValueError after close
    /// @throws std::bad_alloc when the family's heap is full. As after ShutDown, the first so many
    ///         items may be in the queue: the overload with a timeout says how many
    template <class Items>
        requires detail::item_range_of<Items, T>
    void put_many(Items&& items) const {
        put_range(items, false, detail::Deadline(std::nullopt));
        if constexpr (detail::given_away<Items, T>) {
            detail::consume<T>(items, static_cast<std::size_t>(std::ranges::distance(items)));
        }
    }
    /// Puts the items listed in, as above.
    void put_many(std::initializer_list<T> items) const {
        put_range(items, false, detail::Deadline(std::nullopt));
    }
    /// Puts items in as above, as many as there is room for in time.
    ///
    /// **Blocking**: until there was room for all, at most for `timeout`; 0 takes what room there
    /// is.
    /// @returns how many were put, which are the first ones. They are fewer than all when the time
    ///          was over, or when after the first one the queue was shut down or there was no
    ///          memory
    /// @throws Full when none was put in time
    /// @throws ShutDown, ValueError, std::bad_alloc when none was put
    template <class Items>
        requires detail::item_range_of<Items, T>
    [[nodiscard]] std::size_t put_many(Items&& items, Timeout timeout) const {
        const std::size_t count = put_range(items, true, detail::Deadline(timeout));
        if constexpr (detail::given_away<Items, T>) detail::consume<T>(items, count);
        return count;
    }
    /// Puts the items listed in, as above.
    [[nodiscard]] std::size_t put_many(std::initializer_list<T> items, Timeout timeout) const {
        return put_range(items, true, detail::Deadline(timeout));
    }

    /// Waits until there is an item, and takes all that are there, in one step.
    ///
    ///     for (const Job& job : jobs.get_many(100, 0.5)) …
    ///
    /// **Blocking**: while the queue is empty, at most for `timeout`. A signal does not end it.
    /// @param most how many items to take at most. Of 0, nothing is done
    /// @throws Empty when there was no item in time @throws ValueError after close
    /// @throws ShutDown when the queue was shut down and is drained
    /// @throws std::bad_alloc when there is no memory to take them; then they stay in the queue
    /// @throws what reading an item throws; then the items of this call are lost. get_many_into
    ///         keeps those that can be read
    /// @par Processes What a process has taken before it is killed is lost with it: take no more
    /// than that
    std::vector<T> get_many(std::size_t most, Timeout timeout = std::nullopt) const {
        std::vector<T> items;
        get_many_into(items, most, timeout);
        return items;
    }
    /// Takes items as get_many does, and puts them at the end of a vector.
    /// @returns how many
    /// @throws as get_many. When an item cannot be read, the others that were taken with it are in
    ///         the vector
    std::size_t get_many_into(std::vector<T>& items, std::size_t most,
                              Timeout timeout = std::nullopt) const {
        check_open();
        const std::size_t before = items.size();
        if constexpr (picklable<T>) {
            if (most != 0 &&
                !detail::get_items<T>(*handle_, items, most, detail::Deadline(timeout))) {
                throw Empty();
            }
        } else {
            static_cast<void>(sizeof(detail::TravelRefusal<T>));
        }
        return items.size() - before;
    }

    /// Returns a range of batches. Each is a vector of what was there at once, at most `most`
    /// items. A walk waits for each, until the queue is shut down and drained.
    ///
    ///     for (const std::vector<int>& batch : q.batches(100)) …
    ///
    /// Differs: a walk over the queue itself takes one item at a time. So a loop that is left early
    /// leaves the other items to others, and a killed process loses one item.
    [[nodiscard]] auto batches(std::size_t most) const {
        return detail::QueueBatches<Queue>(*this, most);
    }

    /// Returns how many items are in the queue, modulo 2^27. It may be another number by the time
    /// the caller looks at it.
    [[nodiscard]] std::size_t qsize() const { return handle_->size(); }
    /// Says whether there is no item at this moment.
    [[nodiscard]] bool empty() const { return handle_->size() == 0; }
    /// Says whether the queue has a maxsize and holds that many items.
    [[nodiscard]] bool full() const { return handle_->is_full(); }

    /// Returns how many items the queue holds at most; 0: any number.
    [[nodiscard]] std::size_t maxsize() const { return handle_->maxsize; }

    /// Ends the use of the queue in this process: from now on put and get throw ValueError here.
    /// Other processes go on.
    void close() const noexcept { closed_.close(); }
    /// Does nothing: there is no thread to wait for. It is here for ported programs.
    /// @throws AssertionError before close
    void join_thread() const {
        if (!closed_.is_closed()) throw AssertionError("close the queue before join_thread()");
    }
    /// Does nothing: an item that put has returned for is in the queue, and stays there. It is here
    /// for ported programs.
    void cancel_join_thread() const noexcept {}

    /// Shuts the queue down for all processes. From now on put throws ShutDown; get throws it once
    /// the queue is drained. Callers that wait in either are woken.
    /// @param immediate whether to drop what is in the queue, so that get throws at once; in a
    ///                  JoinableQueue the dropped items count as done
    /// @par Source CPython Lib/queue.py, Queue.shutdown
    void shutdown(bool immediate = false) const { handle_->shut_down(immediate); }

    /// Begins a walk that takes the items out. It waits for each, until the queue is shut down and
    /// drained.
    [[nodiscard]] iterator begin() const { return iterator(*this); }
    /// Ends the walk.
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// Two handles are equal when they are handles on the same queue.
    friend bool operator==(const Queue& a, const Queue& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// Returns the handle, as it travels. For the library.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// Makes a queue of a handle that has arrived. For the library.
    static Queue from_shared_handle(detail::AnyHandle handle) { return Queue(std::move(handle)); }

  protected:
    /// @{
    /// For the classes derived from it.
    explicit Queue(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}
    [[nodiscard]] detail::QueueState& state() const { return *handle_; }
    /// @}

    friend std::string text_of(const Queue& queue) {
        return detail::queue_text("Queue", queue.qsize(), queue.maxsize());
    }

  private:
    void check_open() const {
        if (closed_.is_closed()) [[unlikely]]
            detail::throw_closed_queue();
    }

    template <class Items>
    std::size_t put_range(Items& items, bool may_stop_short,
                          const detail::Deadline& deadline) const {
        check_open();
        if constexpr (picklable<T>) {
            return detail::put_items<T>(*handle_, items, may_stop_short, deadline);
        } else {
            static_cast<void>(sizeof(detail::TravelRefusal<T>));
            return 0;
        }
    }

    std::optional<T> take(bool block, Timeout timeout) const {
        check_open();
        if constexpr (picklable<T>) {
            return detail::get_item<T>(*handle_, block, timeout);
        } else {
            static_cast<void>(sizeof(detail::TravelRefusal<T>));
            return std::nullopt;
        }
    }

    detail::Handle<detail::QueueState> handle_;
    mutable detail::ClosedNote closed_;  // says it of this process, not of the queue
};

/// Does not compile, and says that a queue has a type of items: Queue<int>.
Queue() -> Queue<detail::Untyped>;
/// Does not compile either.
Queue(int) -> Queue<detail::Untyped>;

/// Walks a queue by taking its items out.
template <class T>
class Queue<T>::iterator {
  public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    explicit iterator(const Queue& queue) : queue_(queue) { ++*this; }

    T& operator*() const noexcept { return *item_; }
    iterator& operator++() {
        try {
            item_ = queue_.take(true, std::nullopt);
        } catch (const ShutDown&) {
            item_.reset();
        }
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& it, std::default_sentinel_t) noexcept {
        return !it.item_.has_value();
    }

  private:
    Queue queue_;
    mutable std::optional<T> item_;  // the loop may move from it
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/queues/queue.ipp"
#endif
