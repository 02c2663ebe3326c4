// The pool's own threads: what callbacks, coroutines, log handlers, exit hooks and forked children
// may do with their pool. Every place, with everything that can be done there, in pools of
// processes, of threads, and executors: it ends, with a result or the error that says why not.
// ALONE: g++ warns of a coroutine in the unnamed namespace of an included file
// SPDX-License-Identifier: MIT
#include <multiprocessing/futures.hpp>
#include <multiprocessing/logging.hpp>
#include <multiprocessing/util.hpp>

#include <coroutine>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "tests/pool/support.hpp"

namespace {

enum class Place {
    callback,
    error_callback,
    done_callback,
    coroutine,
    exit_hook,
    log_handler,
    forked_child
};
enum class Act { close, join, terminate, destroy, shutdown, exit, submit, wait };

constexpr int good = 7;
constexpr int bad = 8;

int nap(int x) {
    ::usleep(2000);
    return x;
}
int nap_and_fail(int x) {
    ::usleep(2000);
    throw std::out_of_range("no " + std::to_string(x));
}
int leave_worker(int) { ::_exit(3); }

/// How often each pair is tried, one after the other.
int rounds() {
    const char* const wish = std::getenv("MULTIPROCESSING_TEST_ROUNDS");
    return wish != nullptr ? std::atoi(wish) : 3;
}
/// How many times the usual limit a case may take, for so many rounds.
unsigned limits() { return static_cast<unsigned>(1 + rounds() / 10); }

/// A pool or an executor, by one interface.
template <class Pool>
struct House {
    static constexpr bool is_executor = std::is_same_v<Pool, mp::ProcessPoolExecutor>;
    static constexpr bool has_processes = !std::is_same_v<Pool, mp::ThreadPool>;

    std::unique_ptr<Pool> pool = std::make_unique<Pool>(2);

