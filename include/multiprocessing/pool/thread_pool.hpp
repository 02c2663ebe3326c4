// multiprocessing/pool/thread_pool.hpp
//
// ThreadPool: the interface of Pool on threads of this process. It takes any callable, and gives
// back the very exceptions that were thrown. Mirrors CPython Lib/multiprocessing/pool.py,
// ThreadPool. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/interface.hpp"
#include "multiprocessing/pool/thread_backend.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing {

/// Threads that run tasks, with the interface of Pool.
///
///     mp::ThreadPool pool(4);
///     std::vector<Page> pages = pool.map([&](const Url& url) { return client.fetch(url); }, urls);
///
/// A task that has begun cannot be ended: terminate drops the others, and the end of the pool's
/// scope waits for it. Differs: CPython leaves it running, where it would use what is gone here.
/// @par Processes a forked child's copy of a pool is unusable
/// @par Source CPython Lib/multiprocessing/pool.py, ThreadPool
class ThreadPool : public detail::PoolInterface<detail::ThreadBackend> {
  public:
    /// Starts a thread for each core that this process may use.
    ThreadPool() : ThreadPool(process_cpu_count()) {}

    /// @throws ValueError fewer than 1 thread
    /// @throws std::system_error EAGAIN
    explicit ThreadPool(int threads) { open(threads, {}); }

    /// Starts threads each of which calls `initializer(args...)` before its first task. When that
    /// throws, the pool is broken: BrokenProcessPool with the error's text.
    template <class Initializer, class... Args>
    ThreadPool(int threads, Initializer&& initializer, Args&&... args) {
        open(threads, [call = std::decay_t<Initializer>(std::forward<Initializer>(initializer)),
                       arguments = std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)] {
            std::apply(call, arguments);
        });
    }

    ~ThreadPool() {
        if (backend_.crew()) backend_.crew()->end();
    }

  private:
    void open(int threads, std::function<void()> initializer) {
        if (threads < 1) throw ValueError("Number of processes must be at least 1");
        backend_.open(static_cast<std::uint32_t>(threads), std::move(initializer));
    }
};

}  // namespace multiprocessing
