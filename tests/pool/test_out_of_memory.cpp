// What a pool's owner does while it has no memory: the call throws std::bad_alloc, and nothing that
// the workers have done is lost.
// ALONE: it replaces operator new.
// SPDX-License-Identifier: MIT
#include <multiprocessing/pool/owner/workplace.hpp>

#include "tests/pool/support.hpp"

#include <cstdlib>
#include <deque>
#include <new>
#include <optional>
#include <string>
#include <vector>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED

TEST_CASE("Where a sanitizer has its own operator new, it stays", "[pool]") { SUCCEED(); }

#else

namespace {

constexpr int never = -1;
thread_local int allocations_left = never;  // of this thread; then there is no memory

/// Lets this thread have `count` allocations, and then no memory, until the end of its scope.
class OutOfMemory {
  public:
    explicit OutOfMemory(int count) { allocations_left = count; }
    OutOfMemory(const OutOfMemory&) = delete;
    OutOfMemory& operator=(const OutOfMemory&) = delete;
    ~OutOfMemory() { allocations_left = never; }
};

void* allocate_or_throw(std::size_t size) {
    if (allocations_left == 0) throw std::bad_alloc();
    if (allocations_left > 0) --allocations_left;
    if (void* const block = std::malloc(size == 0 ? 1 : size)) return block;
    throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) { return allocate_or_throw(size); }
void* operator new[](std::size_t size) { return allocate_or_throw(size); }
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t) noexcept { std::free(block); }

namespace {

std::string long_text(int x) { return std::string(100, 'a') + std::to_string(x); }
std::string text_or_error(int x) {
    if (x % 3 == 0) throw std::out_of_range("no " + std::to_string(x));
    return long_text(x);
}
/// Its move takes memory with libstdc++.
std::deque<std::string> list_of_one(int x) { return {long_text(x)}; }
int count_run(std::uint64_t counters, int x) {
    in_heap<Counters>(counters).of[0].fetch_add(1);
    return x;
}

/// Returns the next result: at once where there is memory, else with a second call, which has some.
/// @param failures counts the calls that had none
template <class Stream>
auto next_with(int allocations, Stream& stream, int& failures) {
    try {
        const OutOfMemory out(allocations);
        return stream.next(60);
    } catch (const std::bad_alloc&) {
        ++failures;
    }
    return stream.next(60);
}

/// Two chunks of results, whose input is read at once, arrive whole in spite of all failures.
template <class Pool, class Function, class Check>
void check_nothing_is_lost(Pool& pool, Function function, Check check) {
    int failures = 0;
    for (int allocations = 0; allocations < 12; ++allocations) {
        auto stream = pool.imap(function, numbers(40), 20, 1000);
        for (int x = 0; x < 40; ++x) {
            check(x, [&] { return next_with(allocations, stream, failures); });
        }
        REQUIRE_FALSE(stream.next(60));
    }
    REQUIRE(failures > 0);
}

template <class Pool>
void check_all_results(Pool& pool) {
    check_nothing_is_lost(pool, long_text, [](int x, auto next) {
        const auto result = next();
        REQUIRE(result);
        REQUIRE(*result == long_text(x));
    });
    check_nothing_is_lost(pool, list_of_one, [](int x, auto next) {
        const auto result = next();
        REQUIRE(result);
        REQUIRE(*result == list_of_one(x));
    });
    check_nothing_is_lost(pool, text_or_error, [](int x, auto next) {
        if (x % 3 == 0) {
            REQUIRE_THROWS_AS(next(), std::out_of_range);
        } else {
            const auto result = next();
            REQUIRE(result);
            REQUIRE(*result == long_text(x));
        }
    });
}

/// Reads a stream whose input is read little by little, where each call has but few allocations.
/// @returns how many results came; they are the first ones, in order
template <class Stream>
int read_with(int allocations, Stream& stream) {
    int count = 0;
    int failures = 0;
    try {
        while (const auto result = next_with(allocations, stream, failures)) {
            REQUIRE(*result == count);
            ++count;
        }
    } catch (const std::bad_alloc&) {  // the input's, which ends the stream
    }
    return count;
}

template <class Pool>
void check_no_task_is_lost(Pool& pool) {
    InHeap<Counters> runs;
    for (int allocations = 0; allocations < 24; ++allocations) {
        for (const int window : {30, 31}) {
            runs->of[0] = 0;
            auto stream = pool.imap(mp::partial(count_run, runs.offset()), numbers(400), 1, window);
            const int results = read_with(allocations, stream);
            INFO(allocations << " allocations, window " << window);
            ::usleep(1'000);  // for what still runs
            REQUIRE(runs->of[0] == results);
        }
    }
}

}  // namespace

TEMPLATE_TEST_CASE("A stream loses no result when there is no memory to read it", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    check_all_results(pool);
}

TEST_CASE("A stream of a ThreadPool loses no result when there is no memory to take it",
          "[pool][threads]") {
    const Tidy tidy;
    mp::ThreadPool pool(2);
    check_all_results(pool);
}

TEST_CASE("A stream returns the result of each task that it has given to the pool", "[pool]") {
    const Tidy tidy;
    mp::Pool pool(2);
    check_no_task_is_lost(pool);
}

TEST_CASE("A call that fails for lack of memory keeps no place of max_pending", "[pool]") {
    const Tidy tidy;
    int failures = 0;
    for (int allocations = 0; allocations < 24; ++allocations) {
        mp::Pool pool({.processes = 1, .max_pending = 1});
        try {
            const OutOfMemory out(allocations);
            (void)pool.apply_async(square, 2);
        } catch (const std::bad_alloc&) {
            ++failures;
        }
        INFO(allocations << " allocations");
        for (int x = 0; x < 3; ++x) {
            const mp::AsyncOptions<int> options{.submit_timeout = 20};
            REQUIRE(pool.apply_async(options, square, x).get(20) == x * x);
        }
        pool.close();
        pool.join();
    }
    REQUIRE(failures > 0);
}

TEST_CASE("A pool that cannot be made for lack of memory leaves nothing in the heap", "[pool]") {
    using namespace mp::detail;
    const Tidy tidy;
    SupervisorOptions options{};
    options.workers = 8;
    options.setup.ignore_signals = std::vector<int>(5000, SIGHUP);
    options.rules.grace = 1;
    const auto try_with = [&](int allocations) {
        sigset_t mask{};
        try {
            const OutOfMemory out(allocations);
            const Workplace place(options, std::make_unique<Crew>(nullptr, nullptr, mask));
            return true;
        } catch (const std::bad_alloc&) {
            return false;
        }
    };
    int needed = 0;
    while (!try_with(needed)) ++needed;
    REQUIRE(needed > 3);
    const std::size_t before = heap().segment().memory();
    for (int round = 0; round < 300; ++round) {
        for (int allocations = 0; allocations <= needed; ++allocations) try_with(allocations);
    }
    REQUIRE(heap().segment().memory() < before + (std::size_t{64} << 10));
}

#endif  // SANITIZED
