// multiprocessing/futures/executor_interface.hpp
//
// The calls of an executor, whatever pool runs them: submit, map, shutdown. Mirrors CPython
// Lib/concurrent/futures/_base.py, Executor. Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/futures/future.hpp"
#include "multiprocessing/futures/zip.hpp"
#include "multiprocessing/pool/calls/interface.hpp"

namespace multiprocessing {

/// Options of ProcessPoolExecutor::map; designated initialisers name the fields.
struct MapOptions {
    /// How long the results may take, from the call on; after that, taking the next one throws
    /// TimeoutError.
    Timeout timeout = std::nullopt;
    /// Items that a worker takes at a time.
    int chunksize = 1;
    /// How many items may at most be ahead of the results taken; by default some for each worker.
    std::optional<int> buffersize = {};
};

namespace detail {

/// What all executors can do.
/// @tparam OwnPool a pool that lets this class use its parts; Backend takes its calls
template <class OwnPool, class Backend>
class ExecutorInterface {
  public:
    ExecutorInterface(const ExecutorInterface&) = delete;
    ExecutorInterface& operator=(const ExecutorInterface&) = delete;

    /// Calls `f(args...)` in a worker. @throws RuntimeError after shutdown; BrokenProcessPool
    template <class F, class... Args>
    auto submit(F&& f, Args&&... args) {
        using R = typename Backend::template CallResult<F, Args...>;
        check_open();
        using Refusal = typename Backend::template RefusalOfCall<std::decay_t<F>, Args...>;
        if constexpr (!std::is_void_v<Refusal>) {
            static_cast<void>(sizeof(Refusal));
            return Future<R>(nullptr, nullptr, std::weak_ptr<CallHome>());
        } else {
            const auto started =
                pool_.template start_one<false>({}, f, std::forward<Args>(args)...);
            return Future<R>(started.call, Backend::template read_one<R>, pool_.backend_.home());
        }
    }

    /// Not allowed. A function that is overloaded or a template has no type by itself.
    void submit(...) = delete;  // give it one function: f<int> of a template, or a cast

    /// Calls `f(a, b, …)` for the items of the ranges side by side, up to the end of the shortest
    /// range. Returns a ResultStream, which gives the results in the order of the items, as they
    /// come.
    ///
    /// The ranges are read bit by bit, in the thread that takes the results. A container that is
    /// given by name must stay until the stream's end. A stream that is dropped half-way takes back
    /// the calls that are left.
    /// @throws RuntimeError after shutdown; ValueError chunksize or buffersize below 1
    template <class F, std::ranges::input_range... Ranges>
        requires(sizeof...(Ranges) > 0)
    auto map(F&& f, Ranges&&... ranges) {
        return map(MapOptions{}, std::forward<F>(f), std::forward<Ranges>(ranges)...);
    }
    /// Does the same with options.
    template <class F, std::ranges::input_range... Ranges>
        requires(sizeof...(Ranges) > 0)
    auto map(const MapOptions& options, F&& f, Ranges&&... ranges) {
        check_open();
        const Wish wish{options.chunksize, options.buffersize, true};
        if constexpr (sizeof...(Ranges) == 1) {
            auto stream = pool_.template stream<false>(
                f, std::views::all(std::forward<Ranges>(ranges))..., wish);
            stream.set_limit(options.timeout);
            return stream;
        } else {
            auto stream = pool_.template stream<true>(
                f, Zip(std::views::all(std::forward<Ranges>(ranges))...), wish);
            stream.set_limit(options.timeout);
            return stream;
        }
    }

    /// Changes the number of workers, as Pool::resize does. @throws RuntimeError after shutdown
    void resize(int workers) {
        check_open();
        pool_.resize(workers);
    }

    /// Takes no more calls.
    /// @param wait           whether to wait until everything is done, as the end of the scope does
    /// @param cancel_futures whether calls that no worker has begun are cancelled
    /// @throws RuntimeError in a callback that asks to wait: it would wait for its own end. The
    ///         executor is shut down all the same
    void shutdown(bool wait = true, bool cancel_futures = false) {
        shut_down_.store(true);
        const auto home = pool_.backend_.home();  // a callback may destroy this object
        home->close();
        if (cancel_futures) home->cancel_untaken();
        if (wait) home->join();
    }

    /// Ends the workers, whatever they are doing; pending futures are cancelled.
    void terminate_workers() {
        shut_down_.store(true);
        pool_.terminate();
    }
    /// Does the same as terminate_workers.
    void kill_workers() { terminate_workers(); }

    /// As Pool's. Differs: CPython's has none.
    [[nodiscard]] PoolStats stats() const { return pool_.stats(); }
    /// As Pool's.
    void trace(const std::string& path) const { pool_.trace(path); }
    /// As Pool's.
    void report(const std::string& path) const { pool_.report(path); }

  protected:
    /// Makes the pool.
    template <class... Args>
    explicit ExecutorInterface(std::in_place_t, Args&&... args)
        : pool_(std::forward<Args>(args)...) {}
    /// Finishes everything.
    ~ExecutorInterface() { pool_.backend_.home()->finish(); }

    void check_open() const {
        if (shut_down_.load()) {
            throw RuntimeError("cannot schedule new futures after shutdown");
        }
    }

    OwnPool pool_;

  private:
    using Wish = typename OwnPool::StreamWish;

    std::atomic<bool> shut_down_{false};
};

}  // namespace detail
}  // namespace multiprocessing
