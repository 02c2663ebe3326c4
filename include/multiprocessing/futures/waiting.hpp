// multiprocessing/futures/waiting.hpp
//
// Waiting for several futures at once: wait and as_completed. Mirrors CPython
// Lib/concurrent/futures/_base.py. Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/futures/future.hpp"
#include "multiprocessing/pool/calls/pending_call.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {

/// When `wait` is to return.
enum class ReturnWhen { FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED };
using enum ReturnWhen;

namespace detail {

/// Calls in the order in which they are over. The waiting thread leaves nothing behind at the calls
/// or their executors: it looks at its calls when an executor says that some call is over.
class DoneList {
  public:
    /// A call that is waited for.
    struct Waited {
        std::shared_ptr<PendingCall> call;
        std::shared_ptr<CallHome> home;  // its executor's; null when that is gone
        std::size_t index;               // what next returns for it
    };

    explicit DoneList(std::vector<Waited> calls);

    /// Waits for the next one and returns its index; nothing when none is over in time.
    std::optional<std::size_t> next(const Deadline& deadline);

  private:
    /// The calls of one executor; or of executors that are gone, whose calls are all over.
    struct Group {
        std::shared_ptr<CallHome> home;
        std::list<Waited> left;     // in the order in which workers begin them
        std::uint32_t withdrawals;  // when the group was last looked at
        std::uint32_t arrivals;
    };

    void listen();
    bool look();
    void look(Group& group);
    void wait(const Deadline& deadline);

    std::vector<Group> groups_;
    std::list<Waited> done_;
    bool listens_ = false;
};

/// Returns the list of the futures' calls. Its indices are those of the futures.
template <class R>
DoneList done_list_of(const std::vector<Future<R>>& futures) {
    std::vector<DoneList::Waited> calls;
    calls.reserve(futures.size());
    for (const Future<R>& future : futures) {
        calls.push_back({future.call(), future.home(), calls.size()});
    }
    return DoneList(std::move(calls));
}

/// @throws TimeoutError: so many futures are not done in time
[[noreturn, gnu::cold]] void throw_unfinished(std::size_t left, std::size_t count);

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
/// @param timeout     when it is over, wait returns what there is
/// @param return_when when all of them are done, when one is, or when one has an error (or all are
///        done)
/// @par Source CPython Lib/concurrent/futures/_base.py, wait
template <std::ranges::forward_range Futures>
auto wait(const Futures& futures, Timeout timeout = std::nullopt,
          ReturnWhen return_when = ALL_COMPLETED) {
    using R = typename std::ranges::range_value_t<Futures>::value_type;
    const detail::Deadline deadline(timeout);
    const auto each = detail::each_once(futures);
    detail::DoneList done_list = detail::done_list_of(each);
    for (std::size_t left = each.size(); left > 0; --left) {
        const auto done = done_list.next(deadline);
        if (!done || return_when == FIRST_COMPLETED) break;
        const Future<R>& future = each[*done];
        if (return_when == FIRST_EXCEPTION && !future.cancelled() && future.exception()) break;
    }
    DoneAndNotDone<R> result;
    for (const Future<R>& future : each) {
        (future.done() ? result.done : result.not_done).push_back(future);
    }
    return result;
}

/// The futures of as_completed: a range that can be walked once.
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
    Completed(std::vector<Future<R>> futures, Timeout timeout)
        : deadline_(timeout),
          list_(std::make_unique<detail::DoneList>(detail::done_list_of(futures))),
          futures_(std::move(futures)),
          left_(futures_.size()),
          count_(futures_.size()) {}

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
        const auto index = list_->next(deadline_);
        if (!index) detail::throw_unfinished(left_, count_);
        --left_;
        return std::move(futures_[*index]);
    }

    detail::Deadline deadline_;
    std::unique_ptr<detail::DoneList> list_;
    std::vector<Future<R>> futures_;  // each until it is given away
    std::size_t left_;
    std::size_t count_;
};

/// Returns the futures in the order in which they become done, each once.
///
///     for (const auto& future : mp::as_completed(futures)) use(future.result());
///
/// @param timeout counts from the call on; when it is over, `++` throws TimeoutError
/// @par Source CPython Lib/concurrent/futures/_base.py, as_completed
template <std::ranges::forward_range Futures>
auto as_completed(const Futures& futures, Timeout timeout = std::nullopt) {
    using R = typename std::ranges::range_value_t<Futures>::value_type;
    return Completed<R>(detail::each_once(futures), timeout);
}

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/futures/waiting.ipp"
#endif
