// multiprocessing/pool/threads/thread_call.hpp
//
// A call that threads of this process run: its items, and what became of each. Nothing is
// serialised, and an exception is the same object on both sides. Floor 5. Start at ThreadCall.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/board/task_place.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/pool/calls/courier.hpp"
#include "multiprocessing/pool/calls/pending_call.hpp"
#include "multiprocessing/pool/calls/stream.hpp"
#include "multiprocessing/pool/calls/submit_options.hpp"
#include "multiprocessing/pool/options.hpp"
#include "multiprocessing/pool/tasks/items.hpp"
#include "multiprocessing/pool/worker/this_task.hpp"

namespace multiprocessing::detail {

class ThreadCall;

/// The task of this thread, as long as this object lives.
class ThreadTask final : public TaskView {
  public:
    explicit ThreadTask(ThreadCall& call) noexcept
        : call_(call), outer_(std::exchange(task_of_thread, this)) {}
    ~ThreadTask() { task_of_thread = outer_; }

    /// Goes on to another item of the call.
    void begin(std::uint64_t place) noexcept {
        place_ = place;
        attempt_ = 1;
    }
    /// Goes on to the next try of the item.
    void begin_again() noexcept {
        ++attempt_;
        ++retried_;
    }
    /// Returns how often an item of the call was tried again.
    [[nodiscard]] std::uint32_t retried() const noexcept { return retried_; }

    [[nodiscard]] std::optional<std::size_t> index() const noexcept override { return place_; }
    [[nodiscard]] std::uint32_t attempt() const noexcept override { return attempt_; }
    [[nodiscard]] bool stop_requested() const noexcept override;
#ifdef __cpp_lib_jthread
    [[nodiscard]] std::stop_token stop_token() override;
#endif

  private:
    ThreadCall& call_;
    TaskView* const outer_;  // a task may run another one itself, in a pool of the serial context
    std::uint64_t place_ = 0;
    std::uint32_t attempt_ = 1;
    std::uint32_t retried_ = 0;
};

/// @throws ValueError always: a thread cannot be ended
[[noreturn, gnu::cold]] void throw_no_timeout();

/// A call in chunks, each of which one thread takes.
class ThreadCall : public PendingCall {
  public:
    ThreadCall(std::uint64_t items, std::uint32_t chunk_size);

    /// Takes the next chunk. @returns its index; chunk_count() when all are taken or given up: then
    /// let_go is to be called
    std::uint32_t take_chunk() noexcept {
        running_.fetch_add(1);  // seq_cst, before the look: against let_go
        std::uint32_t index = next_.load(std::memory_order_relaxed);
        while (index < chunk_count_ && !is_given_up() &&
               !next_.compare_exchange_weak(index, index + 1)) {
        }
        if (index < chunk_count_ && !is_given_up()) return index;
        running_.fetch_sub(1);
        return chunk_count_;
    }
    [[nodiscard]] bool has_untaken_chunks() const noexcept { return next_.load() < chunk_count_; }

    /// Runs a chunk and tells those who wait for it.
    ChunkOutcome run_chunk(std::uint32_t index) {
        const std::uint64_t first = std::uint64_t{index} * chunk_size_;
        const std::uint64_t end = (std::min)(items_, first + chunk_size_);
        ChunkOutcome outcome;
        {
            ThreadTask task(*this);
            for (std::uint64_t item = first; item < end; ++item) {
                task.begin(first_item_ + item);
                outcome.failed += run_item(item, task) ? 0u : 1u;
            }
            outcome.retried = task.retried();
        }
        if (outcome.failed != 0) failed_.fetch_add(outcome.failed, std::memory_order_relaxed);
        arrival_.store(monotonic_now(), std::memory_order_relaxed);
        // release: a thread that sees it sees the results.
        finished_[index].store(true, std::memory_order_release);
        // Before any thread learns that the call is over.
        if (chunk_count_ == 1 || users_.fetch_sub(1) == 1) release();
        const bool was_last = left_.fetch_sub(1) == 1;
        running_.fetch_sub(1);
        let_go();
        if (was_last || is_given_up()) wake();
        // seq_cst, after left_: against ask_for_notice.
        const std::uint32_t notice = notice_.load();
        if (notice == of_each_chunk || (notice == of_the_end && was_last)) arrivals_.change();
        return outcome;
    }

