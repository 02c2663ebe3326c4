// Tasks that are asked to stop before they are killed.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>

namespace {

/// What became of a task that was asked.
struct Notes {
    std::atomic<int> begun;
    std::atomic<int> asked;
    std::atomic<int> left;
};

/// How a task behaves when it is asked.
enum class Manner { heeds, throws, heeds_token, is_interrupted, deaf, dies };
int work(std::uint64_t notes, Manner manner, int x) {
    auto& known = in_heap<Notes>(notes);
    ++known.begun;
    switch (manner) {
        case Manner::heeds:
        case Manner::throws:
            while (!mp::this_task::stop_requested()) ::usleep(500);
            ++known.asked;
            break;
        case Manner::heeds_token: {
            std::mutex mutex;
            std::unique_lock lock(mutex);
            std::condition_variable_any never;
            never.wait(lock, mp::this_task::stop_token(), [] { return false; });
            ++known.asked;
            break;
        }
        case Manner::is_interrupted:
            // SIGTERM may come before the sleep.
            while (!mp::this_task::stop_requested()) ::sleep(600);
            ++known.asked;
            break;
        case Manner::deaf:
            for (;;) ::usleep(1'000);
        case Manner::dies:
            std::signal(SIGTERM, SIG_DFL);
            for (;;) ::pause();
    }
    if (manner == Manner::throws) throw std::domain_error("told to stop");
    ++known.left;
    return x;
}
auto task(const InHeap<Notes>& notes, Manner manner) {
    return mp::partial(work, notes.offset(), manner);
}
double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}
constexpr double limit = 0.2;  // seconds

}  // namespace

TEMPLATE_TEST_CASE("A task past its time is asked to stop, and keeps its result", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .task_timeout = limit, .grace = 60});
    const pid_t worker = pool.apply(worker_pid, 0);
    for (const Manner manner :
         {Manner::heeds, Manner::heeds_token, Manner::is_interrupted, Manner::heeds_token}) {
        const InHeap<Notes> notes;
        const auto begin = std::chrono::steady_clock::now();
        REQUIRE(pool.apply(task(notes, manner), 7) == 7);
        REQUIRE(seconds_since(begin) >= limit);
        REQUIRE(notes->asked == 1);
    }
    const InHeap<Notes> notes;
    REQUIRE_THROWS_AS(pool.apply(task(notes, Manner::throws), 7), std::domain_error);
    // The wish is for that task alone.
    for (const bool asked :
         pool.map([](int) { return mp::this_task::stop_requested(); }, numbers(20), 1)) {
        REQUIRE(!asked);
    }
    const auto pids = pool.map(worker_pid_slowly, numbers(100), 1);
    CHECK(std::count(pids.begin(), pids.end(), worker) > 0);  // nobody was killed
    REQUIRE(mp::this_task::stop_requested() == false);
    REQUIRE(!mp::this_task::stop_token().stop_possible());
}

TEMPLATE_TEST_CASE("A task that does not heed the wish is killed when its grace is over", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(
        {.processes = 2, .task_timeout = limit, .grace = 0.2, .retries = 2});
    for (const Manner manner : {Manner::deaf, Manner::dies}) {
        const InHeap<Notes> notes;
        const auto begin = std::chrono::steady_clock::now();
        try {
            pool.map(task(notes, manner), std::vector{5}, 1);
            FAIL("no exception");
        } catch (const mp::TimeoutError& error) {
            CHECK(error.item() == 0);
            CHECK(error.reason() == mp::LossReason::timeout);
        }
        REQUIRE(seconds_since(begin) >= (manner == Manner::deaf ? limit + 0.2 : limit));
        REQUIRE(notes->begun == 1);
    }
    REQUIRE(pool.apply(stop_itself, 0) == 0);  // the wish continues it
    REQUIRE_THROWS_AS(pool.apply(block_and_sleep, 600), mp::TimeoutError);
    REQUIRE(pool.map(square, numbers(20), 1).back() == 361);
}

TEMPLATE_TEST_CASE("cancel(true) asks the tasks under way, then kills", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .maxtasksperchild = 5, .grace = 0.3});
    for (const Manner manner : {Manner::heeds, Manner::heeds_token, Manner::deaf}) {
        const InHeap<Notes> notes;
        const auto call = pool.map_async(task(notes, manner), numbers(6), {.chunksize = 2});
        REQUIRE(support::eventually([&] { return notes->begun == 2; }));
        REQUIRE(call.cancel(true));
        REQUIRE_THROWS_AS(call.get(), mp::CancelledError);
        // Both workers are free again: the tasks have ended, or were killed.
        REQUIRE(pool.map(square, numbers(40), 1).back() == 39 * 39);
        Gate gate;
        const auto both = pool.map_async(gate.task(), numbers(2), {.chunksize = 1});
        gate.wait_for(2);
        gate.open();
        REQUIRE(both.get().size() == 2);
        if (manner == Manner::heeds) CHECK(notes->asked >= 2);
        if (manner == Manner::deaf) CHECK(notes->left == 0);
    }
}

