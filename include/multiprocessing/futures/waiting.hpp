// multiprocessing/futures/waiting.hpp
//
// Waiting for several futures at once: wait and as_completed. Mirrors CPython
// Lib/concurrent/futures/_base.py. Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/futures/future.hpp"

namespace multiprocessing {

/// When `wait` is to return.
enum class ReturnWhen { FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED };
using enum ReturnWhen;

namespace detail {

/// Futures in the order in which they become done.
template <class R>
class DoneList {
  public:
    /// Begins to listen to them.
    static std::shared_ptr<DoneList> of(const std::vector<Future<R>>& futures) {
        auto list = std::make_shared<DoneList>();
        for (const Future<R>& future : futures) {
            future.add_done_callback([list](const Future<R>& done) { list->add(done); });
        }
        return list;
    }

    /// Returns the next one; nothing when none is done in time.
    std::optional<Future<R>> next(const Deadline& deadline) {
        std::unique_lock lock(mutex_);
        const auto has_some = [this] { return !done_.empty(); };
        if (deadline.is_forever()) {
            changed_.wait(lock, has_some);
        } else if (!changed_.wait_for(lock, deadline.left(), has_some)) {
            return std::nullopt;
        }
        Future<R> first = std::move(done_.front());
        done_.pop_front();
        return first;
    }

  private:
    void add(const Future<R>& future) {
        const std::lock_guard guard(mutex_);
        done_.push_back(future);
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Future<R>> done_;
};

/// Returns the futures of a range, each once.
template <class Futures>
auto each_once(const Futures& futures) {
    std::vector<std::ranges::range_value_t<Futures>> list;
    std::set<const void*> known;
    for (const auto& future : futures) {
        if (known.insert(future.identity()).second) list.push_back(future);
    }
    return list;
}

}  // namespace detail

/// What `wait` returns: two lists, in the order of the futures given.
template <class R>
struct DoneAndNotDone {
    std::vector<Future<R>> done;      ///< those that are done
    std::vector<Future<R>> not_done;  ///< the others

    friend std::string text_of(const DoneAndNotDone& lists) {
        std::string text = "DoneAndNotDoneFutures(done=";
        detail::append_repr(text, lists.done);
        text += ", not_done=";
        detail::append_repr(text, lists.not_done);
        return text + ")";
    }
};

/// Waits for futures.
///
///     auto [done, not_done] = mp::wait(futures, 5, mp::FIRST_COMPLETED);
///
/// @param timeout     when it is over, it returns what there is
/// @param return_when all of them done, one of them, or one with an error (or all)
/// @par Source CPython Lib/concurrent/futures/_base.py, wait
template <std::ranges::forward_range Futures>
auto wait(const Futures& futures, Timeout timeout = std::nullopt,
          ReturnWhen return_when = ALL_COMPLETED) {
    using R = typename std::ranges::range_value_t<Futures>::value_type;
    const detail::Deadline deadline(timeout);
    const auto each = detail::each_once(futures);
    const auto done_list = detail::DoneList<R>::of(each);
    for (std::size_t left = each.size(); left > 0; --left) {
        const auto done = done_list->next(deadline);
        if (!done || return_when == FIRST_COMPLETED) break;
        if (return_when == FIRST_EXCEPTION && !done->cancelled() && done->exception()) break;
    }
    DoneAndNotDone<R> result;
    for (const Future<R>& future : each) {
        (future.done() ? result.done : result.not_done).push_back(future);
    }
    return result;
}

/// The futures of as_completed: a range, to be walked once.
template <class R>
class Completed {
  public:
    class iterator {
      public:
        using value_type = Future<R>;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        iterator() = default;
        explicit iterator(Completed& completed) : completed_(&completed) { ++*this; }
        const Future<R>& operator*() const noexcept { return *current_; }
        iterator& operator++() {
            current_ = completed_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& it, std::default_sentinel_t) noexcept {
            return !it.current_;
        }

      private:
        Completed* completed_ = nullptr;
        std::optional<Future<R>> current_;
    };

    /// For as_completed.
    Completed(const std::vector<Future<R>>& futures, Timeout timeout)
        : deadline_(timeout),
          list_(detail::DoneList<R>::of(futures)),
          left_(futures.size()),
          count_(futures.size()) {}

    /// Waits for the first that is done.
    iterator begin() { return iterator(*this); }
    /// Ends the walk.
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    friend std::string text_of(const Completed& completed) {
        return "<as_completed " + std::to_string(completed.count_ - completed.left_) + "/" +
               std::to_string(completed.count_) + ">";
    }

  private:
    std::optional<Future<R>> next() {
        if (left_ == 0) return std::nullopt;
        auto future = list_->next(deadline_);
        if (!future) {
            throw TimeoutError(std::to_string(left_) + " (of " + std::to_string(count_) +
                               ") futures unfinished");
        }
        --left_;
        return future;
    }

    detail::Deadline deadline_;
    std::shared_ptr<detail::DoneList<R>> list_;
    std::size_t left_;
    std::size_t count_;
};

/// Returns the futures in the order in which they become done, each once.
///
///     for (const auto& future : mp::as_completed(futures)) use(future.result());
///
/// @param timeout from the call on; then `++` throws TimeoutError
/// @par Source CPython Lib/concurrent/futures/_base.py, as_completed
template <std::ranges::forward_range Futures>
auto as_completed(const Futures& futures, Timeout timeout = std::nullopt) {
    using R = typename std::ranges::range_value_t<Futures>::value_type;
    return Completed<R>(detail::each_once(futures), timeout);
}

}  // namespace multiprocessing
