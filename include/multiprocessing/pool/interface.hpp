// multiprocessing/pool/interface.hpp
//
// What Pool and ThreadPool have in common: every call that users see. A backend says how a call is
// checked, run and read. Mirrors CPython Lib/multiprocessing/pool.py, Pool. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
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
#include "multiprocessing/pool/async_result.hpp"
#include "multiprocessing/pool/pending_call.hpp"
#include "multiprocessing/pool/progress.hpp"
#include "multiprocessing/pool/statistics.hpp"
#include "multiprocessing/pool/stream.hpp"
#include "multiprocessing/pool/trace.hpp"

namespace multiprocessing::detail {

template <class>
inline constexpr bool is_async_options = false;
template <class R>
inline constexpr bool is_async_options<AsyncOptions<R>> = true;

/// The calls of a pool.
template <class Backend>
class PoolInterface {
  public:
    PoolInterface(const PoolInterface&) = delete;
    PoolInterface& operator=(const PoolInterface&) = delete;

    /// Returns `f(item)` for each item of `range`, in its order.
    ///
    /// **Blocking**: until every item is done, also when one of them fails.
    /// @param chunksize items that a worker takes at a time; by default, so many that each worker
    ///        gets about four chunks
    /// @throws the error of the first item that failed, as its own type when that is a standard or
    ///         a registered one, else RemoteError; WorkerLost when its worker died
    /// @throws ValueError "Pool not running", chunksize below 1; CancelledError; BrokenProcessPool
    template <class F, std::ranges::input_range Range>
    auto map(F&& f, Range&& range, std::optional<int> chunksize = std::nullopt) {
        return collect(start<false, true>(f, range, chunksize));
    }
    /// Does the same for the items listed.
    template <class F, class Item = typename Backend::template ListedItem<F, false>>
    auto map(F&& f, std::initializer_list<Item> items,
             std::optional<int> chunksize = std::nullopt) {
        return collect(start<false, true>(f, items, chunksize));
    }

    /// Returns `f(a, b, …)` for each tuple (or pair, or array) of `range`, in its order; else as
    /// map.
    template <class F, std::ranges::input_range Range>
    auto starmap(F&& f, Range&& range, std::optional<int> chunksize = std::nullopt) {
        return collect(start<true, true>(f, range, chunksize));
    }
    /// Does the same for the items listed.
    template <class F, class Item = typename Backend::template ListedItem<F, true>>
    auto starmap(F&& f, std::initializer_list<Item> items,
                 std::optional<int> chunksize = std::nullopt) {
        return collect(start<true, true>(f, items, chunksize));
    }

    /// As map, without waiting: the result is a list. The range is read before it returns.
    /// @param options the chunk size, and callbacks
    template <class F, std::ranges::input_range Range,
              class R = ResultList<typename Backend::template ItemResult<
                  F, std::ranges::range_reference_t<Range>, false>>>
    AsyncResult<R> map_async(F&& f, Range&& range,
                             std::type_identity_t<AsyncOptions<R>> options = {}) {
        return later(start<false, false>(f, range, options.chunksize), std::move(options));
    }
    /// Does the same for the items listed.
    template <class F, class Item = typename Backend::template ListedItem<F, false>,
              class R = ResultList<typename Backend::template ItemResult<F, const Item&, false>>>
    AsyncResult<R> map_async(F&& f, std::initializer_list<Item> items,
                             std::type_identity_t<AsyncOptions<R>> options = {}) {
        return later(start<false, false>(f, items, options.chunksize), std::move(options));
    }

