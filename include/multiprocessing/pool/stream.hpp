// multiprocessing/pool/stream.hpp
//
// ResultStream: what imap returns. It reads the input as it goes and gives it to the pool in
// chunks, never more than a window of items ahead of the results that were taken. Mirrors CPython
// Lib/multiprocessing/pool.py, IMapIterator. Floor 5. Start at StreamState::next.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/courier.hpp"
#include "multiprocessing/pool/pending_call.hpp"
#include "multiprocessing/pool/spinning.hpp"
#include "multiprocessing/pool/stream_registry.hpp"

namespace multiprocessing::detail {

/// What stands for a result of R where a value is needed.
template <class R>
using ResultValue = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

/// What became of one item: a value, or an error.
template <class R>
struct ItemOutcome {
    std::optional<ResultValue<R>> value;
    std::exception_ptr error;
};

/// Where a stream's items come from and its results are read. One class for each kind of input, so
/// that what follows is compiled once for each type of result.
template <class R>
class StreamSource {
  public:
    virtual ~StreamSource() = default;

    /// Reads some items, `most` at the most, and gives them to the pool.
    /// @param items set to how many; 0: the input is at its end
    /// @returns the call that runs them
    virtual std::shared_ptr<PendingCall> feed(std::size_t most, std::size_t& items) = 0;
    /// Appends what became of the items of a finished chunk.
    virtual void read(PendingCall& call, std::uint32_t chunk,
                      std::deque<ItemOutcome<R>>& outcomes) = 0;
    [[nodiscard]] virtual Arrivals arrivals() const = 0;
};

/// How a stream is to go.
struct StreamOptions {
    std::size_t chunk_size;
    std::size_t window;  // items
    bool ordered;
};

/// The state of a stream, which many threads may use.
template <class R>
class StreamState final : public StreamFeed {
  public:
    StreamState(std::unique_ptr<StreamSource<R>> source, const StreamOptions& options)
        : source_(std::move(source)), options_(options), arrivals_(source_->arrivals()) {}

    ~StreamState() override {
        for (const Open& open : open_) {
            try {
                if (!open.call->is_over()) (void)open.call->cancel(false);
            } catch (const ValueError&) {  // a forked child's copy: the calls are its parent's
                break;
            }
            open.call->discard();
        }
    }

    /// Returns the next result; nothing at the end.
    /// @throws TimeoutError, the item's error, the input's
    std::optional<ResultValue<R>> next(const Deadline& deadline) {
        const std::lock_guard guard(mutex_);
        for (;;) {
            const std::uint32_t seen = arrivals_.word->load();
            if (outcomes_.empty()) collect();
            // Also while there are results: or the workers would wait when those are taken.
            if (window_has_room() && (outcomes_.empty() || in_flight_ * 4 <= options_.window * 3)) {
                feed();
                if (outcomes_.empty()) continue;
            }
            if (!outcomes_.empty()) return take_front();
            if (open_.empty()) return finish();
            const auto something_new = [&] { return arrivals_.word->load() != seen; };
            if (!spinning_.spin(something_new) && !arrivals_.wait(seen, deadline)) {
                throw TimeoutError("the next result is not there yet");
            }
        }
    }

    /// Gives the first items to the pool, before anyone asks for a result.
    void begin() {
        const std::lock_guard guard(mutex_);
        feed();
    }

    bool feed_on() override {
        const std::lock_guard guard(mutex_);
        options_.window = SIZE_MAX / 4;
        if (!exhausted_) feed();
        return !exhausted_;
    }

  private:
    struct Open {
        std::shared_ptr<PendingCall> call;
        std::uint32_t chunk;
    };

    [[nodiscard]] bool window_has_room() const noexcept {
        return !exhausted_ && in_flight_ < options_.window;
    }

    /// Reads some input. An error of it is kept until the results before it were taken.
    void feed() {
        try {
            std::size_t items = 0;
            const auto call = source_->feed(options_.window - in_flight_, items);
            if (items == 0) return end_input();
            in_flight_ += items;
            for (std::uint32_t chunk = 0; chunk < call->chunk_count(); ++chunk) {
                open_.push_back({call, chunk});
            }
        } catch (...) {
            input_error_ = std::current_exception();
            end_input();
        }
    }
    void end_input() {
        exhausted_ = true;
        release();  // last: it may let a closed pool's workers leave
    }

