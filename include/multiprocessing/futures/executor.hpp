// multiprocessing/futures/executor.hpp
//
// ProcessPoolExecutor: submit, map, shutdown. Mirrors CPython Lib/concurrent/futures/process.py,
// ProcessPoolExecutor. Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>

#include "multiprocessing/futures/future.hpp"
#include "multiprocessing/futures/zip.hpp"
#include "multiprocessing/pool.hpp"

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

/// A pool that gives an executor access to its parts. When the program ends, its work is finished.
template <class StartMethod>
class ExecutorPool : public BasicPool<StartMethod> {
  public:
    using Base = BasicPool<StartMethod>;

    explicit ExecutorPool(const PoolOptions& options) : Base(typename Base::Unopened()) {
        this->template open<true>(options, nullptr);
    }
    template <class Initializer, class... Args>
    ExecutorPool(const PoolOptions& options, Initializer&& initializer, Args&&... args)
        : Base(typename Base::Unopened()) {
        this->template open<true>(
            options, make_target<StartMethod::inherits_memory>(
                         std::forward<Initializer>(initializer), std::forward<Args>(args)...));
    }

    using typename PoolInterface<ProcessBackend>::StreamWish;
    using PoolInterface<ProcessBackend>::start_one;
    using PoolInterface<ProcessBackend>::stream;
    using PoolInterface<ProcessBackend>::text;
    using PoolInterface<ProcessBackend>::backend_;
};

}  // namespace detail

/// Processes that run calls whose results are Futures.
///
///     mp::ProcessPoolExecutor executor(4);
///     mp::Future<int> future = executor.submit(square, 7);
///
/// At the end of its scope it finishes everything, as at the end of Python's `with`. It does the
/// same when the program ends before that. Differs: a worker that dies fails only the call that it
/// was running, as in Pool.
/// @par Source CPython Lib/concurrent/futures/process.py, ProcessPoolExecutor
template <class StartMethod>
class BasicProcessPoolExecutor {
  public:
    /// Starts `max_workers` workers. @throws ValueError fewer than 1 worker
    explicit BasicProcessPoolExecutor(int max_workers = process_cpu_count())
        : pool_(PoolOptions{.processes = checked(max_workers)}) {}

    /// Starts workers like a Pool with these options.
    explicit BasicProcessPoolExecutor(const PoolOptions& options) : pool_(options) {}

    /// Starts workers that each call `initializer(args...)` first. When that throws, the calls
    /// throw BrokenProcessPool.
    template <class Initializer, class... Args>
    BasicProcessPoolExecutor(int max_workers, Initializer&& initializer, Args&&... args)
        : pool_(PoolOptions{.processes = checked(max_workers)},
                std::forward<Initializer>(initializer), std::forward<Args>(args)...) {}
    /// Starts workers with options that each call `initializer(args...)` first.
    template <class Initializer, class... Args>
    BasicProcessPoolExecutor(const PoolOptions& options, Initializer&& initializer, Args&&... args)
        : pool_(options, std::forward<Initializer>(initializer), std::forward<Args>(args)...) {}

    BasicProcessPoolExecutor(const BasicProcessPoolExecutor&) = delete;
    BasicProcessPoolExecutor& operator=(const BasicProcessPoolExecutor&) = delete;

    ~BasicProcessPoolExecutor() { pool_.backend_.supervisor()->finish(); }

    /// Calls `f(args...)` in a worker. @throws RuntimeError after shutdown; BrokenProcessPool
    template <class F, class... Args>
    auto submit(F&& f, Args&&... args) {
        using Backend = detail::ProcessBackend;
        using R = typename Backend::template CallResult<F, Args...>;
        check_open();
        using Refusal = typename Backend::template RefusalOfCall<std::decay_t<F>, Args...>;
        if constexpr (!std::is_void_v<Refusal>) {
            static_cast<void>(sizeof(Refusal));
            return Future<R>(nullptr, nullptr, std::weak_ptr<detail::Supervisor>());
        } else {
            const auto started =
                pool_.template start_one<false>({}, f, std::forward<Args>(args)...);
            return Future<R>(started.call, Backend::template read_one<R>,
                             pool_.backend_.supervisor());
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
                f, detail::Zip(std::views::all(std::forward<Ranges>(ranges))...), wish);
            stream.set_limit(options.timeout);
            return stream;
        }
    }

    /// Changes the number of workers, as Pool::resize does. @throws RuntimeError after shutdown
    void resize(int workers) {
        check_open();
        pool_.resize(workers);
    }

    /// Has each worker call `f(args...)` as the last thing, as Pool::on_exit does.
    /// @throws RuntimeError after shutdown
    template <class F, class... Args>
    void on_exit(F&& f, Args&&... args) {
        check_open();
        pool_.on_exit(std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Takes no more calls.
    /// @param wait           whether to wait until everything is done, as the end of the scope does
    /// @param cancel_futures whether calls that no worker has begun are cancelled
    /// @throws RuntimeError in a callback that asks to wait: it would wait for its own end. The
    ///         executor is shut down all the same
    void shutdown(bool wait = true, bool cancel_futures = false) {
        shut_down_.store(true);
        const auto supervisor = pool_.backend_.supervisor();  // a callback may destroy this object
        supervisor->close();
        if (cancel_futures) supervisor->cancel_untaken();
        if (wait) supervisor->join();
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

    friend std::string text_of(const BasicProcessPoolExecutor& executor) {
        return executor.pool_.text("ProcessPoolExecutor", "max_workers");
    }

  private:
    using Wish = typename detail::ExecutorPool<StartMethod>::StreamWish;

    static int checked(int max_workers) {
        if (max_workers < 1) throw ValueError("max_workers must be greater than 0");
        return max_workers;
    }
    void check_open() const {
        if (shut_down_.load()) {
            throw RuntimeError("cannot schedule new futures after shutdown");
        }
    }

    detail::ExecutorPool<StartMethod> pool_;
    std::atomic<bool> shut_down_{false};
};

/// An executor of the default start method.
using ProcessPoolExecutor = BasicProcessPoolExecutor<default_start_method>;

}  // namespace multiprocessing