    /// As starmap, without waiting; else as map_async.
    template <class F, std::ranges::input_range Range,
              class R = ResultList<typename Backend::template ItemResult<
                  F, std::ranges::range_reference_t<Range>, true>>>
    AsyncResult<R> starmap_async(F&& f, Range&& range,
                                 std::type_identity_t<AsyncOptions<R>> options = {}) {
        return later(start<true, false>(f, range, options.chunksize), std::move(options));
    }
    /// Does the same for the items listed.
    template <class F, class Item = typename Backend::template ListedItem<F, true>,
              class R = ResultList<typename Backend::template ItemResult<F, const Item&, true>>>
    AsyncResult<R> starmap_async(F&& f, std::initializer_list<Item> items,
                                 std::type_identity_t<AsyncOptions<R>> options = {}) {
        return later(start<true, false>(f, items, options.chunksize), std::move(options));
    }

    /// Returns the results of `f(item)` in the order of `range`, as they come, in a ResultStream.
    ///
    /// The input is read as it goes, in the thread that takes the results, so it may be endless. A
    /// container that is given by name must stay until the stream's end. Once the pool is closed,
    /// join reads the rest of the input.
    /// @param chunksize  items that a worker takes at a time
    /// @param buffersize items that are at most ahead of the results taken; by default the pool's
    /// @throws ValueError "Pool not running", chunksize or buffersize below 1
    template <class F, std::ranges::input_range Range>
    auto imap(F&& f, Range&& range, int chunksize = 1,
              std::optional<int> buffersize = std::nullopt) {
        return stream<false>(f, std::views::all(std::forward<Range>(range)),
                             {chunksize, buffersize, true});
    }
    /// Does the same for the items listed.
    template <class F, class Item = typename Backend::template ListedItem<F, false>>
    auto imap(F&& f, std::initializer_list<Item> items, int chunksize = 1,
              std::optional<int> buffersize = std::nullopt) {
        return imap(std::forward<F>(f), std::vector<Item>(items), chunksize, buffersize);
    }

    /// As imap, with the results in any order.
    template <class F, std::ranges::input_range Range>
    auto imap_unordered(F&& f, Range&& range, int chunksize = 1,
                        std::optional<int> buffersize = std::nullopt) {
        return stream<false>(f, std::views::all(std::forward<Range>(range)),
                             {chunksize, buffersize, false});
    }
    /// Does the same for the items listed.
    template <class F, class Item = typename Backend::template ListedItem<F, false>>
    auto imap_unordered(F&& f, std::initializer_list<Item> items, int chunksize = 1,
                        std::optional<int> buffersize = std::nullopt) {
        return imap_unordered(std::forward<F>(f), std::vector<Item>(items), chunksize, buffersize);
    }

    /// Returns `f(args...)`, called in a worker. **Blocking** and errors as map.
    template <class F, class... Args>
    auto apply(F&& f, Args&&... args) {
        using Function = std::decay_t<F>;
        using R = typename Backend::template CallResult<F, Args...>;
        if constexpr (Backend::template require_call<Function, Args...>()) {
            const auto started = start_one<true>(f, std::forward<Args>(args)...);
            const Taken taken{backend_, started.call};
            (void)started.call->wait(Timeout());
            started.call->throw_if_given_up();
            return static_cast<R>(Backend::template read_one<R>(*started.call));
        }
    }

