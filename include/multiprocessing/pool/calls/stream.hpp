// multiprocessing/pool/calls/stream.hpp
//
// ResultStream: what imap returns. It reads the input bit by bit and gives it to the pool in
// chunks, never more than a window of items ahead of the results that were taken. Mirrors CPython
// Lib/multiprocessing/pool.py, IMapIterator. Floor 5. Start at StreamState::next.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
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

#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/pool/calls/courier.hpp"
#include "multiprocessing/pool/calls/pending_call.hpp"
#include "multiprocessing/pool/calls/stream_registry.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// The type that stands for a result of R where a value is needed.
template <class R>
using ResultValue = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

/// What became of one item: a value, or an error.
template <class R>
struct ItemOutcome {
    std::optional<ResultValue<R>> value;
    std::exception_ptr error;
};

/// Where a stream's items come from.
class ItemSource {
  public:
    virtual ~ItemSource() = default;

    /// Reads some items, at most `most`, and gives them to the pool.
    /// @param items set to how many; 0: the input is at its end
    /// @returns the call that runs them
    virtual std::shared_ptr<PendingCall> feed(std::size_t most, std::size_t& items) = 0;
    [[nodiscard]] virtual Arrivals arrivals() const = 0;
};

/// Where a stream's items come from, and how its results are read. Each kind of input has a class
/// of its own, so that what follows is compiled once for each type of result.
template <class R>
class StreamSource : public ItemSource {
  public:
    /// Appends the outcomes of the items of a finished chunk.
    /// @throws std::bad_alloc; then nothing is lost. The caller drops what was appended; another
    ///         call reads the chunk
    virtual void read(PendingCall& call, std::uint32_t chunk,
                      std::deque<ItemOutcome<R>>& outcomes) = 0;
};

/// How a stream works.
struct StreamOptions {
    std::size_t chunk_size;
    std::size_t window;  // items
    bool ordered;
    bool read_at_join;  // whether join reads the rest of the input, not only what the window holds
};

/// The part of StreamState that does not depend on the type of the results: its input, and the
/// chunks that are under way.
class StreamBase : public StreamFeed {
  public:
    /// Gives the first items to the pool, before anyone asks for a result.
    void begin();

    void finish_input() override;

    void cut(std::exception_ptr error) override;

  protected:
    struct Open {
        std::shared_ptr<PendingCall> call;
        std::uint32_t chunk;
    };

    StreamBase(std::unique_ptr<ItemSource> source, const StreamOptions& options);

    /// Takes back the calls that are not over, and frees the results.
    void discard_open() noexcept;

    [[nodiscard]] bool input_has_ended() const noexcept { return exhausted_ || cut_.load(); }
    [[nodiscard]] bool window_has_room() const noexcept {
        return !input_has_ended() && in_flight_ < options_.window;
    }

    /// Reads some input. An error of the input is kept until the results before it were taken.
    /// @throws std::bad_alloc; then the next call lists what the pool was given
    void feed();
    /// Lists the chunks of the call that was given to the pool last, as far as they are not listed.
    /// @throws std::bad_alloc; then another call goes on
    void list_fed();
    void end_input();
    void note_cut();
    /// Throws the input's error, if there is one.
    void throw_input_error();

    /// Waits until the arrivals are no longer `seen`. @throws TimeoutError
    void wait_for_arrivals(std::uint32_t seen, const Deadline& deadline);

    [[nodiscard]] bool is_last_of(const Open& open) const noexcept;

    const std::unique_ptr<ItemSource> source_;
    StreamOptions options_;
    const Arrivals arrivals_;
    std::mutex mutex_;  // guards what follows, and StreamState's outcomes
    std::deque<Open> open_;
    std::shared_ptr<PendingCall> fed_;  // its chunks are not all in open_ yet; usually null
    std::uint32_t listed_ = 0;          // how many of them are
    std::size_t in_flight_ = 0;         // items in open chunks and outcomes
    bool exhausted_ = false;
    std::exception_ptr input_error_;
    SpinBudget spinning_;

  private:
    std::atomic<bool> cut_{false};
    std::mutex cut_mutex_;  // guards what follows
    std::exception_ptr cut_error_;
};

/// The state of a stream, which many threads may use.
template <class R>
class StreamState final : public StreamBase {
  public:
    StreamState(std::unique_ptr<StreamSource<R>> source, const StreamOptions& options)
        : StreamBase(std::move(source), options) {}

    ~StreamState() override { discard_open(); }

