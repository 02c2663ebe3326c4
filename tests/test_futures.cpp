// futures.hpp: ProcessPoolExecutor and Future, under every start method.
// ALONE: g++ warns of a coroutine in the unnamed namespace of an included file
// SPDX-License-Identifier: MIT
#include <multiprocessing/futures.hpp>

#include <algorithm>
#include <coroutine>
#include <mutex>
#include <ranges>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "tests/pool/support.hpp"

namespace {

int add(int a, int b) { return a + b; }
std::unique_ptr<int> make_owner(int x) { return std::make_unique<int>(x); }
int end_here(int status) { ::_exit(status); }
int exit_here(int status) { mp::exit(status); }

template <class Method>
int nested(int x) {
    mp::BasicProcessPoolExecutor<Method> executor(1);
    return executor.submit(square, x).result();
}

/// A coroutine that starts at once and that nobody waits for.
struct Detached {
    struct promise_type {
        Detached get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};
template <class Executor>
Detached add_up(Executor& executor, std::string& text, std::atomic<bool>& done) {
    const int first = co_await executor.submit(square, 3);
    const auto second = executor.submit(describe, "n", first);
    text = co_await second;
    text += co_await second;  // it is done: goes on at once
    try {
        co_await executor.submit(fail_at_odd, 5);
    } catch (const std::out_of_range& error) {
        text += error.what();
    }
    done = true;
}

}  // namespace

TEMPLATE_TEST_CASE("submit gives a Future of the result", "[futures]", START_METHODS) {
    const Tidy tidy;
    mp::BasicProcessPoolExecutor<TestType> executor(2);
    const mp::Future<int> future = executor.submit(multiply, 6, 7);
    REQUIRE(future.result() == 42);
    REQUIRE(future.result(5) == 42);
    REQUIRE((future.done() && !future.running() && !future.cancelled() && !future.cancel()));
    REQUIRE(future.exception() == nullptr);
    const mp::Future<int> copy = future;
    REQUIRE(copy == future);
    REQUIRE(executor.submit(multiply, 6, 7) != future);
    REQUIRE(*executor.submit(make_owner, 3).result() == 3);
    InHeap<std::atomic<int>> counter;
    executor.submit(count, counter.offset()).result();
    REQUIRE(*counter == 1);
    REQUIRE(executor.submit(mp::partial(multiply, 3), 4).result() == 12);
    REQUIRE(executor.submit(nested<TestType>, 5).result() == 25);
}

TEMPLATE_TEST_CASE("A Future throws and gives the task's error", "[futures]", START_METHODS) {
    const Tidy tidy;
    mp::BasicProcessPoolExecutor<TestType> executor(2);
    const auto failed = executor.submit(fail_at_odd, 3);
    REQUIRE_THROWS_WITH(failed.result(), "odd: 3");
    REQUIRE_THROWS_AS(std::rethrow_exception(failed.exception()), std::out_of_range);
    const auto lost = executor.submit(end_here, 3);
    const auto left = executor.submit(exit_here, 4);
    REQUIRE_THROWS_AS(lost.result(), mp::WorkerLost);
    REQUIRE_THROWS_AS(left.result(), mp::WorkerLost);
    REQUIRE(executor.submit(square, 3).result() == 9);  // the others are not disturbed
}

TEMPLATE_TEST_CASE("A Future waits no longer than told, and is cancelled before it runs",
                   "[futures]", START_METHODS) {
    const Tidy tidy;
    mp::BasicProcessPoolExecutor<TestType> executor(1);
    Gate gate;
    const auto running = executor.submit(gate.task(), 1);
    const auto pending = executor.submit(square, 2);
    gate.wait_for(1);
    REQUIRE((running.running() && !running.done() && !pending.running()));
    REQUIRE_THROWS_AS(running.result(0.01), mp::TimeoutError);
    REQUIRE_THROWS_AS(running.exception(0), mp::TimeoutError);
    REQUIRE(!running.cancel());
    int called = 0;
    pending.add_done_callback([&](const auto& future) { called += future.cancelled(); });
    REQUIRE(pending.cancel());
    REQUIRE(pending.cancel());
    REQUIRE((pending.cancelled() && pending.done() && !pending.running()));
    REQUIRE_THROWS_AS(pending.result(), mp::CancelledError);
    REQUIRE_THROWS_AS(pending.exception(), mp::CancelledError);
    gate.open();
    REQUIRE(running.result() == 1);
    executor.shutdown();
    REQUIRE(called == 1);
}

TEMPLATE_TEST_CASE("Done callbacks get the future, in order, and may throw", "[futures]",
                   START_METHODS) {
    const Tidy tidy;
    std::vector<std::string> lines;
    {
        mp::BasicProcessPoolExecutor<TestType> executor(2);
        Gate gate;
        const auto future = executor.submit(gate.task(), 7);
        future.add_done_callback([&](mp::Future<int> done) {
            lines.push_back("first " + std::to_string(done.result()));
        });
        future.add_done_callback(
            [](const auto&) { throw std::runtime_error("reported, not passed on"); });
        future.add_done_callback(
            [&](const auto& done) { lines.push_back("third " + std::to_string(done == future)); });
        gate.open();
        future.result();
        executor.shutdown();
        future.add_done_callback([&](const auto&) { lines.emplace_back("at once"); });
    }
    REQUIRE(lines == std::vector<std::string>{"first 7", "third 1", "at once"});
}

TEMPLATE_TEST_CASE("A coroutine may co_await a Future", "[futures]", START_METHODS) {
    const Tidy tidy;
    std::string text;
    std::atomic<bool> done{false};
    mp::BasicProcessPoolExecutor<TestType> executor(2);
    add_up(executor, text, done);
    REQUIRE(support::eventually([&] { return done.load(); }));
    REQUIRE(text == "n9n9odd: 5");
}

TEMPLATE_TEST_CASE("wait returns when it is told to", "[futures]", START_METHODS) {
    const Tidy tidy;
    mp::BasicProcessPoolExecutor<TestType> executor(2);
    Gate gate;
    const auto slow = executor.submit(gate.task(), 1);
    const auto quick = executor.submit(square, 2);
    const std::vector futures{slow, quick, quick};
    auto some = mp::wait(futures, std::nullopt, mp::FIRST_COMPLETED);
    REQUIRE((some.done == std::vector{quick} && some.not_done == std::vector{slow}));
    some = mp::wait(futures, 0.01);
    REQUIRE(some.not_done == std::vector{slow});
    some = mp::wait(futures, 0);
    REQUIRE(some.done == std::vector{quick});
    const std::vector with_error{slow, executor.submit(fail_at_odd, 2),
                                 executor.submit(fail_at_odd, 3)};
    some = mp::wait(with_error, std::nullopt, mp::ReturnWhen::FIRST_EXCEPTION);
    REQUIRE(some.not_done == std::vector{slow});
    gate.open();
    const auto [done, not_done] = mp::wait(futures);
    REQUIRE((done == std::vector{slow, quick} && not_done.empty()));
    const auto no_error = mp::wait(futures, 20, mp::FIRST_EXCEPTION);
    REQUIRE(no_error.done.size() == 2);
    REQUIRE(mp::wait(std::vector<mp::Future<int>>()).done.empty());
}

TEMPLATE_TEST_CASE("as_completed gives each future once, as they become done", "[futures]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicProcessPoolExecutor<TestType> executor(2);
    Gate gate;
    std::vector futures{executor.submit(gate.task(), 1000)};
    for (int i = 0; i < 50; ++i) futures.push_back(executor.submit(square, i));
    futures.push_back(futures[1]);
    std::vector<int> results;
    for (const auto& future : mp::as_completed(futures)) {
        results.push_back(future.result());
        if (results.size() == 50) gate.open();
    }
    REQUIRE(results.size() == 51);
    REQUIRE(results.back() == 1000);
    Gate closed;
    const std::vector stuck{executor.submit(closed.task(), 1), futures[3]};
    std::size_t count = 0;
    const auto walk = [&] {
        for (const auto& future : mp::as_completed(stuck, 0.05)) count += future.done();
    };
    REQUIRE_THROWS_WITH(walk(), "1 (of 2) futures unfinished");
    REQUIRE(count == 1);
    closed.open();
    REQUIRE(mp::as_completed(std::vector<mp::Future<int>>()).begin() == std::default_sentinel);
}

template <class Executor>
Detached sum_of_rest(Executor& executor, std::atomic<int>& sum) {
    int total = co_await executor.submit(square, 2);
    const std::vector rest{executor.submit(square, 3), executor.submit(square, 4)};
    for (const auto& future : mp::as_completed(rest)) total += future.result();
    total += static_cast<int>(mp::wait(rest, 20.0).done.size());
    sum = total;
}

TEMPLATE_TEST_CASE("wait and as_completed work on the executor's own thread", "[futures]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicProcessPoolExecutor<TestType> executor(2);
    std::atomic<int> sum{0};
    sum_of_rest(executor, sum);
    REQUIRE(support::eventually([&] { return sum == 4 + 9 + 16 + 2; }));
    std::atomic<int> done{0};
    executor.submit(square, 1).add_done_callback([&](const auto&) {
        const std::vector more{executor.submit(square, 5), executor.submit(square, 6)};
        done = static_cast<int>(mp::wait(more, 20.0).done.size());
    });
    REQUIRE(support::eventually([&] { return done == 2; }));
}

TEST_CASE("wait and as_completed take futures of several executors", "[futures]") {
    const Tidy tidy;
    mp::ProcessPoolExecutor first(1);
    mp::ProcessPoolExecutor second(1);
    Gate gate;
    std::vector<mp::Future<int>> futures{first.submit(gate.task(), 7)};
    for (int i = 0; i < 20; ++i) futures.push_back((i % 2 == 0 ? first : second).submit(square, i));
    std::size_t early = 0;
    for (const auto& future : mp::as_completed(futures)) {
        if (++early == 10) gate.open();
        REQUIRE(future.done());
    }
    REQUIRE(early == futures.size());
    const std::vector stuck{first.submit(sleep_for_seconds, 600),
                            second.submit(sleep_for_seconds, 600)};
    REQUIRE(mp::wait(stuck, 0.05).not_done.size() == 2);
    std::thread ender([&] {
        ::usleep(50'000);
        first.kill_workers();
        second.kill_workers();
    });
    REQUIRE(mp::wait(stuck, 20.0).done.size() == 2);
    ender.join();
}

TEST_CASE("A wait that is repeated leaves nothing behind", "[futures]") {
    const Tidy tidy;
    mp::ProcessPoolExecutor executor(1);
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 100; ++i) futures.push_back(executor.submit(sleep_for_seconds, 600));
    (void)mp::wait(futures, 0.001);
    const auto before = support::resident_bytes();
    // A sanitizer keeps what was freed.
    const int times = support::sanitized ? 100 : 10'000;
    for (int i = 0; i < times; ++i) (void)mp::wait(futures, i % 100 == 0 ? 0.0005 : 0);
    const auto after = support::resident_bytes();
    executor.kill_workers();
    REQUIRE((support::sanitized || after < before + (4 << 20)));
}

TEST_CASE("A forked child sees futures of its parent as done, and cannot read them", "[futures]") {
    const Tidy tidy;
    mp::ProcessPoolExecutor executor(1);
    mp::ThreadPool threads(1);
    Gate gate;
    const auto future = executor.submit(gate.task(), 1);
    const auto of_thread = threads.apply_async(gate.task(), 2);
    const auto known = threads.apply_async(square, 3);
    mp::ForkProcess child([&] {
        int errors = 0;
        const std::vector futures{future};
        if (mp::wait(futures, 5.0).done.size() == 1) ++errors;
        for (const auto& each : mp::as_completed(futures)) errors += each.done() ? 1 : 0;
        try {
            (void)future.result();
        } catch (const mp::ValueError&) {
            ++errors;
        }
        try {
            (void)of_thread.get();
        } catch (const mp::ValueError&) {
            ++errors;
        }
        mp::exit(errors);
    });
    child.start();
    child.join();
    REQUIRE(child.exitcode() == 4);
    gate.open();
    REQUIRE(known.get() == 9);
}

TEST_CASE("Futures and results are keys of unordered containers", "[futures]") {
    const Tidy tidy;
    mp::ProcessPoolExecutor executor(1);
    std::unordered_map<mp::Future<int>, int> numbers_of;
    const auto one = executor.submit(square, 1);
    const auto two = executor.submit(square, 2);
    numbers_of[one] = 1;
    numbers_of[two] = 2;
    REQUIRE(numbers_of.at(mp::Future<int>(one)) == 1);
    REQUIRE(numbers_of.size() == 2);
    mp::ThreadPool threads(1);
    const auto result = threads.apply_async(square, 3);
    std::unordered_set<mp::AsyncResult<int>> results{result, threads.apply_async(square, 3)};
    REQUIRE(results.size() == 2);
    REQUIRE(results.contains(result));
}

TEMPLATE_TEST_CASE("map takes several ranges, up to the shortest", "[futures]", START_METHODS) {
    const Tidy tidy;
    mp::BasicProcessPoolExecutor<TestType> executor(2);
    std::vector<int> sums;
    for (const int sum : executor.map(add, numbers(100), std::views::iota(10))) {
        sums.push_back(sum);
    }
    REQUIRE(sums.size() == 100);
    REQUIRE((sums[0] == 10 && sums[99] == 208));
    const std::vector<std::string> texts{"a", "b", "c"};
    std::vector<std::string> described;
    for (const auto& text : executor.map({.chunksize = 2}, describe, texts, numbers(9))) {
        described.push_back(text);
    }
    REQUIRE(described == std::vector<std::string>{"a0", "b1", "c2"});
    auto errors = executor.map(fail_at_odd, numbers(3));
    REQUIRE(errors.next() == 0);
    REQUIRE_THROWS_AS(errors.next(), std::out_of_range);
    REQUIRE(errors.next() == 2);
    Gate gate;
    auto late = executor.map({.timeout = 0.02}, gate.task(), numbers(3));
    REQUIRE_THROWS_AS(late.begin(), mp::TimeoutError);
    gate.open();
    REQUIRE_THROWS_AS(executor.map({.chunksize = 0}, square, numbers(3)), mp::ValueError);
    REQUIRE_THROWS_AS(executor.map({.buffersize = 0}, square, numbers(3)), mp::ValueError);
}

TEMPLATE_TEST_CASE("shutdown finishes or cancels, and lets nothing more in", "[futures]",
                   START_METHODS) {
    const Tidy tidy;
    std::vector<mp::Future<int>> futures;
    {
        mp::BasicProcessPoolExecutor<TestType> executor(2);
        for (int i = 0; i < 100; ++i) futures.push_back(executor.submit(square, i));
    }
    for (int i = 0; i < 100; ++i) REQUIRE(futures[static_cast<std::size_t>(i)].result(0) == i * i);
    {
        mp::BasicProcessPoolExecutor<TestType> executor(1);
        Gate gate;
        const auto running = executor.submit(gate.task(), 1);
        gate.wait_for(1);
        const auto pending = executor.submit(square, 2);
        executor.shutdown(false, true);
        REQUIRE(pending.cancelled());
        REQUIRE(!running.done());
        REQUIRE_THROWS_AS(executor.submit(square, 3), mp::RuntimeError);
        REQUIRE_THROWS_AS(executor.map(square, numbers(3)), mp::RuntimeError);
        gate.open();
        executor.shutdown();
        REQUIRE(running.result() == 1);
    }
    mp::BasicProcessPoolExecutor<TestType> executor(1);
    const auto stuck = executor.submit(block_and_sleep, 600);
    executor.kill_workers();
    REQUIRE_THROWS_AS(stuck.result(), mp::CancelledError);
    REQUIRE_THROWS_AS(mp::BasicProcessPoolExecutor<TestType>(0), mp::ValueError);
}

TEMPLATE_TEST_CASE("An executor's initializer runs in each worker; one that throws breaks it",
                   "[futures]", START_METHODS) {
    const Tidy tidy;
    static int added = 0;
    mp::BasicProcessPoolExecutor<TestType> executor(
        2, [](int x) { added = x; }, 10);
    REQUIRE(executor.submit([](int x) { return x + added; }, 1).result() == 11);
    mp::BasicProcessPoolExecutor<TestType> broken(
        2, [](const std::string& why) { throw std::runtime_error(why); }, "no licence");
    REQUIRE(support::eventually([&] {
        try {
            return broken.submit(square, 1).exception() != nullptr;
        } catch (const mp::BrokenProcessPool&) {
            return true;
        }
    }));
    REQUIRE_THROWS_AS(broken.submit(square, 1), mp::BrokenProcessPool);
}

TEMPLATE_TEST_CASE("Many threads may use one executor", "[futures]", START_METHODS) {
    const Tidy tidy;
    mp::BasicProcessPoolExecutor<TestType> executor(2);
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 50; ++i) {
                const auto future = executor.submit(multiply, t, i);
                std::atomic<bool> called{false};
                future.add_done_callback([&](const auto&) { called = true; });
                right += future.result() == t * i;
                right += support::eventually([&] { return called.load(); });
            }
        });
    }
    for (auto& thread : threads) thread.join();
    REQUIRE(right == 600);
}
