// multiprocessing/pool/calls/interface.hpp
//
// What Pool and ThreadPool have in common: every call that users see. A backend says how a call is
// checked, run and read. Mirrors CPython Lib/multiprocessing/pool.py, Pool. Floor 5. Start at
// PoolInterface::map. SPDX-License-Identifier: MIT
#pragma once

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

#include "multiprocessing/pool/calls/async_result.hpp"
#include "multiprocessing/pool/calls/pending_call.hpp"
#include "multiprocessing/pool/calls/progress.hpp"
#include "multiprocessing/pool/calls/stream.hpp"
#include "multiprocessing/pool/calls/submit_options.hpp"
#include "multiprocessing/pool/insight/report.hpp"
#include "multiprocessing/pool/insight/statistics.hpp"
#include "multiprocessing/pool/insight/trace.hpp"
#include "multiprocessing/pool/tasks/items.hpp"

namespace multiprocessing::detail {

template <class>
inline constexpr bool is_async_options = false;
template <class R>
inline constexpr bool is_async_options<AsyncOptions<R>> = true;

/// What the caller of imap asks for.
struct StreamWish {
    int chunksize;                  ///< items
    std::optional<int> buffersize;  ///< items; none: the pool's
    bool ordered;                   ///< whether the results come in the order of the items
};

/// Returns the options of a stream for what its caller asks for.
/// @param buffersize   the pool's; 0: some items for each worker
/// @param worker_count of the pool
/// @param runs_in_caller whether the pool's calls run in the thread that makes them
/// @throws ValueError chunksize or buffersize below 1
[[nodiscard]] StreamOptions stream_options(const StreamWish& wish, std::size_t buffersize,
                                           std::uint32_t worker_count, bool runs_in_caller);

/// Returns so many items that each worker gets about four chunks, as Python does.
[[nodiscard]] std::uint32_t default_chunk_size(std::uint64_t count,
                                               std::uint32_t worker_count) noexcept;

/// @throws ValueError always
[[noreturn, gnu::cold]] void throw_bad_chunksize(int chunksize);

/// Returns a number of workers. @throws ValueError fewer than 1
[[nodiscard, gnu::cold]] std::uint32_t checked_worker_count(int workers);

/// Returns what a pool is printed as. @param count what its size is called
[[nodiscard, gnu::cold]] std::string pool_text(const char* name, const char* state,
                                               const char* count, std::uint32_t worker_count);

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