TEMPLATE_TEST_CASE("terminate gives tasks their grace, and no others begin", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const Manner manner = GENERATE(Manner::heeds, Manner::heeds_token, Manner::is_interrupted);
    const InHeap<Notes> notes;
    {
        mp::BasicPool<TestType> pool({.processes = 2, .grace = 60});
        const auto call = pool.map_async(task(notes, manner), numbers(50), {.chunksize = 1});
        REQUIRE(support::eventually([&] { return notes->begun == 2; }));
        pool.terminate();
        REQUIRE_THROWS_AS(call.get(), mp::CancelledError);
        REQUIRE(notes->left == 2);
    }
    REQUIRE(notes->begun == 2);
    const InHeap<Notes> others;
    mp::BasicPool<TestType> pool({.processes = 2, .grace = 0.1});
    const auto call = pool.map_async(task(others, Manner::deaf), numbers(50), {.chunksize = 1});
    REQUIRE(support::eventually([&] { return others->begun == 2; }));
    pool.terminate();
    pool.join();
    REQUIRE(others->begun == 2);
}

TEMPLATE_TEST_CASE("A call has a time limit of its own", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(
        {.processes = 2, .task_timeout = GENERATE(mp::Timeout(), mp::Timeout(600))});
    const auto begin = std::chrono::steady_clock::now();
    const auto stuck = pool.apply_async({.timeout = limit}, sleep_for_seconds, 600);
    try {
        (void)stuck.get();
        FAIL("no exception");
    } catch (const mp::TimeoutError& error) {
        REQUIRE(std::string(error.what()).find("the timeout of 0.2 s") != std::string::npos);
        REQUIRE(error.attempts() == 1);
    }
    REQUIRE(seconds_since(begin) >= limit);
    const auto map = pool.map_async(sleep_for_seconds, std::vector{0, 600, 0},
                                    {.chunksize = 1, .timeout = limit});
    REQUIRE_THROWS_AS(map.get(), mp::TimeoutError);
    // A longer one than the pool's.
    mp::BasicPool<TestType> hasty({.processes = 1, .task_timeout = limit});
    const auto patient = hasty.apply_async({.timeout = 600}, sleep_for_seconds, 1);
    REQUIRE_THROWS_AS(hasty.apply(sleep_for_seconds, 600), mp::TimeoutError);
    REQUIRE(patient.get() == 1);
}

TEMPLATE_TEST_CASE("SIGTERM from outside ends a worker that has a grace all the same", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 1, .grace = 60});
    const pid_t worker = pool.apply(worker_pid, 0);
    const Gate gate;  // never opened
    const auto lost = pool.apply_async(gate.task(), 0);
    gate.wait_for(1);
    ::kill(worker, SIGTERM);
    REQUIRE_THROWS_AS(lost.get(), mp::WorkerLost);
    REQUIRE(pool.apply(worker_pid, 0) != worker);
    // What a task has forked ends as usual.
    REQUIRE(pool.apply([] {
        mp::ForkProcess child([] {
            for (;;) ::pause();
        });
        child.start();
        ::usleep(20'000);
        child.terminate();
        child.join();
        return *child.exitcode();
    }) == -SIGTERM);
}

TEMPLATE_TEST_CASE("A grace holds through a storm of kills and time limits", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    int kills = 0;
    mp::BasicPool<TestType> pool({.processes = 3,
                                  .maxtasksperchild = 4,
                                  .task_timeout = 0.02,
                                  .grace = 0.02,
                                  .retries = 50});
    const support::RandomKiller killer(4'000, 60, kills);
    for (int round = 0; round < 8; ++round) {
        const InHeap<Notes> notes;
        std::vector<mp::AsyncResult<int>> calls;
        for (int i = 0; i < 24; ++i) {
            calls.push_back(pool.apply_async(task(notes, static_cast<Manner>(i % 6)), i));
        }
        for (std::size_t i = 0; i < calls.size(); ++i) {
            if (i % 8 == 7) (void)calls[i].cancel(true);
            try {
                (void)calls[i].get();
            } catch (const std::exception&) {  // any but a hang
            }
        }
    }
    CHECK(kills > 0);
}

TEST_CASE("Tasks of threads are asked to stop, and never killed", "[pool]") {
    const Tidy tidy;
    mp::ThreadPool pool(2);
    std::atomic<int> begun{0};
    const auto heed = [&] {
        ++begun;
        while (!mp::this_task::stop_requested()) ::usleep(500);
        return 1;
    };
    const auto heed_token = [&] {
        std::mutex mutex;
        std::unique_lock lock(mutex);
        std::condition_variable_any never;
        const auto token = mp::this_task::stop_token();
        ++begun;
        never.wait(lock, token, [] { return false; });
        return 2;
    };
    const auto first = pool.apply_async(heed);
    const auto second = pool.apply_async(heed_token);
    REQUIRE(support::eventually([&] { return begun == 2; }));
    REQUIRE(!first.cancel(true));  // it has begun, and its result counts
    REQUIRE(!second.cancel(true));
    REQUIRE(first.get() == 1);
    REQUIRE(second.get() == 2);
    REQUIRE(!pool.apply([] { return mp::this_task::stop_requested(); }));
    const auto third = pool.apply_async(heed);
    const auto fourth = pool.apply_async(heed_token);
    REQUIRE(support::eventually([&] { return begun == 4; }));
    pool.terminate();
    pool.join();
    REQUIRE_THROWS_AS(third.get(), mp::CancelledError);
    REQUIRE_THROWS_AS(mp::ThreadPool(mp::PoolOptions{.processes = 1, .grace = 1}), mp::ValueError);
    mp::ThreadPool other(1);
    REQUIRE_THROWS_AS(other.apply_async({.timeout = 1}, square, 2), mp::ValueError);
}
