// multiprocessing/futures/executor.hpp
//
// ProcessPoolExecutor: an executor whose calls run in processes. Mirrors CPython
// Lib/concurrent/futures/process.py, ProcessPoolExecutor. Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include "multiprocessing/futures/executor_interface.hpp"
#include "multiprocessing/pool.hpp"

namespace multiprocessing {

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
class BasicProcessPoolExecutor
    : public detail::ExecutorInterface<detail::ExecutorPool<StartMethod>, detail::ProcessBackend> {
    using Interface =
        detail::ExecutorInterface<detail::ExecutorPool<StartMethod>, detail::ProcessBackend>;

  public:
    /// Starts `max_workers` workers. @throws ValueError fewer than 1 worker
    explicit BasicProcessPoolExecutor(int max_workers = process_cpu_count())
        : BasicProcessPoolExecutor(PoolOptions{.processes = checked(max_workers)}) {}

    /// Starts workers like a Pool with these options.
    explicit BasicProcessPoolExecutor(const PoolOptions& options)
        : Interface(std::in_place, options) {}

    /// Starts workers that each call `initializer(args...)` first. When that throws, the calls
    /// throw BrokenProcessPool.
    template <class Initializer, class... Args>
    BasicProcessPoolExecutor(int max_workers, Initializer&& initializer, Args&&... args)
        : Interface(std::in_place, PoolOptions{.processes = checked(max_workers)},
                    std::forward<Initializer>(initializer), std::forward<Args>(args)...) {}
    /// Starts workers with options that each call `initializer(args...)` first.
    template <class Initializer, class... Args>
    BasicProcessPoolExecutor(const PoolOptions& options, Initializer&& initializer, Args&&... args)
        : Interface(std::in_place, options, std::forward<Initializer>(initializer),
                    std::forward<Args>(args)...) {}

    /// Has each worker call `f(args...)` as the last thing, as Pool::on_exit does.
    /// @throws RuntimeError after shutdown
    template <class F, class... Args>
    void on_exit(F&& f, Args&&... args) {
        this->check_open();
        this->pool_.on_exit(std::forward<F>(f), std::forward<Args>(args)...);
    }

    friend std::string text_of(const BasicProcessPoolExecutor& executor) {
        return executor.pool_.text("ProcessPoolExecutor", "max_workers");
    }

  private:
    static int checked(int max_workers) {
        if (max_workers < 1) throw ValueError("max_workers must be greater than 0");
        return max_workers;
    }
};

/// An executor of the default start method.
using ProcessPoolExecutor = BasicProcessPoolExecutor<default_start_method>;

}  // namespace multiprocessing