    /// Destroys the function and its arguments when no thread can be using them any more. To be
    /// called without a lock: their destructors are the user's.
    void let_go() noexcept {
        if (is_given_up()) ask_to_stop();
        if ((is_given_up() || left_.load() == 0) && running_.load() == 0) release();
    }

    /// Asks the tasks that are under way to stop. To be called without a lock, as let_go.
    [[gnu::cold]] void ask_to_stop() noexcept;
    [[nodiscard]] bool is_asked_to_stop() const noexcept {
        return asked_.load(std::memory_order_relaxed) || is_given_up();
    }
#ifdef __cpp_lib_jthread
    [[nodiscard]] std::stop_token stop_token();
#endif

    /// Returns what a log says of a chunk. @param begin,end nanoseconds on the monotonic clock
    [[nodiscard]] ChunkRecord record_of(std::uint32_t index, std::uint64_t begin,
                                        std::uint64_t end) const noexcept;

    /// Notes how many items of its stream come before its own.
    void set_first_item(std::uint64_t first) noexcept { first_item_ = first; }

    /// Notes where the call stands in its pool.
    /// @param rules live at least as long as threads run the call
    void set_place(std::uint64_t order, const Arrivals& arrivals, const SubmitOptions& how,
                   const TaskRules& rules) noexcept {
        order_ = order;
        priority_ = how.wish.priority;
        waits_for_place_ = !how.caller_waits && !how.of_stream;
        rules_ = &rules;
        arrivals_ = arrivals;
        notice_.store(how.of_stream ? of_each_chunk : nobody, std::memory_order_relaxed);
    }

    /// Also in a forked child, which has none of the threads.
    [[nodiscard]] bool is_over() const noexcept override {
        return is_given_up() || is_complete() || !is_own();
    }
    [[nodiscard]] bool is_complete() const noexcept {
        return left_.load(std::memory_order_acquire) == 0;
    }
    bool wait_until_over(const Deadline& deadline) override;
    [[nodiscard]] bool is_started() const noexcept override { return next_.load() != 0; }
    [[nodiscard]] std::uint64_t order() const noexcept override { return order_; }
    [[nodiscard]] int priority() const noexcept override { return priority_; }
    /// Returns whether it is one of those of which only so many may wait.
    [[nodiscard]] bool counts_as_waiting() const noexcept {
        return waits_for_place_ && !is_started() && !is_given_up();
    }
    [[nodiscard]] std::uint64_t arrival() const noexcept override {
        return is_given_up() ? UINT64_MAX : arrival_.load(std::memory_order_relaxed);
    }
    void ask_for_notice() override { notice_.store(of_the_end); }

    [[nodiscard]] std::uint64_t failed_items() const noexcept override {
        return failed_.load(std::memory_order_relaxed);
    }
    /// Returns which function it calls, see function_mark.
    [[nodiscard]] std::uint64_t function() const noexcept { return function_; }

    /// A thread cannot be killed: it finishes what it has begun, and is only asked to stop.
    bool cancel(bool kill_running) override;

    [[nodiscard]] std::uint32_t chunk_count() const noexcept override { return chunk_count_; }
    [[nodiscard]] ChunkProgress progress_of(std::uint32_t chunk) const noexcept override {
        if (finished_[chunk].load(std::memory_order_acquire)) return ChunkProgress::finished;
        return chunk < next_.load() ? ChunkProgress::under_way : ChunkProgress::untouched;
    }

  protected:
    /// Waits until no thread is at it. @pre it is over, and no thread begins more of it
    void wait_for_threads() noexcept;

