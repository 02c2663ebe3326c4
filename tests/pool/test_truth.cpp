// A pool invents nothing: what was not run has no result, what another process must not read is an
// error, and what a task does to its worker's copy, or leaves in its function, reaches nobody.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <cstdlib>
#include <optional>
#include <stdexcept>

namespace {

/// A function that cannot be read where it is to run.
template <class R>
struct Unreadable {
    int by = 2;
    R operator()(int x) const {
        if constexpr (std::is_same_v<R, std::string>) return std::to_string(x * by);
        if constexpr (std::is_same_v<R, int>) return x * by;
    }
    template <class Archive>
    void save(Archive& archive) const {
        archive(by);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(by);
        throw std::runtime_error("cannot be read");
    }
};
/// Counts its calls.
struct CallCounter {
    int calls = 0;
    int operator()(int) { return calls++; }
};

int fork_and_return_twice(int x) { return ::fork() == 0 ? -1000 - x : x; }
int fork_and_throw_in_copy(int x) {
    if (::fork() == 0) throw std::runtime_error("of the copy");
    return x;
}
std::string fork_and_return_text_twice(int x) { return std::to_string(fork_and_return_twice(x)); }
void fork_and_return_nothing(std::uint64_t counter) {
    if (::fork() != 0) in_heap<std::atomic<int>>(counter).fetch_add(1);
}
int fork_a_copy_that_exits(int x) {
    const pid_t pid = ::fork();
    // The leak checker does not see what the threads that a copy lacks refer to.
    if (pid == 0 && support::sanitized) ::_exit(0);
    if (pid == 0) std::exit(0);
    int status = -1;
    ::waitpid(pid, &status, 0);
    return status == 0 ? x : -1;
}

/// Counts the results and the errors of a stream.
template <class Stream>
std::pair<int, int> count_outcomes(Stream stream) {
    int results = 0;
    int errors = 0;
    for (;;) {
        try {
            if (!stream.next(20.0)) return {results, errors};
            ++results;
        } catch (const std::runtime_error& error) {
            REQUIRE(std::string(error.what()).find("cannot be read") != std::string::npos);
            ++errors;
        }
    }
}

}  // namespace

TEMPLATE_TEST_CASE("A chunk whose function cannot be read is an error of each of its items",
                   "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const std::pair<int, int> only_errors{0, 10};
    CHECK(count_outcomes(pool.imap(Unreadable<int>{}, numbers(10), 4)) == only_errors);
    CHECK(count_outcomes(pool.imap(Unreadable<void>{}, numbers(10), 4)) == only_errors);
    CHECK(count_outcomes(pool.imap_unordered(Unreadable<std::string>{}, numbers(10), 4)) ==
          only_errors);
    CHECK_THROWS_AS(pool.map(Unreadable<int>{}, numbers(10), 4), std::runtime_error);
    CHECK_THROWS_AS(pool.map(Unreadable<void>{}, numbers(10), 4), std::runtime_error);
    CHECK_THROWS_AS(pool.apply(Unreadable<std::string>{}, 1), std::runtime_error);
    CHECK(pool.map(square, {2, 3}) == std::vector{4, 9});
}

TEMPLATE_TEST_CASE("A function with state is made anew for each chunk", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    CHECK(pool.map(CallCounter{}, numbers(6), 2) == std::vector{0, 1, 0, 1, 0, 1});
    CHECK(pool.map(CallCounter{7}, numbers(3), 1) == std::vector{7, 7, 7});
    CallCounter counter;
    CHECK(pool.apply(counter, 1) == 0);
    CHECK(pool.apply(counter, 1) == 0);
}

TEMPLATE_TEST_CASE("A copy that a task has forked of its worker reports nothing", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    for (int i = 0; i < 20; ++i) {
        REQUIRE(pool.apply(fork_and_return_twice, i) == i);
        REQUIRE(pool.apply(fork_and_throw_in_copy, i) == i);
        REQUIRE(pool.apply(fork_and_return_text_twice, i) == std::to_string(i));
        REQUIRE(pool.apply(fork_a_copy_that_exits, i) == i);
    }
    InHeap<std::atomic<int>> counter;
    pool.map(fork_and_return_nothing, std::vector(10, counter.offset()));
    CHECK(*counter == 10);
}

TEST_CASE("A forked child has the results that were waited for, and not what became of others",
          "[pool]") {
    const Tidy tidy;
    mp::BasicPool<mp::start_method::fork> pool(2);
    for (int round = 0; round < 5; ++round) {
        auto ready = std::make_optional(pool.apply_async(describe, "result ", round));
        auto waited_for = std::make_optional(pool.apply_async(describe, "text ", round));
        waited_for->wait();
        auto nothing = std::make_optional(pool.apply_async([] {}));
        nothing->wait();
        while (!ready->ready()) ::usleep(1'000);
        const auto pending = pool.apply_async(sleep_for_seconds, 1);
        mp::ForkProcess child([r = *ready, w = *waited_for, n = *nothing, pending, round] {
            ::usleep(100'000);
            bool good = support::throws<mp::ValueError>([&] { (void)r.get(); }) &&
                        support::throws<mp::ValueError>([&] { (void)r.successful(); }) &&
                        support::throws<mp::ValueError>([&] { (void)pending.get(); });
            good = good && w.ready() && w.successful() && w.get() == describe("text ", round);
            good = good && support::throws<mp::ValueError>([&] { (void)w.get(); });
            n.get();
            mp::exit(good ? 0 : 1);
        });
        child.start();
        ready.reset();
        waited_for.reset();
        nothing.reset();
        for (int i = 0; i < 20; ++i) (void)pool.map(mirror, std::vector<Point>(50, {1, "point"}));
        child.join();
        CHECK(child.exitcode() == 0);
        CHECK(pending.get(20.0) == 1);
    }
}