    /// As apply, without waiting.
    template <class F, class... Args>
        requires(!is_async_options<std::decay_t<F>>)
    auto apply_async(F&& f, Args&&... args) {
        using R = typename Backend::template CallResult<F, Args...>;
        return apply_with<R>(AsyncOptions<R>{}, std::forward<F>(f), std::forward<Args>(args)...);
    }
    /// Runs `f(args...)` in a worker, with options.
    template <class F, class... Args>
    auto apply_async(AsyncOptions<typename Backend::template CallResult<F, Args...>> options, F&& f,
                     Args&&... args) {
        using R = typename Backend::template CallResult<F, Args...>;
        return apply_with<R>(std::move(options), std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Lets no more work in; the workers leave when all that is there is done.
    void close() { backend_.close(); }

    /// Ends the workers, whatever they are doing; pending results are CancelledError. **Blocking**
    /// for about 0.2 s at most, when a worker is stopped or has blocked SIGTERM. A thread goes on
    /// with the task that it is at; nothing waits for it before join or the end of the pool.
    void terminate() { backend_.terminate(); }

    /// Waits until the workers have left. @throws ValueError before close or terminate
    void join() { backend_.join(); }

    /// Returns what each worker has done so far, and the slowest tasks.
    [[nodiscard]] PoolStats stats() const { return read_stats(backend_.logs()); }

    /// Writes the timeline of the latest tasks of each worker (PoolOptions::traced of them) as a
    /// file that chrome://tracing and ui.perfetto.dev open.
    /// @throws std::system_error when it cannot be written, e.g. ENOENT, ENOSPC
    void trace(const std::string& path) const { write_trace(backend_.logs(), path); }

  protected:
    PoolInterface() = default;
    ~PoolInterface() = default;

    /// Returns what the pool is printed as. @param count what its size is called
    [[nodiscard, gnu::cold]] std::string text(const char* name,
                                              const char* count = "pool_size") const {
        return std::string("<") + name + " state=" + backend_.state_name() + " " + count + "=" +
               std::to_string(backend_.worker_count()) + ">";
    }

    /// How a stream is wished to be.
    struct StreamWish {
        int chunksize;
        std::optional<int> buffersize;
        bool ordered;
    };

    template <bool spread, class F, class View>
    auto stream(F& f, View view, const StreamWish& wish) {
        using Function = std::decay_t<F>;
        using Element = std::ranges::range_reference_t<View>;
        if constexpr (Backend::template require_callable<Function, Element, spread>()) {
            using R = typename Backend::template ItemResult<Function, Element, spread>;
            const StreamOptions options = stream_options(wish);
            backend_.check_running();
            const auto state = std::make_shared<StreamState<R>>(
                backend_.template make_source<spread, R>(Function(f), std::move(view),
                                                         options.chunk_size),
                options);
            backend_.add_stream(state);
            state->begin();
            return ResultStream<R>(state);
        }
    }

    Backend backend_;
    std::size_t buffersize_ = 0;  // 0: some items for each worker
    bool shows_progress_ = false;

    /// A call that is under way; null when it has no items. R is what the function returns.
    template <class R>
    struct Started {
        typename Backend::Call call;
        std::uint64_t items = 0;
    };
    /// In place of Started when the compilation has ended with a reason.
    struct NotCallable {};

    /// Hands over one call, as a range of one item that is moved from.
    /// @tparam waits whether the caller waits until it is over
    template <bool waits, class F, class... Args>
    auto start_one(F& f, Args&&... args) {
        auto calls = Backend::template store_call<std::decay_t<F>>(std::forward<Args>(args)...);
        return start<true, waits>(f,
                                  std::ranges::subrange(std::make_move_iterator(calls.begin()),
                                                        std::make_move_iterator(calls.end())),
                                  1);
    }

  private:
    /// Frees what a call held once its results are taken, or its error is thrown.
    struct Taken {
        const Backend& backend;
        const typename Backend::Call& call;
        [[gnu::hot]] ~Taken() {
            call->discard();
            backend.forget(call);
        }
    };

    /// Hands a call over. @param f,range not changed unless the range's iterators do so
    /// @tparam waits whether the caller waits, and keeps the range, until the call is over
    template <bool spread, bool waits, class F, class Range>
    auto start(F& f, Range&& range, std::optional<int> chunksize) {
        using Function = std::decay_t<F>;
        using Element = std::ranges::range_reference_t<Range>;
        if constexpr (!Backend::template require_callable<Function, Element, spread>()) {
            return NotCallable{};
        } else if constexpr (!std::ranges::sized_range<Range>) {
            std::vector<std::ranges::range_value_t<Range>> items;
            for (auto&& item : range) items.emplace_back(std::forward<decltype(item)>(item));
            // They do not stay where they are: whoever runs them later must take them along.
            return start<spread, false>(
                f,
                std::ranges::subrange(std::make_move_iterator(items.begin()),
                                      std::make_move_iterator(items.end())),
                chunksize);
        } else {
            using R = typename Backend::template ItemResult<Function, Element, spread>;
            backend_.check_running();
            if (chunksize && *chunksize < 1) throw_bad_chunksize(*chunksize);
            const auto count = static_cast<std::uint64_t>(std::ranges::size(range));
            if (count == 0) return Started<R>{};
            // By its type as a value: a function travels as a pointer to it.
            const Function& function = f;
            return Started<R>{backend_.template submit<spread, waits>(function, range, count,
                                                                      chunk_size(count, chunksize)),
                              count};
        }
    }

    [[noreturn, gnu::cold, gnu::noinline]] static void throw_bad_chunksize(int chunksize) {
        throw ValueError("Chunksize must be 1+, not " + std::to_string(chunksize));
    }

    [[nodiscard]] StreamOptions stream_options(const StreamWish& wish) const {
        if (wish.chunksize < 1) throw_bad_chunksize(wish.chunksize);
        if (wish.buffersize && *wish.buffersize < 1) {
            throw ValueError("buffersize must be at least 1");
        }
        const auto chunk_size = static_cast<std::size_t>(wish.chunksize);
        std::size_t window = std::max<std::size_t>(64, 8 * backend_.worker_count()) * chunk_size;
        // One that runs in the caller does nothing ahead of time.
        if constexpr (Backend::runs_in_caller) window = chunk_size;
        if (buffersize_ != 0) window = buffersize_;
        if (wish.buffersize) window = static_cast<std::size_t>(*wish.buffersize);
        return {chunk_size, window, wish.ordered};
    }

    /// As Python: so many items that every worker gets about four chunks.
    [[nodiscard]] std::uint32_t chunk_size(std::uint64_t count, std::optional<int> wish) const {
        if (wish) return static_cast<std::uint32_t>(*wish);
        const std::uint64_t chunks = 4 * std::uint64_t{backend_.worker_count()};
        return static_cast<std::uint32_t>(
            std::min<std::uint64_t>((count + chunks - 1) / chunks, INT32_MAX));
    }

    template <class R>
    ResultList<R> collect(const Started<R>& started) {
        if (!started.call) return ResultList<R>();
        const Taken taken{backend_, started.call};
        if (shows_progress_) {
            wait_with_progress(*started.call, started.items);
        } else {
            (void)started.call->wait(Timeout());
        }
        started.call->throw_if_given_up();
        return Backend::template read_all<R>(*started.call);
    }
    void collect(NotCallable) {}

    template <class R>
    AsyncResult<ResultList<R>> later(const Started<R>& started,
                                     AsyncOptions<ResultList<R>>&& options) {
        return with_callbacks(
            AsyncResult<ResultList<R>>(started.call, Backend::template read_all<R>), started.call,
            std::move(options));
    }
    template <class List>
    AsyncResult<List> later(NotCallable, AsyncOptions<List>&&) {
        return AsyncResult<List>(nullptr, nullptr);
    }

    template <class R, class F, class... Args>
    AsyncResult<R> apply_with(AsyncOptions<R> options, F&& f, Args&&... args) {
        using Function = std::decay_t<F>;
        if constexpr (Backend::template require_call<Function, Args...>()) {
            const auto started = start_one<false>(f, std::forward<Args>(args)...);
            return with_callbacks(AsyncResult<R>(started.call, Backend::template read_one<R>),
                                  started.call, std::move(options));
        } else {
            return AsyncResult<R>(nullptr, nullptr);
        }
    }

    template <class R>
    AsyncResult<R> with_callbacks(AsyncResult<R> result, const std::shared_ptr<PendingCall>& call,
                                  AsyncOptions<R>&& options) {
        if (call && (options.callback || options.error_callback)) {
            call->close_gate();
            backend_.courier().add(call, [result, options = std::move(options)](const auto&) {
                run_callbacks(result, options);
            });
        }
        return result;
    }
};

}  // namespace multiprocessing::detail
