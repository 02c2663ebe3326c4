// multiprocessing/pool/thread_call.hpp
//
// A call that threads of this process run: its items, and what became of each. Nothing is
// serialised, and an exception is the same object on both sides. Floor 5. Start at ThreadCall.
// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/pool/courier.hpp"
#include "multiprocessing/pool/items.hpp"
#include "multiprocessing/pool/pending_call.hpp"
#include "multiprocessing/pool/spinning.hpp"
#include "multiprocessing/pool/stream.hpp"
#include "multiprocessing/pool/worker_log.hpp"

namespace multiprocessing::detail {

/// How long the threads of this process should look for the result of a single task.
inline constinit SpinBudget thread_result_spinning;

/// A call in chunks, each of which one thread takes.
class ThreadCall : public PendingCall {
  public:
    ThreadCall(std::uint64_t items, std::uint32_t chunk_size)
        : items_(items),
          chunk_size_(chunk_size),
          chunk_count_(static_cast<std::uint32_t>((items + chunk_size - 1) / chunk_size)),
          finished_(chunk_count_),
          left_(chunk_count_) {}

    /// Takes the next chunk. @returns its index, chunk_count() when all are taken
    std::uint32_t take_chunk() noexcept {
        std::uint32_t index = next_.load(std::memory_order_relaxed);
        while (index < chunk_count_ && !next_.compare_exchange_weak(index, index + 1)) {
        }
        if (index < chunk_count_) running_.fetch_add(1);
        return std::min(index, chunk_count_);
    }
    [[nodiscard]] bool has_untaken_chunks() const noexcept { return next_.load() < chunk_count_; }

    /// Runs a chunk and tells those who wait for it.
    void run_chunk(std::uint32_t index) {
        const std::uint64_t first = std::uint64_t{index} * chunk_size_;
        const std::uint64_t end = std::min(items_, first + chunk_size_);
        for (std::uint64_t item = first; item < end; ++item) run_item(item);
        arrival_.store(monotonic_now(), std::memory_order_relaxed);
        // release: whoever sees it sees the results.
        finished_[index].store(true, std::memory_order_release);
        const bool was_last = left_.fetch_sub(1) == 1;
        running_.fetch_sub(1);
        if (was_last || is_given_up()) wake();
        // seq_cst, after left_: against ask_for_notice.
        const std::uint32_t notice = notice_.load();
        if (notice == of_each_chunk || (notice == of_the_end && was_last)) arrivals_.change();
    }

    /// Returns what a log says of a chunk. @param begin,end nanoseconds on the monotonic clock
    [[nodiscard]] ChunkRecord record_of(std::uint32_t index, std::uint64_t begin,
                                        std::uint64_t end) const noexcept {
        const std::uint64_t first = std::uint64_t{index} * chunk_size_;
        return {begin,
                end - begin,
                static_cast<std::uint32_t>(order_),
                static_cast<std::uint32_t>(first),
                static_cast<std::uint32_t>(std::min<std::uint64_t>(items_ - first, chunk_size_)),
                static_cast<std::uint32_t>(::gettid())};
    }

    /// @param of_stream whether the pool's arrivals change with each chunk
    void set_place(std::uint64_t order, const Arrivals& arrivals, bool of_stream) noexcept {
        order_ = order;
        arrivals_ = arrivals;
        notice_.store(of_stream ? of_each_chunk : nobody, std::memory_order_relaxed);
    }

    [[nodiscard]] bool is_over() const noexcept override {
        return is_given_up() || left_.load(std::memory_order_acquire) == 0;
    }
    bool wait_until_over(const Deadline& deadline) override {
        if (items_ == 1 && thread_result_spinning.spin([this] { return is_over(); })) return true;
        for (;;) {
            const std::uint32_t seen = events_.load();
            if (is_over()) return true;
            if (deadline.has_passed()) return false;
            futex_wait_until(events_, seen, deadline);
        }
    }
    [[nodiscard]] bool is_started() const noexcept override { return next_.load() != 0; }
    [[nodiscard]] std::uint64_t order() const noexcept override { return order_; }
    [[nodiscard]] std::uint64_t arrival() const noexcept override {
        return is_given_up() ? UINT64_MAX : arrival_.load(std::memory_order_relaxed);
    }
    void ask_for_notice() override { notice_.store(of_the_end); }