    /// @returns whether it has a result, and no error
    virtual bool run_item(std::uint64_t item, ThreadTask& task) noexcept = 0;
    [[nodiscard]] bool may_try_again() const noexcept {
        return rules_->retries != 0 && !!rules_->retry_on;
    }
    /// Decides about an item that has thrown the exception that is being handled, and waits until
    /// it is due. @returns whether it is to be tried again
    [[nodiscard, gnu::cold]] bool waits_for_next_try(ThreadTask& task) noexcept;
    /// Destroys the function and its arguments.
    virtual void drop() noexcept = 0;

    void set_function(std::uint64_t mark) noexcept { function_ = mark; }
    [[nodiscard]] std::uint64_t item_count() const noexcept { return items_; }
    [[nodiscard]] std::uint32_t chunk_size() const noexcept { return chunk_size_; }

  private:
    enum Notice : std::uint32_t { nobody, of_the_end, of_each_chunk };

    void release() noexcept {
        if (!released_.exchange(true)) drop();
    }

    void wake() noexcept override;

    const std::uint64_t items_;
    const std::uint32_t chunk_size_;
    const std::uint32_t chunk_count_;
    std::vector<std::atomic<bool>> finished_;
    std::atomic<std::uint32_t> next_{0};  // chunks before this one are taken
    std::atomic<std::uint32_t> users_;    // chunks that may still need function and arguments
    std::atomic<std::uint32_t> left_;     // chunks that are not finished
    std::atomic<std::uint32_t> running_{0};
    std::atomic<bool> released_{false};
    FutexWord events_{0};
    std::atomic<std::uint32_t> notice_{nobody};
    std::atomic<std::uint64_t> arrival_{0};
    std::atomic<std::uint32_t> failed_{0};  // items
    std::uint64_t function_ = 0;
    std::uint64_t first_item_ = 0;  // its place in the stream that the call is a part of
    std::uint64_t order_ = 0;
    int priority_ = 0;
    bool waits_for_place_ = false;
    const TaskRules* rules_ = nullptr;
    Arrivals arrivals_{};
    std::atomic<bool> asked_{false};
#ifdef __cpp_lib_jthread
    std::mutex stop_mutex_;  // guards what follows
    std::stop_source stop_{std::nostopstate};
#endif
};

/// A call whose function returns R.
template <class R>
class ResultCall : public ThreadCall {
  public:
    ResultCall(std::uint64_t items, std::uint32_t chunk_size)
        : ThreadCall(items, chunk_size), outcomes_(items) {}

    [[nodiscard]] bool has_failed() const override {
        check_known();
        return is_given_up() || std::any_of(outcomes_.begin(), outcomes_.end(),
                                            [](const auto& outcome) { return !!outcome.error; });
    }

    /// Returns the results. @throws the first failed item's error, the very object
    ResultList<R> take_all() {
        check_known();
        for (const auto& outcome : outcomes_) {
            if (outcome.error) std::rethrow_exception(outcome.error);
        }
        if constexpr (!std::is_void_v<R>) {
            std::vector<R> results;
            results.reserve(outcomes_.size());
            for (auto& outcome : outcomes_) results.push_back(take(outcome));
            return results;
        }
    }
    R take_one() {
        check_known();
        if (outcomes_[0].error) std::rethrow_exception(outcomes_[0].error);
        if constexpr (!std::is_void_v<R>) return take(outcomes_[0]);
    }
    void take_chunk_outcomes(std::uint32_t chunk, std::deque<ItemOutcome<R>>& outcomes) {
        const std::uint64_t first = std::uint64_t{chunk} * chunk_size();
        const std::uint64_t size = (std::min)(item_count() - first, std::uint64_t{chunk_size()});
        // The room first, and copies where a move may throw: there may be no memory, and what was
        // moved before would be lost.
        const std::size_t begin = outcomes.size();
        outcomes.resize(begin + size);
        for (std::uint64_t item = 0; item < size; ++item) {
            ItemOutcome<R>& outcome = outcomes_[first + item];
            outcomes[begin + item].error = outcome.error;
            if (outcome.value) {
                outcomes[begin + item].value.emplace(std::move_if_noexcept(*outcome.value));
            }
        }
    }

