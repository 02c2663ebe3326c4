// multiprocessing/pool/threads/thread_pool.hpp
//
// ThreadPool: the interface of Pool on threads of this process. It takes any callable, and gives
// back the very exceptions that were thrown. Mirrors CPython Lib/multiprocessing/pool.py,
// ThreadPool. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "multiprocessing/pool/calls/interface.hpp"
#include "multiprocessing/pool/options.hpp"
#include "multiprocessing/pool/threads/local_backend.hpp"
#include "multiprocessing/pool/threads/serial_crew.hpp"
#include "multiprocessing/pool/threads/thread_crew.hpp"

namespace multiprocessing {
namespace detail {

/// A pool within this process. @tparam Crew what runs its tasks
template <class Crew>
class LocalPool : public PoolInterface<LocalBackend<Crew>> {
  public:
    /// Makes a worker for each core that this process may use.
    LocalPool() : LocalPool(PoolOptions{}) {}

    /// @throws ValueError fewer than 1 worker
    /// @throws std::system_error EAGAIN
    explicit LocalPool(int workers) : LocalPool(PoolOptions{.processes = workers}) {}

    /// Makes a pool with options as Pool takes them. What only a process can do has no effect: to
    /// be replaced, to be killed when it takes too long, to be tried again when it died. Other
    /// options that only worker processes have are a ValueError, because a program relies on them:
    /// idle_timeout, grace, memory_limit and others.
    explicit LocalPool(const PoolOptions& options) { open(options, {}); }

    /// Makes workers that each call `initializer(args...)` before their first task. When that
    /// throws, the pool is broken: BrokenProcessPool with the error's text.
    template <class Initializer, class... Args>
    LocalPool(int workers, Initializer&& initializer, Args&&... args)
        : LocalPool(PoolOptions{.processes = workers}, std::forward<Initializer>(initializer),
                    std::forward<Args>(args)...) {}
    /// Makes such workers with options.
    template <class Initializer, class... Args>
    LocalPool(const PoolOptions& options, Initializer&& initializer, Args&&... args) {
        open(options, [call = std::decay_t<Initializer>(std::forward<Initializer>(initializer)),
                       arguments = std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)] {
            std::apply(call, arguments);
        });
    }

    /// Does not compile: a pool within this process has no workers that end on their own.
    template <class F, class... Args>
    void on_exit(F&&, Args&&...) {
        static_assert(std::is_void_v<F>,
                      "multiprocessing: on_exit needs worker processes: a pool of threads, or of "
                      "the serial context, has none. Call the function after join()");
    }

    ~LocalPool() {
        if (this->backend_.crew()) this->backend_.crew()->end();
    }

  private:
    void open(const PoolOptions& options, std::function<void()> initializer) {
        check_local_options(options);
        this->buffersize_ = static_cast<std::size_t>(options.buffersize);
        this->shows_progress_ = options.progress;
        this->backend_.open(static_cast<std::uint32_t>(options.processes),
                            static_cast<std::uint32_t>(options.traced), TaskRules(options),
                            std::move(initializer));
    }
};

}  // namespace detail

/// Threads that run tasks, with the interface of Pool.
///
///     mp::ThreadPool pool(4);
///     std::vector<Page> pages = pool.map([&](const Url& url) { return client.fetch(url); }, urls);
///
/// A task that has begun cannot be ended: terminate drops the others, and the end of the pool's
/// scope waits for the task. Differs: CPython leaves it running; here it would then use objects
/// that are gone.
/// @par Processes a forked child's copy of a pool is unusable
/// @par Source CPython Lib/multiprocessing/pool.py, ThreadPool
class ThreadPool : public detail::LocalPool<detail::ThreadCrew> {
  public:
    using LocalPool::LocalPool;

    friend std::string text_of(const ThreadPool& pool) {
        return pool.text("multiprocessing.pool.ThreadPool");
    }
};

}  // namespace multiprocessing