    /// A thread cannot be killed: what it has begun, it ends.
    bool cancel(bool /*kill_running*/) override {
        if (is_over()) return is_cancelled();
        if (next_.exchange(chunk_count_) >= chunk_count_) return false;
        const bool cancelled = give_up_as_cancelled();
        arrivals_.change();
        return cancelled;
    }

    [[nodiscard]] std::uint32_t chunk_count() const noexcept override { return chunk_count_; }
    [[nodiscard]] ChunkProgress progress_of(std::uint32_t chunk) const noexcept override {
        if (finished_[chunk].load(std::memory_order_acquire)) return ChunkProgress::finished;
        return chunk < next_.load() ? ChunkProgress::under_way : ChunkProgress::untouched;
    }

  protected:
    /// Waits until no thread is at it. @pre it is over, and no thread begins more of it
    void wait_for_threads() noexcept {
        for (;;) {
            const std::uint32_t seen = events_.load();
            if (running_.load() == 0) return;
            const timespec wait{0, 10'000'000};  // whoever ends last may not have seen give_up
            futex_wait(events_, seen, &wait);
        }
    }

    virtual void run_item(std::uint64_t item) noexcept = 0;

    [[nodiscard]] std::uint64_t item_count() const noexcept { return items_; }
    [[nodiscard]] std::uint32_t chunk_size() const noexcept { return chunk_size_; }

  private:
    enum Notice : std::uint32_t { nobody, of_the_end, of_each_chunk };

    void wake() noexcept override {
        events_.fetch_add(1);
        futex_wake(events_);
    }

    const std::uint64_t items_;
    const std::uint32_t chunk_size_;
    const std::uint32_t chunk_count_;
    std::vector<std::atomic<bool>> finished_;
    std::atomic<std::uint32_t> next_{0};  // chunks before this one are taken
    std::atomic<std::uint32_t> left_;     // chunks that are not finished
    std::atomic<std::uint32_t> running_{0};
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
        return is_given_up() || std::any_of(outcomes_.begin(), outcomes_.end(),
                                            [](const auto& outcome) { return !!outcome.error; });
    }

    /// Returns the results. @throws the first failed item's error, the very object
    ResultList<R> take_all() {
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
        if (outcomes_[0].error) std::rethrow_exception(outcomes_[0].error);
        if constexpr (!std::is_void_v<R>) return take(outcomes_[0]);
    }
    void take_chunk_outcomes(std::uint32_t chunk, std::deque<ItemOutcome<R>>& outcomes) {
        const std::uint64_t first = std::uint64_t{chunk} * chunk_size();
        const std::uint64_t end = std::min(item_count(), first + chunk_size());
        for (std::uint64_t item = first; item < end; ++item) {
            outcomes.push_back(std::move(outcomes_[item]));
        }
    }

  protected:
    ItemOutcome<R>& outcome(std::uint64_t item) noexcept { return outcomes_[item]; }

  private:
    /// As often as one likes where R can be copied; what can only be moved is given away once.
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

/// An item as a call keeps it: its own when Place is void, else where it lies while somebody waits
/// for the call. (Not a bare Item: a vector<bool> has no bools.)
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

    /// Also when the pool was terminated: a thread that goes on must not use items that are gone.
    void discard() noexcept override {
        if constexpr (!std::is_void_v<Place>) this->wait_for_threads();
    }

  private:
    using Call = ItemCall<F, typename Kept::Used, spread>;

    void run_item(std::uint64_t item) noexcept override {
        ItemOutcome<R>& outcome = this->outcome(item);
        try {
            if constexpr (std::is_void_v<R>) {
                Call::call(f_, items_[item].get());
                outcome.value.emplace();
            } else {
                outcome.value.emplace(Call::call(f_, items_[item].get()));
            }
        } catch (...) {
            outcome.error = std::current_exception();
        }
    }

    F f_;
    std::vector<Kept> items_;
};

}  // namespace multiprocessing::detail