    template <class F>
    auto submit(F f, int x) {
        if constexpr (is_executor) {
            return pool->submit(f, x);
        } else {
            return pool->apply_async(f, x);
        }
    }
    template <class Result>
    static int value_of(const Result& result) {
        if constexpr (is_executor) {
            return result.result(20.0);
        } else {
            return result.get(20.0);
        }
    }
    /// Runs `f(x)`, and then `then()` on the pool's own thread.
    template <class F>
    auto run(F f, int x, std::function<void()> then) {
        if constexpr (is_executor) {
            auto future = pool->submit(f, x);
            future.add_done_callback([then](const auto&) { then(); });
            return future;
        } else {
            return pool->apply_async(
                {.callback = [then](int) { then(); },
                 .error_callback = [then](const std::exception_ptr&) { then(); }},
                f, x);
        }
    }
    void close() {
        if constexpr (is_executor) {
            pool->shutdown(false);
        } else {
            pool->close();
        }
    }
    void join() {
        if constexpr (is_executor) {
            pool->shutdown(true);
        } else {
            pool->join();
        }
    }
    void terminate() {
        if constexpr (is_executor) {
            pool->terminate_workers();
        } else {
            pool->terminate();
        }
    }
};

/// Does it; what it cannot do is one of the errors that say so.
/// @returns whether all went as it should
template <class Pool>
bool act(House<Pool>& house, Act what) {
    try {
        switch (what) {
            case Act::close:
                house.close();
                break;
            case Act::join:
                house.close();
                house.join();
                break;
            case Act::terminate:
                house.terminate();
                break;
            case Act::destroy:
                house.pool.reset();
                break;
            case Act::shutdown:
                if constexpr (House<Pool>::is_executor) {
                    house.pool->shutdown(false, true);
                } else {
                    house.close();
                    house.terminate();
                }
                break;
            case Act::exit:
                std::exit(good);
            case Act::submit:
                (void)house.run(nap, 2, [] {});
                break;
            case Act::wait:
                return house.value_of(house.submit(nap, 2)) == 2;
        }
        return true;
    } catch (const mp::ValueError&) {
    } catch (const mp::RuntimeError&) {
    } catch (const mp::CancelledError&) {
    } catch (const mp::BrokenProcessPool&) {
    }
    return true;
}

struct Detached {
    struct promise_type {
        Detached get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};
template <class Future>
Detached resume_with(Future future, std::function<void()> then) {
    (void)co_await future;
    then();
}

/// Lets the pool come to the place, where `then` is called.
template <class Pool>
void come_to(Place place, House<Pool>& house, const std::function<void()>& then) {
    switch (place) {
        case Place::error_callback:
            (void)house.run(nap_and_fail, 1, then);
            return;
        case Place::coroutine:
            if constexpr (House<Pool>::is_executor) {
                resume_with(house.pool->submit(nap, 1), then);
                return;
            }
            [[fallthrough]];
        case Place::callback:
        case Place::done_callback:
            (void)house.run(nap, 1, then);
            return;
        case Place::log_handler: {
            // The pool's thread logs that a worker is gone; a pool of threads, that a callback
            // threw.
            auto once = std::make_shared<std::atomic<bool>>(false);
            mp::get_logger().set_level(mp::DEBUG);
            mp::get_logger().set_handler([then, once](const mp::LogRecord& record) {
                const bool is_it = record.message.find("cleaning up") != std::string_view::npos ||
                                   record.message.find("callback") != std::string_view::npos;
                if (is_it && !once->exchange(true)) then();
            });
            if constexpr (House<Pool>::has_processes) {
                (void)house.submit(leave_worker, 1);
            } else {
                (void)house.run(nap, 1, [] { throw std::runtime_error("of a callback"); });
            }
            return;
        }
        case Place::exit_hook:
        case Place::forked_child:
            return;  // not of the pool's own
    }
}

/// What the main thread does meanwhile.
template <class Pool>
void use_meanwhile(House<Pool>& house, Act what) {
    // Not what needs the pool when that may be gone already: that would be the user's mistake.
    if (what == Act::destroy || what == Act::join) return;
    Pool& pool = *house.pool;
    try {
        if (what == Act::submit || what == Act::wait) {
            (void)house.value_of(house.submit(nap, 5));
        }
        if constexpr (House<Pool>::is_executor) {
            pool.shutdown(true);
        } else {
            pool.close();
            pool.join();
        }
    } catch (const mp::ValueError&) {
    } catch (const mp::RuntimeError&) {
    } catch (const mp::CancelledError&) {
    }
}

/// One try, in a process of its own when that may not survive it. @returns its exit code
template <class Pool>
int try_once(Place place, Act what) {
    std::atomic<bool> came{false};
    std::atomic<bool> went_well{false};
    House<Pool> house;
    const auto then = [&] {
        went_well = act(house, what);
        came = true;
    };
    const auto others = house.submit(nap, 3);
    if (place == Place::exit_hook) {
        static std::optional<House<Pool>> kept;
        kept.emplace(std::move(house));
        const mp::util::Finalize hook([what] { (void)act(*kept, what); }, {.exitpriority = 20});
        mp::exit(good);
    }
    if (place == Place::forked_child) {
        mp::ForkProcess child([&] { mp::exit(act(house, what) ? good : bad); });
        child.start();
        child.join();
        return child.exitcode().value_or(bad);
    }
    come_to(place, house, then);
    use_meanwhile(house, what);
    if (!support::eventually([&] { return came.load(); }, 5)) return bad;
    try {
        (void)House<Pool>::value_of(others);
    } catch (const mp::CancelledError&) {
    }
    return went_well ? good : bad;
}

template <class Pool>
void try_all(const char* name) {
    const support::Tidy tidy(limits());
    for (const Place place :
         {Place::callback, Place::error_callback, Place::done_callback, Place::coroutine,
          Place::exit_hook, Place::log_handler, Place::forked_child}) {
        for (const Act what : {Act::close, Act::join, Act::terminate, Act::destroy, Act::shutdown,
                               Act::exit, Act::submit, Act::wait}) {
            // In a forked child the leak checker of LLVM 16 may wait for a lock of its allocator.
            if (support::sanitized && place == Place::forked_child && what == Act::exit) continue;
            const bool ends_process = what == Act::exit || place == Place::exit_hook;
            const int processes = ends_process ? rounds() : 1;
            const int tries = ends_process ? 1 : rounds();
            for (int i = 0; i < processes; ++i) {
                mp::ForkProcess process([=] {
                    int result = good;
                    for (int k = 0; k < tries && result == good; ++k) {
                        result = try_once<Pool>(place, what);
                    }
                    mp::exit(result);
                });
                process.start();
                process.join(5 * tries);
                CAPTURE(name, static_cast<int>(place), static_cast<int>(what), i);
                CHECK(process.exitcode() == good);
                if (process.is_alive()) process.kill();
                process.join();
            }
        }
    }
}

/// Submits calls with callbacks until the pool takes no more.
template <class Pool>
void submit_until_closed(Pool& pool, std::atomic<long>& called,
                         std::vector<mp::AsyncResult<int>>& results) {
    try {
        for (int i = 0; i < 100'000; ++i) {
            results.push_back(pool.apply_async({.callback = [&](int) { ++called; }}, square, i));
        }
    } catch (const mp::ValueError&) {
    }
}

template <class Pool>
void submit_against_close(int times) {
    for (int round = 0; round < times; ++round) {
        Pool pool(1);
        std::atomic<long> called{0};
        std::vector<std::vector<mp::AsyncResult<int>>> results(6);
        std::vector<std::thread> threads;
        for (auto& own : results) {
            threads.emplace_back([&] { submit_until_closed(pool, called, own); });
        }
        ::usleep(200 + static_cast<useconds_t>(round % 7) * 100);
        pool.close();
        pool.join();
        for (auto& thread : threads) thread.join();
        long accepted = 0;
        for (const auto& own : results) {
            for (const auto& result : own) {
                (void)result.get(5);
                ++accepted;
            }
        }
        REQUIRE(called == accepted);
    }
}

}  // namespace

TEST_CASE("Wherever a program may be, it may do anything with its pool of processes",
          "[pool][own_threads]") {
    try_all<mp::Pool>("Pool");
}
TEST_CASE("Wherever a program may be, it may do anything with its pool of threads",
          "[pool][own_threads]") {
    try_all<mp::ThreadPool>("ThreadPool");
}
TEST_CASE("Wherever a program may be, it may do anything with its executor",
          "[pool][own_threads]") {
    try_all<mp::ProcessPoolExecutor>("ProcessPoolExecutor");
}

TEST_CASE("Every call that was taken is called back, however it races with close",
          "[pool][own_threads]") {
    const support::Tidy tidy(limits());
    submit_against_close<mp::Pool>(20 * rounds());
    submit_against_close<mp::ThreadPool>(20 * rounds());
}

TEMPLATE_TEST_CASE("A callback that ends its pool sees the others run before it goes on",
                   "[pool][own_threads]", mp::Pool, mp::ThreadPool) {
    const support::Tidy tidy;
    auto pool = std::make_unique<TestType>(1);
    std::atomic<int> errors{0};
    std::atomic<int> seen{-1};
    std::vector<mp::AsyncResult<int>> others;
    std::mutex mutex;
    mutex.lock();
    const auto first = pool->apply_async({.callback =
                                              [&](int) {
                                                  const std::lock_guard guard(mutex);
                                                  pool.reset();
                                                  seen = errors.load();
                                              }},
                                         nap, 1);
    for (int i = 0; i < 5; ++i) {
        others.push_back(
            pool->apply_async({.callback = [&](int) { ++errors; },
                               .error_callback = [&](const std::exception_ptr&) { ++errors; }},
                              nap, i));
    }
    mutex.unlock();
    REQUIRE(first.get(20) == 1);
    REQUIRE(seen == 5);
    for (const auto& other : others) REQUIRE(other.ready());
}

TEMPLATE_TEST_CASE("A callback cannot join its own pool, and is told so", "[pool][own_threads]",
                   mp::Pool, mp::ThreadPool) {
    const support::Tidy tidy;
    TestType pool(1);
    std::string first;
    std::string second;
    const auto result = pool.apply_async({.callback =
                                              [&](int) {
                                                  try {
                                                      pool.join();
                                                  } catch (const mp::ValueError& error) {
                                                      first = error.what();
                                                  }
                                                  pool.close();
                                                  try {
                                                      pool.join();
                                                  } catch (const mp::RuntimeError& error) {
                                                      second = error.what();
                                                  }
                                              }},
                                         square, 2);
    REQUIRE(result.get(20) == 4);
    REQUIRE(first == "Pool is still running");
    REQUIRE(second.find("callback cannot join its own pool") != std::string::npos);
    pool.join();
}

TEST_CASE("std::exit while others wait in a pool's calls ends with its code",
          "[pool][own_threads]") {
    const support::Tidy tidy;
    // A program that is left so has not freed what its threads hold, and a static pool is destroyed
    // while one uses it: sanitizers say both.
    if (support::sanitized) return;
    for (const bool is_static : {false, true}) {
        for (const bool by_first_thread : {false, true}) {
            CAPTURE(is_static, by_first_thread);
            const pid_t program = ::fork();
            if (program == 0) {
                std::unique_ptr<mp::Pool> own;
                if (!is_static) own = std::make_unique<mp::Pool>(2);
                // Nobody catches what it throws.
                const auto wait_in_call = [&]() noexcept {
                    static std::optional<mp::Pool> of_program;
                    if (is_static) of_program.emplace(2);
                    (void)(is_static ? *of_program : *own).map(sleep_for_seconds, {60, 60});
                };
                const auto exit_soon = [] {
                    ::usleep(100'000);
                    std::exit(good);
                };
                if (by_first_thread) {
                    std::thread(wait_in_call).detach();
                    exit_soon();
                }
                std::thread(exit_soon).detach();
                wait_in_call();
                ::_exit(bad);
            }
            int status = 0;
            ::waitpid(program, &status, 0);
            REQUIRE(WIFEXITED(status));
            REQUIRE(WEXITSTATUS(status) == good);
        }
    }
}

TEST_CASE("A program that ends finishes what its executors have, not what its pools have",
          "[pool][own_threads]") {
    const support::Tidy tidy;
    for (const bool is_executor : {true, false}) {
        const InHeap<std::atomic<int>> ran;
        mp::ForkProcess process([&ran, is_executor] {
            const auto task = mp::partial(
                [](std::uint64_t counter) {
                    ::usleep(300'000);
                    in_heap<std::atomic<int>>(counter).fetch_add(1);
                },
                ran.offset());
            if (is_executor) {
                auto* const kept = new mp::ProcessPoolExecutor(1);
                (void)kept->submit(task);
                (void)kept->submit(task);
            } else {
                auto* const kept = new mp::Pool(1);
                (void)kept->apply_async(task);
            }
        });
        process.start();
        process.join();
        REQUIRE(process.exitcode() == 0);
        REQUIRE(ran->load() == (is_executor ? 2 : 0));
    }
}