    /// Returns the next result; nothing at the end.
    /// @throws TimeoutError, the item's error, the input's
    /// @throws std::bad_alloc; then another call returns the result
    std::optional<ResultValue<R>> next(const Deadline& deadline) {
        const std::lock_guard guard(mutex_);
        list_fed();
        for (;;) {
            const std::uint32_t seen = arrivals_.word->load();
            if (outcomes_.empty()) collect();
            // Also while there are results: otherwise the workers would have to wait as soon as
            // these are taken.
            if (window_has_room() && (outcomes_.empty() || in_flight_ * 4 <= options_.window * 3)) {
                feed();
                if (outcomes_.empty()) continue;
            }
            if (!outcomes_.empty()) return take_front();
            if (open_.empty()) return finish();
            wait_for_arrivals(seen, deadline);
        }
    }

  private:
    /// Moves what is finished from the open chunks to the outcomes.
    void collect() {
        for (std::size_t i = 0; i < open_.size() && outcomes_.empty();) {
            const Open open = open_[i];
            const ChunkProgress progress = open.call->progress_of(open.chunk);
            if (open.call->is_given_up()) {
                give_up(*open.call);
            } else if (progress == ChunkProgress::finished) {
                read(open);
                // Not before: while there is no memory to read it, the chunk must not be forgotten.
                open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(i));
                if (open.call->is_over() && is_last_of(open)) open.call->discard();
            } else if (options_.ordered || progress == ChunkProgress::untouched) {
                break;  // chunks are begun in order, so no chunk behind it is begun
            } else {
                ++i;
            }
        }
    }

    /// Reads the results of a finished chunk: all of them, or none.
    void read(const Open& open) {
        try {
            static_cast<StreamSource<R>&>(*source_).read(*open.call, open.chunk, outcomes_);
        } catch (...) {
            outcomes_.clear();
            throw;
        }
    }

    /// The pool was terminated or is broken: its error stands for all results that are still to
    /// come.
    void give_up(const PendingCall& call) {
        try {
            call.throw_if_given_up();
        } catch (...) {
            outcomes_.push_back({std::nullopt, std::current_exception()});
        }
        exhausted_ = true;
        open_.clear();
        fed_.reset();
        in_flight_ = 1;
    }

    std::optional<ResultValue<R>> take_front() {
        ItemOutcome<R>& outcome = outcomes_.front();
        if (outcome.error) [[unlikely]] {
            const std::exception_ptr error = outcome.error;
            drop_front();
            std::rethrow_exception(error);
        }
        // Moved before it is removed: the move of some types, as std::deque, needs memory.
        std::optional<ResultValue<R>> value = std::move(outcome.value);
        drop_front();
        return value;
    }

    void drop_front() noexcept {
        outcomes_.pop_front();
        --in_flight_;
    }

    std::optional<ResultValue<R>> finish() {
        throw_input_error();
        return std::nullopt;
    }

    std::deque<ItemOutcome<R>> outcomes_;
};

/// Returns what a stream is printed as.
[[gnu::cold]] std::string stream_text(const void* state);

}  // namespace multiprocessing::detail

namespace multiprocessing {

/// The results of imap, as they come: a range that can be walked once, and next(). A stream that is
/// dropped half-way takes back the rest. It may be moved; a reference to the input must stay valid
/// until its end.
/// @par Source CPython Lib/multiprocessing/pool.py, IMapIterator
template <class R>
class ResultStream {
  public:
    /// A result; std::monostate where the function returns none.
    using value_type = detail::ResultValue<R>;

    /// Returns the next result; nothing when there are no more.
    ///
    /// **Blocking**: for at most `timeout`, not counting the time that the input takes.
    /// @throws TimeoutError when it is not there yet; next may be called again
    /// @throws the item's error in place of its result, and the stream goes on after it; the error
    ///         of the input, which ends the stream; CancelledError when the pool was terminated
    std::optional<value_type> next(Timeout timeout = std::nullopt) {
        return state_->next(earlier(limit_, detail::Deadline(timeout)));
    }

    /// Ends every wait after some time, also the waits of a loop over it.
    /// @param timeout from now
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

    /// For the library.
    explicit ResultStream(std::shared_ptr<detail::StreamState<R>> state)
        : state_(std::move(state)) {}
    /// Takes the stream over.
    ResultStream(ResultStream&&) noexcept = default;
    /// Takes the stream over.
    ResultStream& operator=(ResultStream&&) noexcept = default;

    friend std::string text_of(const ResultStream& stream) {
        return detail::stream_text(stream.state_.get());
    }

  private:
    std::shared_ptr<detail::StreamState<R>> state_;
    detail::Deadline limit_{Timeout()};
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/calls/stream.ipp"
#endif