  protected:
    ItemOutcome<R>& outcome(std::uint64_t item) noexcept { return outcomes_[item]; }

  private:
    /// Throws in a forked child, unless the results were there when it was forked: then it has
    /// them too.
    void check_known() const {
        if (!is_complete() && !is_given_up()) check_own();
    }

    /// Returns the result of an item: each time a copy where R can be copied, else once, by a move.
    static decltype(auto) take(ItemOutcome<R>& outcome) {
        if constexpr (std::is_copy_constructible_v<R>) {
            return R(*outcome.value);
        } else {
            if (!outcome.value) throw ValueError("the result has been taken, and has no copy");
            R result = std::move(*outcome.value);
            outcome.value.reset();
            return result;
        }
    }

    std::vector<ItemOutcome<R>> outcomes_;
};

/// An item as a call keeps it. When Place is void, the call owns the item; else it points to where
/// the item lies while somebody waits for the call. (Not a bare Item: a vector<bool> has no bools.)
template <class Item, class Place>
struct KeptItem {
    using Used = Place;
    Place* place;
    Place& get() noexcept { return *place; }
};
template <class Item>
struct KeptItem<Item, void> {
    using Used = Item;
    Item item;
    Item& get() noexcept { return item; }
};

/// A call of an F with Items.
template <class F, class Item, bool spread, class Place>
class TypedThreadCall final : public ResultCall<typename ItemCall<F, Item, spread>::Result> {
  public:
    using R = typename ItemCall<F, Item, spread>::Result;
    using Kept = KeptItem<Item, Place>;

    TypedThreadCall(F f, std::vector<Kept> items, std::uint32_t chunk_size)
        : ResultCall<R>(items.size(), chunk_size), f_(std::move(f)), items_(std::move(items)) {
        this->set_function(function_mark(*f_));
    }

    /// Waits also when the pool was terminated: a thread that goes on must not use items that are
    /// gone.
    void discard() noexcept override {
        if constexpr (!std::is_void_v<Place>) this->wait_for_threads();
    }

  private:
    using Call = ItemCall<F, typename Kept::Used, spread>;

    bool run_item(std::uint64_t item, ThreadTask& task) noexcept override {
        ItemOutcome<R>& outcome = this->outcome(item);
        for (;;) {
            try {
                call_once(items_[item], outcome);
                return true;
            } catch (...) {
                if (can_repeat && this->waits_for_next_try(task)) continue;
                outcome.error = std::current_exception();
                return false;
            }
        }
    }

    // A call may use up its item, so one that may be repeated gets a copy. An item where it lies is
    // for the function to change.
    static constexpr bool copies =
        std::is_void_v<Place> && std::is_copy_constructible_v<typename Kept::Used>;
    static constexpr bool can_repeat = copies || !std::is_void_v<Place>;

    void call_once(Kept& kept, ItemOutcome<R>& outcome) {
        if constexpr (copies) {
            if (this->may_try_again()) [[unlikely]] {
                auto copy = kept.get();
                return call_with(copy, outcome);
            }
        }
        call_with(kept.get(), outcome);
    }
    void call_with(typename Kept::Used& item, ItemOutcome<R>& outcome) {
        if constexpr (std::is_void_v<R>) {
            Call::call(*f_, item);
            outcome.value.emplace();
        } else {
            outcome.value.emplace(Call::call(*f_, item));
        }
    }

    void drop() noexcept override {
        f_.reset();
        std::vector<Kept>().swap(items_);
    }

    std::optional<F> f_;
    std::vector<Kept> items_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/threads/thread_call.ipp"
#endif