    /// Returns `f(a, b, …)` for each tuple (or pair, or array) of `range`, in its order; otherwise
    /// as map.
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
        return later(start<false, false>(f, range, options.chunksize, detail::wish_of(options)),
                     std::move(options));
    }
    /// Does the same for the items listed.
    template <class F, class Item = typename Backend::template ListedItem<F, false>,
              class R = ResultList<typename Backend::template ItemResult<F, const Item&, false>>>
    AsyncResult<R> map_async(F&& f, std::initializer_list<Item> items,
                             std::type_identity_t<AsyncOptions<R>> options = {}) {
        return later(start<false, false>(f, items, options.chunksize, detail::wish_of(options)),
                     std::move(options));
    }

    /// As starmap, without waiting; otherwise as map_async.
    template <class F, std::ranges::input_range Range,
              class R = ResultList<typename Backend::template ItemResult<
                  F, std::ranges::range_reference_t<Range>, true>>>
    AsyncResult<R> starmap_async(F&& f, Range&& range,
                                 std::type_identity_t<AsyncOptions<R>> options = {}) {
        return later(start<true, false>(f, range, options.chunksize, detail::wish_of(options)),
                     std::move(options));
    }
    /// Does the same for the items listed.
    template <class F, class Item = typename Backend::template ListedItem<F, true>,
              class R = ResultList<typename Backend::template ItemResult<F, const Item&, true>>>
    AsyncResult<R> starmap_async(F&& f, std::initializer_list<Item> items,
                                 std::type_identity_t<AsyncOptions<R>> options = {}) {
        return later(start<true, false>(f, items, options.chunksize, detail::wish_of(options)),
                     std::move(options));
    }

    /// Returns the results of `f(item)` in the order of `range`, as they come, in a ResultStream.
    ///
    /// The input is read bit by bit, in the thread that takes the results, so it may be endless. A
    /// container that is given by name must stay until the stream's end. Once the pool is closed,
    /// join reads the rest of a range that knows its size, unless there is a buffersize. Of any
    /// other range it reads no more, and a ValueError follows the results of what was read.
    /// @param chunksize  items that a worker takes at a time
    /// @param buffersize how many items are at most ahead of the results taken; by default the
    ///        pool's
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
        using Refusal = typename Backend::template RefusalOfCall<Function, Args...>;
        if constexpr (!std::is_void_v<Refusal>) {
            static_cast<void>(sizeof(Refusal));
            return refused<R>();
        } else {
            const auto started = start_one<true>(CallWish{}, f, std::forward<Args>(args)...);
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

    /// @{
    /// Not allowed. A function that is overloaded or a template has no type by itself: name the one
    /// that is meant (`f<int>`), or cast it, or call it in a lambda.
    void map(...) = delete;             // give it one function (f<int> of a template) and a range
    void map_async(...) = delete;       // give it one function (f<int> of a template) and a range
    void starmap(...) = delete;         // give it one function (f<int>) and a range of tuples
    void starmap_async(...) = delete;   // give it one function (f<int>) and a range of tuples
    void imap(...) = delete;            // give it one function (f<int> of a template) and a range
    void imap_unordered(...) = delete;  // give it one function (f<int> of a template) and a range
    void apply(...) = delete;           // give it one function: f<int> of a template, or a cast
    void apply_async(...) = delete;     // give it one function: f<int> of a template, or a cast
    /// @}

    /// Changes the number of workers. A worker that is too many leaves after the chunk that it is
    /// at; its place is closed. New workers start in the background, and call the initializer
    /// first.
    ///
    /// It does not wait for either. Calls that are under way go on with the workers that there are.
    /// @param workers at least 1
    /// @throws ValueError fewer than 1 worker; "Pool not running"
    /// @throws std::bad_alloc when the heap is full; std::system_error EAGAIN when a pool of
    /// threads
    ///         cannot start one
    void resize(int workers) { backend_.resize(checked_worker_count(workers)); }

    /// Takes no more work; the workers leave when all the work that is there is done.
    void close() { backend_.close(); }

    /// Ends the workers, whatever they are doing; pending results become CancelledError.
    /// **Blocking** for about 0.2 s at most, when a worker is stopped or has blocked SIGTERM. A
    /// thread goes on with its task; only join and the end of the pool wait for it.
    void terminate() { backend_.terminate(); }

    /// Waits until the workers have left and every callback has run. A program that ends while it
    /// waits just ends.
    /// @throws ValueError before close or terminate; RuntimeError in a callback, or in a task of a
    ///         pool of threads, because it would wait for its own end
    void join() { backend_.join(); }

    /// Returns what each worker has done so far, the slowest tasks, and the workers that were lost.
    /// A task counts a moment after its result is there.
    [[nodiscard]] PoolStats stats() const {
        return read_stats(backend_.logs(), backend_.history());
    }

    /// Writes the timeline of the latest tasks of each worker (PoolOptions::traced of them) as a
    /// file that chrome://tracing and ui.perfetto.dev open.
    /// @throws std::system_error when it cannot be written, e.g. ENOENT, ENOSPC
    void trace(const std::string& path) const {
        write_trace(backend_.logs(), backend_.history(), path);
    }

    /// Writes a page for a browser that says what the pool has done: its workers' timeline and use,
    /// the figures of stats(), the slowest tasks, the lost workers. It is one file that loads
    /// nothing. It may be written at any time, also while the pool works. Its charts show the tasks
    /// that trace() writes; with PoolOptions::traced = 0 there are none.
    /// @throws std::system_error when it cannot be written, e.g. ENOENT, ENOSPC
    void report(const std::string& path) const {
        backend_.wait_for_records();
        write_report(backend_.logs(), backend_.history(), path);
    }

  protected:
    PoolInterface() = default;
    ~PoolInterface() = default;

    /// Returns what the pool is printed as. @param count what its size is called
    [[nodiscard, gnu::cold]] std::string text(const char* name,
                                              const char* count = "pool_size") const {
        return pool_text(name, backend_.state_name(), count, backend_.worker_count());
    }

    /// What the caller of imap asks for.
    using StreamWish = detail::StreamWish;

    /// Returns whether join reads the rest of a stream's input. It does as in Python, but it reads
    /// no more than a buffersize allows, and no range that may have no end.
    template <class View>
    [[nodiscard]] bool reads_at_join(const StreamWish& wish) const noexcept {
        return std::ranges::sized_range<View> && !wish.buffersize && buffersize_ == 0;
    }

    template <bool spread, class F, class View>
    auto stream(F& f, View view, const StreamWish& wish) {
        using Function = std::decay_t<F>;
        using Element = std::ranges::range_reference_t<View>;
        using R = typename Backend::template ItemResult<Function, Element, spread>;
        using Refusal = typename Backend::template RefusalOfItem<Function, Element, spread>;
        if constexpr (!std::is_void_v<Refusal>) {
            static_cast<void>(sizeof(Refusal));
            return ResultStream<R>(std::shared_ptr<StreamState<R>>());
        } else {
            StreamOptions options =
                stream_options(wish, buffersize_, backend_.worker_count(), Backend::runs_in_caller);
            options.read_at_join = reads_at_join<View>(wish);
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
    /// Stands for Started where the compilation has ended with a reason.
    template <class R>
    struct NotCallable {};

    /// Hands over one call, as a range of one item that is moved from.
    /// @tparam waits whether the caller waits until it is over
    template <bool waits, class F, class... Args>
    auto start_one(const CallWish& wish, F& f, Args&&... args) {
        auto calls = Backend::template store_call<std::decay_t<F>>(std::forward<Args>(args)...);
        return start<true, waits>(f,
                                  std::ranges::subrange(std::make_move_iterator(calls.begin()),
                                                        std::make_move_iterator(calls.end())),
                                  1, wish);
    }

  private:
    /// Frees what a call holds, once its results are taken or its error is thrown.
    struct Taken {
        const Backend backend;  // a callback may destroy the pool meanwhile
        const typename Backend::Call& call;
        [[gnu::hot]] ~Taken() {
            call->discard();
            backend.forget(call);
        }
    };

    /// Hands a call over. @param f,range not changed, unless the range's iterators change it
    /// @tparam waits whether the caller waits, and keeps the range, until the call is over
    template <bool spread, bool waits, class F, class Range>
    auto start(F& f, Range&& range, std::optional<int> chunksize, const CallWish& wish = {}) {
        using Function = std::decay_t<F>;
        using Element = std::ranges::range_reference_t<Range>;
        using R = typename Backend::template ItemResult<Function, Element, spread>;
        using Refusal = typename Backend::template RefusalOfItem<Function, Element, spread>;
        if constexpr (is_string_literal<Range>) {
            static_cast<void>(sizeof(StringLiteralIsNoRange<Range>));
            return NotCallable<R>{};
        } else if constexpr (!std::is_void_v<Refusal>) {
            static_cast<void>(sizeof(Refusal));
            return NotCallable<R>{};
        } else if constexpr (!std::ranges::sized_range<Range>) {
            std::vector<std::ranges::range_value_t<Range>> items;
            for (auto&& item : range) items.emplace_back(std::forward<decltype(item)>(item));
            // These items do not stay here: a call that runs them later must take them along.
            return start<spread, false>(
                f,
                std::ranges::subrange(std::make_move_iterator(items.begin()),
                                      std::make_move_iterator(items.end())),
                chunksize, wish);
        } else {
            backend_.check_running();
            // Not `chunksize && *chunksize < 1`: compilers read the number first, also where there
            // is none, and valgrind reports that.
            if (chunksize.value_or(1) < 1) throw_bad_chunksize(*chunksize);
            const auto count = static_cast<std::uint64_t>(std::ranges::size(range));
            if (count == 0) return Started<R>{};
            // By its type as a value: a function travels as a pointer to it.
            const Function& function = f;
            return Started<R>{backend_.template submit<spread, waits>(
                                  function, range, count, chunk_size(count, chunksize), wish),
                              count};
        }
    }

    [[nodiscard]] std::uint32_t chunk_size(std::uint64_t count, std::optional<int> wish) const {
        if (wish) return static_cast<std::uint32_t>(*wish);
        return default_chunk_size(count, backend_.worker_count());
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
    template <class R>
    ResultList<R> collect(NotCallable<R>) {
        return refused<ResultList<R>>();
    }

    template <class R>
    AsyncResult<ResultList<R>> later(const Started<R>& started,
                                     AsyncOptions<ResultList<R>>&& options) {
        return with_callbacks(
            AsyncResult<ResultList<R>>(started.call, Backend::template read_all<R>), started.call,
            std::move(options));
    }
    template <class R, class List>
    AsyncResult<List> later(NotCallable<R>, AsyncOptions<List>&&) {
        return AsyncResult<List>(nullptr, nullptr);
    }

    template <class R, class F, class... Args>
    AsyncResult<R> apply_with(AsyncOptions<R> options, F&& f, Args&&... args) {
        using Function = std::decay_t<F>;
        using Refusal = typename Backend::template RefusalOfCall<Function, Args...>;
        if constexpr (!std::is_void_v<Refusal>) {
            static_cast<void>(sizeof(Refusal));
            return AsyncResult<R>(nullptr, nullptr);
        } else {
            const auto started = start_one<false>(wish_of(options), f, std::forward<Args>(args)...);
            return with_callbacks(AsyncResult<R>(started.call, Backend::template read_one<R>),
                                  started.call, std::move(options));
        }
    }

    template <class R>
    AsyncResult<R> with_callbacks(AsyncResult<R> result, const std::shared_ptr<PendingCall>& call,
                                  AsyncOptions<R>&& options) {
        if (!call || (!options.callback && !options.error_callback)) return result;
        call->close_gate();
        try {
            const Backend kept = backend_;
            kept.courier().add(call, [result, options = std::move(options)](const auto&) {
                run_callbacks(result, options);
            });
        } catch (...) {  // the thread cannot be started, or there is no memory
            (void)call->cancel(false);
            call->open_gate();
            throw;
        }
        return result;
    }
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/calls/interface.ipp"
#endif