    /// Moves what is finished from the open chunks to the outcomes.
    void collect() {
        for (std::size_t i = 0; i < open_.size() && outcomes_.empty();) {
            const Open open = open_[i];
            const ChunkProgress progress = open.call->progress_of(open.chunk);
            if (open.call->is_given_up()) {
                give_up(*open.call);
            } else if (progress == ChunkProgress::finished) {
                open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(i));
                source_->read(*open.call, open.chunk, outcomes_);
                if (open.call->is_over() && is_last_of(open)) open.call->discard();
            } else if (options_.ordered || progress == ChunkProgress::untouched) {
                break;  // chunks are begun in order, so nothing behind it is
            } else {
                ++i;
            }
        }
    }
    [[nodiscard]] bool is_last_of(const Open& open) const noexcept {
        // What is left of a call is near the front: few chunks are under way at a time.
        return std::none_of(open_.begin(), open_.end(),
                            [&](const Open& other) { return other.call == open.call; });
    }

    /// The pool was terminated or is broken: all results that are still to come.
    void give_up(const PendingCall& call) {
        exhausted_ = true;
        open_.clear();
        in_flight_ = 1;
        try {
            call.throw_if_given_up();
        } catch (...) {
            outcomes_.push_back({std::nullopt, std::current_exception()});
        }
    }

    std::optional<ResultValue<R>> take_front() {
        ItemOutcome<R> outcome = std::move(outcomes_.front());
        outcomes_.pop_front();
        --in_flight_;
        if (outcome.error) std::rethrow_exception(outcome.error);
        return std::move(outcome.value);
    }

    std::optional<ResultValue<R>> finish() {
        if (input_error_) std::rethrow_exception(std::exchange(input_error_, nullptr));
        return std::nullopt;
    }

    std::unique_ptr<StreamSource<R>> source_;
    StreamOptions options_;
    const Arrivals arrivals_;
    std::mutex mutex_;  // guards what follows
    std::deque<Open> open_;
    std::deque<ItemOutcome<R>> outcomes_;
    std::size_t in_flight_ = 0;  // items in open chunks and outcomes
    bool exhausted_ = false;
    std::exception_ptr input_error_;
    SpinBudget spinning_;
};

}  // namespace multiprocessing::detail

namespace multiprocessing {

/// The results of imap, as they come: a range, to be walked once, and next(). Dropped half-way it
/// takes back the rest. It may be moved; a reference to the input must stay valid until its end.
/// @par Source CPython Lib/multiprocessing/pool.py, IMapIterator
template <class R>
class ResultStream {
  public:
    /// A result; std::monostate where the function returns none.
    using value_type = detail::ResultValue<R>;

    /// Returns the next result; nothing when there are no more.
    ///
    /// **Blocking**: for at most `timeout`, but for the time that the input takes.
    /// @throws TimeoutError when it is not there yet; next may be called again
    /// @throws the item's error in its place, and goes on after it; the error of the input, which
    ///         ends it; CancelledError when the pool was terminated
    std::optional<value_type> next(Timeout timeout = std::nullopt) {
        const detail::Deadline deadline(timeout);
        return state_->next(limit_.left() < deadline.left() ? limit_ : deadline);
    }

    /// Lets every wait, those of a loop over it too, end after some time. @param timeout from now
    void set_limit(Timeout timeout) { limit_ = detail::Deadline(timeout); }

    /// Walks the results; an item's error is thrown by `++`, and by begin() for the first.
    class iterator {
      public:
        using value_type = ResultStream::value_type;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        iterator() = default;
        explicit iterator(ResultStream& stream) : stream_(&stream) { ++*this; }
        value_type& operator*() const noexcept { return *current_; }
        iterator& operator++() {
            current_.reset();
            current_ = stream_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& it, std::default_sentinel_t) noexcept {
            return !it.current_;
        }

      private:
        ResultStream* stream_ = nullptr;
        mutable std::optional<value_type> current_;
    };

    /// Waits for the first result.
    iterator begin() { return iterator(*this); }
    /// Ends the walk.
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// The library's own.
    explicit ResultStream(std::shared_ptr<detail::StreamState<R>> state)
        : state_(std::move(state)) {}
    /// Takes the stream over.
    ResultStream(ResultStream&&) noexcept = default;
    /// Takes the stream over.
    ResultStream& operator=(ResultStream&&) noexcept = default;

    friend std::string text_of(const ResultStream& stream) {
        return "<multiprocessing.pool.IMapIterator object at " +
               detail::address_text(stream.state_.get()) + ">";
    }

  private:
    std::shared_ptr<detail::StreamState<R>> state_;
    detail::Deadline limit_{Timeout()};
};

}  // namespace multiprocessing
