// multiprocessing/pool.hpp
//
// Pool: a number of worker processes that run a function for every item of a range. Mirrors CPython
// Lib/multiprocessing/pool.py. Floor 5.
//
// Read on in pool/board.hpp (what owner and workers share), pool/batch.hpp (how calls and results
// travel), pool/worker.hpp (the worker's loop), pool/supervisor.hpp (who watches the workers).
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/pool/batch.hpp"
#include "multiprocessing/pool/supervisor.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing {

/// What a Pool is to be; designated initialisers name the fields.
struct PoolOptions {
    /// Worker processes, at least 1.
    int processes = process_cpu_count();
    /// Chunks after which a worker is replaced by a fresh one; 0: never.
    int maxtasksperchild = 0;
    /// How often an item is tried again whose worker died. Items before it in its chunk are not.
    int retries = 0;
};

/// Worker processes that run tasks.
///
///     mp::Pool pool(4);
///     std::vector<double> roots = pool.map(square_root, numbers);
///
/// At the end of its scope a pool is terminated, as at the end of Python's `with`.
/// @par Processes a worker that dies fails only the item it was running; it is replaced. The
/// workers
///      end with the pool, and when the process that made it is killed. A forked child's copy of a
///      pool is unusable.
/// @par Source CPython Lib/multiprocessing/pool.py, Pool
template <class StartMethod>
class BasicPool {
  public:
    /// Starts one worker for each core that this process may use.
    BasicPool() : BasicPool(PoolOptions{}) {}

    /// Starts `processes` workers.
    explicit BasicPool(int processes) : BasicPool(PoolOptions{.processes = processes}) {}

    /// @throws ValueError fewer than 1 process, maxtasksperchild or retries below 0
    /// @throws std::system_error, RuntimeError as Process::start; then no worker is left
    explicit BasicPool(const PoolOptions& options) { open(options, nullptr); }

    /// Starts workers each of which calls `initializer(args...)` before its first task. When that
    /// throws, the pool is broken: BrokenProcessPool with the error's text.
    template <class Initializer, class... Args>
    BasicPool(int processes, Initializer&& initializer, Args&&... args)
        : BasicPool(PoolOptions{.processes = processes}, std::forward<Initializer>(initializer),
                    std::forward<Args>(args)...) {}

    template <class Initializer, class... Args>
    BasicPool(const PoolOptions& options, Initializer&& initializer, Args&&... args) {
        open(options, detail::make_target<StartMethod::inherits_memory>(
                          std::forward<Initializer>(initializer), std::forward<Args>(args)...));
    }

    BasicPool(const BasicPool&) = delete;
    BasicPool& operator=(const BasicPool&) = delete;

    ~BasicPool() { detail::ExitHooks::remove(exit_hook_); }

    /// Returns `f(item)` for each item of `range`, in its order.
    ///
    /// **Blocking**: until every item is done, also when one of them fails.
    /// @param chunksize items that a worker takes at a time; by default, so many that each worker
    ///        gets about four chunks
    /// @throws the error of the first item that failed, as its own type when that is a standard or
    /// a
    ///         registered one, else RemoteError; WorkerLost when its worker died
    /// @throws ValueError "Pool not running", chunksize below 1; CancelledError; BrokenProcessPool
    template <class F, std::ranges::input_range Range>
    auto map(F&& f, Range&& range, std::optional<int> chunksize = std::nullopt) {
        return run<false>(std::forward<F>(f), std::forward<Range>(range), chunksize);
    }
    template <class F, class Item = detail::ListedItem<F, false>>
    auto map(F&& f, std::initializer_list<Item> items,
             std::optional<int> chunksize = std::nullopt) {
        return run<false>(std::forward<F>(f), items, chunksize);
    }

    /// Returns `f(a, b, …)` for each tuple (or pair, or array) of `range`, in its order; else as
    /// map.
    template <class F, std::ranges::input_range Range>
    auto starmap(F&& f, Range&& range, std::optional<int> chunksize = std::nullopt) {
        return run<true>(std::forward<F>(f), std::forward<Range>(range), chunksize);
    }
    template <class F, class Item = detail::ListedItem<F, true>>
    auto starmap(F&& f, std::initializer_list<Item> items,
                 std::optional<int> chunksize = std::nullopt) {
        return run<true>(std::forward<F>(f), items, chunksize);
    }

    /// Returns `f(args...)`, called in a worker. **Blocking** and errors as map.
    template <class F, class... Args>
    auto apply(F&& f, Args&&... args) {
        using Function = std::decay_t<F>;
        if constexpr (!portable_callable<Function>) {
            detail::require_portable_callable<Function>();
        } else if constexpr (!detail::arguments_fit<Function, Args...>) {
            detail::require_arguments_fit<Function, Args...>();
        } else {
            const std::array calls{detail::store_arguments<Function>(std::forward<Args>(args)...)};
            using Results = decltype(run<true>(std::forward<F>(f), calls, 1));
            if constexpr (std::is_void_v<Results>) {
                run<true>(std::forward<F>(f), calls, 1);
            } else {
                // Not auto: the front of a vector<bool> is a proxy, which would dangle.
                using Result = typename Results::value_type;
                return static_cast<Result>(
                    std::move(run<true>(std::forward<F>(f), calls, 1).front()));
            }
        }
    }

    /// Lets no more work in; the workers leave when all that is there is done.
    void close() { supervisor_->close(); }

    /// Ends the workers, whatever they are doing; pending calls throw CancelledError. **Blocking**
    /// for about 0.2 s at most, when a worker is stopped or has blocked SIGTERM.
    void terminate() {
        supervisor_->terminate();
        supervisor_->join();
    }

