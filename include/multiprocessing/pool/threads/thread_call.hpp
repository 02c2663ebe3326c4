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
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/board/spinning.hpp"
#include "multiprocessing/pool/calls/courier.hpp"
#include "multiprocessing/pool/calls/pending_call.hpp"
#include "multiprocessing/pool/calls/stream.hpp"
#include "multiprocessing/pool/tasks/items.hpp"

namespace multiprocessing::detail {

struct ChunkRecord;

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
    void run_chunk(std::uint32_t index) {
        const std::uint64_t first = std::uint64_t{index} * chunk_size_;
        const std::uint64_t end = (std::min)(items_, first + chunk_size_);
        for (std::uint64_t item = first; item < end; ++item) run_item(item);
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
    }

    /// Destroys the function and its arguments when no thread can be using them any more. To be
    /// called without a lock: their destructors are the user's.
    void let_go() noexcept {
        if ((is_given_up() || left_.load() == 0) && running_.load() == 0) release();
    }

    /// Returns what a log says of a chunk. @param begin,end nanoseconds on the monotonic clock
    [[nodiscard]] ChunkRecord record_of(std::uint32_t index, std::uint64_t begin,
                                        std::uint64_t end) const noexcept;

    /// Notes where the call stands in its pool.
    /// @param of_stream whether the pool's arrivals change with each chunk
    void set_place(std::uint64_t order, const Arrivals& arrivals, bool of_stream) noexcept {
        order_ = order;
        arrivals_ = arrivals;
        notice_.store(of_stream ? of_each_chunk : nobody, std::memory_order_relaxed);
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
    [[nodiscard]] std::uint64_t arrival() const noexcept override {
        return is_given_up() ? UINT64_MAX : arrival_.load(std::memory_order_relaxed);
    }
    void ask_for_notice() override { notice_.store(of_the_end); }

    /// A thread cannot be killed: it finishes what it has begun.
    bool cancel(bool kill_running) override;

    [[nodiscard]] std::uint32_t chunk_count() const noexcept override { return chunk_count_; }
    [[nodiscard]] ChunkProgress progress_of(std::uint32_t chunk) const noexcept override {
        if (finished_[chunk].load(std::memory_order_acquire)) return ChunkProgress::finished;
        return chunk < next_.load() ? ChunkProgress::under_way : ChunkProgress::untouched;
    }

  protected:
    /// Waits until no thread is at it. @pre it is over, and no thread begins more of it
    void wait_for_threads() noexcept;

    virtual void run_item(std::uint64_t item) noexcept = 0;
    /// Destroys the function and its arguments.
    virtual void drop() noexcept = 0;

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
    std::uint64_t order_ = 0;
    Arrivals arrivals_{};
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
        const std::uint64_t end = (std::min)(item_count(), first + chunk_size());
        for (std::uint64_t item = first; item < end; ++item) {
            outcomes.push_back(std::move(outcomes_[item]));
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
        : ResultCall<R>(items.size(), chunk_size), f_(std::move(f)), items_(std::move(items)) {}

    /// Waits also when the pool was terminated: a thread that goes on must not use items that are
    /// gone.
    void discard() noexcept override {
        if constexpr (!std::is_void_v<Place>) this->wait_for_threads();
    }

  private:
    using Call = ItemCall<F, typename Kept::Used, spread>;

    void run_item(std::uint64_t item) noexcept override {
        ItemOutcome<R>& outcome = this->outcome(item);
        try {
            if constexpr (std::is_void_v<R>) {
                Call::call(*f_, items_[item].get());
                outcome.value.emplace();
            } else {
                outcome.value.emplace(Call::call(*f_, items_[item].get()));
            }
        } catch (...) {
            outcome.error = std::current_exception();
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