    /// Waits until the workers have left. @throws ValueError before close or terminate
    void join() { supervisor_->join(); }

  private:
    void open(const PoolOptions& options, std::shared_ptr<detail::Target> initializer) {
        if (options.processes < 1) throw ValueError("Number of processes must be at least 1");
        if (options.maxtasksperchild < 0) {
            throw ValueError("maxtasksperchild must be at least 1, or 0 for no limit");
        }
        if (options.retries < 0) throw ValueError("retries must be at least 0");
        supervisor_ = std::make_shared<detail::Supervisor>(
            detail::SupervisorOptions{static_cast<std::uint32_t>(options.processes),
                                      static_cast<std::uint32_t>(options.maxtasksperchild),
                                      static_cast<std::uint32_t>(options.retries)},
            start_worker, std::move(initializer));
        // A pool that is still there when the program ends: its workers must not be replaced while
        // they are being ended. Python's priority for it.
        exit_hook_ = detail::ExitHooks::add(15, [weak = std::weak_ptr(supervisor_)] {
            if (const auto supervisor = weak.lock()) {
                supervisor->terminate();
                supervisor->join();
            }
        });
    }

    static std::shared_ptr<detail::Child> start_worker(
        const detail::WorkerOrders& orders, std::shared_ptr<detail::Target> initializer) {
        detail::ProcessState& state = detail::state();
        if (!state.identity().may_have_children) {
            throw AssertionError("daemonic processes are not allowed to have children");
        }
        detail::ProcessIdentity identity = detail::child_identity(state);
        identity.lineage = state.next_lineage();
        identity.name = "PoolWorker-" + identity.lineage;
        identity.authkey = state.authkey();
        identity.daemon = true;
        identity.dies_with_parent = true;
        identity.is_pool_worker = true;
        detail::WorkerTarget target(orders, std::move(initializer));
        auto child = StartMethod::start(
            std::move(identity), [&target] { target.run(); }, &target);
        state.add(child);
        detail::register_exit_handler();
        return child;
    }

    /// Runs `f` over a range whose size is known.
    template <bool spread, class F, class Range>
    auto run(F&& f, Range&& range, std::optional<int> chunksize) {
        if constexpr (!std::ranges::sized_range<Range>) {
            std::vector<std::ranges::range_value_t<Range>> items;
            for (auto&& item : range) items.emplace_back(std::forward<decltype(item)>(item));
            return run<spread>(std::forward<F>(f), std::move(items), chunksize);
        } else {
            using Function = std::decay_t<F>;
            using Element = std::ranges::range_reference_t<Range>;
            // After a requirement that fails nothing else is compiled, lest its errors hide it.
            if constexpr (!portable_callable<Function>) {
                detail::require_portable_callable<Function>();
            } else {
                using Item = detail::StoredItem<Function, Element, spread>;
                if constexpr (!std::is_void_v<Item>) {
                    return run_items<Function, Item, spread>(f, range, chunksize);
                }
            }
        }
    }

    template <class F, class Item, bool spread, class Range>
    auto run_items(const F& f, Range& range, std::optional<int> chunksize) {
        using Result = typename detail::ItemCall<F, Item, spread>::Result;
        if constexpr (!picklable<Item> && spread) {
            detail::RequirePicklable<Item>::each();
        } else if constexpr (!picklable<Item>) {
            detail::require_picklable<Item>();
        } else if constexpr (!std::is_void_v<Result> && !picklable<Result>) {
            detail::require_picklable<Result>();
        } else {
            supervisor_->check_running();
            if (chunksize && *chunksize < 1) {
                throw ValueError("Chunksize must be 1+, not " + std::to_string(*chunksize));
            }
            const auto count = static_cast<std::uint64_t>(std::ranges::size(range));
            return collect<Result>(count == 0
                                       ? nullptr
                                       : supervisor_->submit(detail::make_batch<F, Item, spread>(
                                             f, range, count, chunk_size(count, chunksize))));
        }
    }

    /// As Python: so many items that every worker gets about four chunks.
    [[nodiscard]] std::uint32_t chunk_size(std::uint64_t count, std::optional<int> wish) const {
        if (wish) return static_cast<std::uint32_t>(*wish);
        const std::uint64_t chunks = 4 * std::uint64_t{supervisor_->worker_count()};
        return static_cast<std::uint32_t>(
            std::min<std::uint64_t>((count + chunks - 1) / chunks, INT32_MAX));
    }

    template <class Result>
    auto collect(const std::shared_ptr<detail::PendingBatch>& pending) {
        if constexpr (std::is_void_v<Result>) {
            if (!pending) return;
            const Taken taken{*pending};
            wait(pending);
            detail::throw_first_error(**pending);
        } else {
            if (!pending) return std::vector<Result>();
            const Taken taken{*pending};
            wait(pending);
            return detail::take_results<Result>(**pending);
        }
    }

    /// Frees what a call held once its results are taken, or its error is thrown.
    struct Taken {
        detail::PendingBatch& pending;
        ~Taken() { pending.discard(); }
    };

    void wait(const std::shared_ptr<detail::PendingBatch>& pending) {
        pending->wait(Timeout(), supervisor_->spins_for(**pending));
        supervisor_->forget(pending);
        pending->throw_if_given_up();
    }

    std::shared_ptr<detail::Supervisor> supervisor_;
    std::size_t exit_hook_ = 0;
};

using Pool = BasicPool<default_start_method>;

}  // namespace multiprocessing
