// Pool.imap and imap_unordered: results as they come, input as it goes.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <variant>

namespace {

int end_at_13(int x) {
    if (x == 13) std::raise(SIGKILL);
    return x;
}
Point point_or_error(int x) {
    if (x % 5 == 3) throw std::out_of_range("no " + std::to_string(x));
    if (x == 14) ::_exit(9);
    return {x, std::string(static_cast<std::size_t>(x), 'p')};
}

/// Counts how many of its items have been read, and throws after `end` of them.
class CountedInput {
  public:
    explicit CountedInput(int end) : end_(end) {}
    [[nodiscard]] auto items() {
        return std::views::iota(0) | std::views::transform([this](int x) {
                   if (x >= end_) throw std::runtime_error("the input broke");
                   read_ = x + 1;
                   return x;
               });
    }
    [[nodiscard]] int read() const { return read_; }

  private:
    int end_;
    int read_ = 0;
};

template <class Stream>
auto collect(Stream&& stream) {
    std::vector<typename std::remove_cvref_t<Stream>::value_type> all;
    for (auto& result : stream) all.push_back(std::move(result));
    return all;
}

}  // namespace

TEMPLATE_TEST_CASE("Pool.imap gives the results in input order, as they come", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    std::vector<int> squares;
    for (const int x : numbers(1000)) squares.push_back(x * x);
    for (const int chunk : {1, 7, 2000}) {
        REQUIRE(collect(pool.imap(square, numbers(1000), chunk)) == squares);
        REQUIRE(collect(pool.imap(square, numbers(1000), chunk, 3)) == squares);
        std::vector<int> any = collect(pool.imap_unordered(square, numbers(1000), chunk));
        std::sort(any.begin(), any.end());
        REQUIRE(any == squares);
    }
    REQUIRE(collect(pool.imap(square, {2, 3})) == std::vector{4, 9});
    REQUIRE(collect(pool.imap(square, std::vector<int>())).empty());
    const std::list<short> kept{1, 2};
    REQUIRE(collect(pool.imap_unordered(square, kept)).size() == 2);
    REQUIRE(collect(pool.imap(mp::partial(describe, "n"), {1, 2})).back() == "n2");
    REQUIRE(collect(pool.imap(mirror, std::vector{Point{1, "a"}}))[0] == Point{-1, "a'"});
    REQUIRE(collect(pool.imap(is_even, {1L, 2L})) == std::vector{false, true});
}

TEMPLATE_TEST_CASE("A stream is an input range, also of functions without results", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    static_assert(std::ranges::input_range<mp::ResultStream<std::string>>);
    InHeap<std::atomic<int>> counter;
    int done = 0;
    for (const std::monostate nothing : pool.imap(count, std::vector(20, counter.offset()), 3)) {
        (void)nothing;
        ++done;
    }
    REQUIRE(done == 20);
    REQUIRE(*counter == 20);
    auto stream = pool.imap(square, numbers(5));
    REQUIRE(std::ranges::distance(stream) == 5);
    REQUIRE(!stream.next());
    REQUIRE(!stream.next());
}

TEMPLATE_TEST_CASE("imap reads an endless range, no further than its buffer", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .buffersize = 20});
    for (const int chunk : {1, 4, 50}) {
        CountedInput input(1'000'000);
        auto stream = pool.imap(square, input.items(), chunk);
        for (int i = 0; i < 300; ++i) {
            REQUIRE(stream.next() == i * i);
            REQUIRE(input.read() <= i + 1 + 20);
        }
    }
    CountedInput input(1'000'000);
    auto stream = pool.imap_unordered(square, input.items(), 1, 1);
    for (int i = 0; i < 50; ++i) {
        REQUIRE(stream.next() == i * i);
        REQUIRE(input.read() <= i + 2);
    }
}

TEMPLATE_TEST_CASE("An error comes in its item's place, and the stream goes on", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const int chunk = GENERATE(1, 4, 100);
    auto stream = pool.imap(point_or_error, numbers(30), chunk);
    for (int i = 0; i < 30; ++i) {
        if (i == 14) {
            REQUIRE_THROWS_AS(stream.next(), mp::WorkerLost);
        } else if (i % 5 == 3) {
            REQUIRE_THROWS_WITH(stream.next(),
                                "no " + std::to_string(i) + " (item " + std::to_string(i) + ")");
        } else {
            REQUIRE(stream.next() == Point{i, std::string(static_cast<std::size_t>(i), 'p')});
        }
    }
    REQUIRE(!stream.next());
    auto any = pool.imap_unordered(end_at_13, numbers(30), chunk);
    std::set<int> right;
    int lost = 0;
    for (;;) {
        try {
            const auto result = any.next();
            if (!result) break;
            right.insert(*result);
        } catch (const mp::WorkerLost&) {
            ++lost;
        }
    }
    REQUIRE(lost == 1);
    REQUIRE(right.size() == 29);
}

TEMPLATE_TEST_CASE("An error of the input ends the stream, after what came before it", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    for (const int chunk : {1, 4}) {
        CountedInput input(10);
        auto stream = pool.imap(square, input.items(), chunk);
        for (int i = 0; i < 10; ++i) REQUIRE(stream.next() == i * i);
        REQUIRE_THROWS_WITH(stream.next(), "the input broke");
        REQUIRE(!stream.next());
        CountedInput none(0);
        auto broken = pool.imap_unordered(square, none.items(), chunk);
        REQUIRE_THROWS_WITH(broken.next(), "the input broke");
    }
    REQUIRE_THROWS_WITH(pool.map(square, CountedInput(3).items() | std::views::take(9)),
                        "the input broke");
}

TEMPLATE_TEST_CASE("next waits no longer than told", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    Gate gate;
    auto stream = pool.imap(gate.task(), numbers(3));
    REQUIRE_THROWS_AS(stream.next(0.01), mp::TimeoutError);
    REQUIRE_THROWS_AS(stream.next(0), mp::TimeoutError);
    gate.open();
    REQUIRE(stream.next() == 0);
    REQUIRE(stream.next(20) == 1);
}

TEMPLATE_TEST_CASE("imap_unordered does not wait for a slow item", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    Gate gate;
    const auto slow_first = [](std::uint64_t words, int x) {
        return x == 0 ? pass_gate(words, x) : x;
    };
    auto stream = pool.imap_unordered(mp::partial(slow_first, gate.offset()), numbers(100));
    std::set<int> seen;
    for (int i = 1; i < 100; ++i) seen.insert(*stream.next());
    REQUIRE(seen.size() == 99);
    REQUIRE(seen.count(0) == 0);
    gate.open();
    REQUIRE(stream.next() == 0);
    REQUIRE(!stream.next());
}

TEMPLATE_TEST_CASE("A stream that is dropped takes back the rest", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    Gate gate;
    {
        auto stream = pool.imap(gate.task(), numbers(1000), 1, 100);
        gate.wait_for(1);
    }
    gate.open();
    REQUIRE(pool.apply(square, 2) == 4);
    REQUIRE(gate.arrived() == 1);
    const auto drop = [&] {
        for (int i = 0; i < 100; ++i) {
            auto stream =
                pool.imap_unordered(mirror, std::vector(50, Point{1, std::string(9'000, 'x')}));
            (void)stream.next();
        }
        pool.apply(square, 1);
    };
    drop();
    const std::size_t before = mp::detail::heap().segment().memory();
    for (int i = 0; i < 3; ++i) drop();
    REQUIRE(support::heap_shrinks_to(before + (8 << 20)));
}

TEMPLATE_TEST_CASE("A closed pool finishes its streams; a terminated one cancels them", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    {
        mp::BasicPool<TestType> pool(2);
        auto read_later = pool.imap(square, numbers(500), 1, 10);
        auto read_after = pool.imap(square, numbers(500), 3);
        CountedInput input(1'000'000);
        auto within_buffer = pool.imap(square, input.items(), 1, 10);
        REQUIRE(within_buffer.next() == 0);
        auto sized = pool.imap(square, numbers(500), 1, 10);
        auto endless = pool.imap(square, std::views::iota(0));
        pool.close();
        REQUIRE_THROWS_AS(pool.imap(square, numbers(3)), mp::ValueError);
        REQUIRE(collect(read_later).size() == 500);
        pool.join();
        // What Python would have read at once; else no more than the buffer has room for.
        REQUIRE(collect(read_after).back() == 499 * 499);
        const int at_join = input.read();
        REQUIRE(at_join <= 11);
        for (int i = 1; i < at_join; ++i) REQUIRE(within_buffer.next() == i * i);
        REQUIRE_THROWS_AS(within_buffer.next(), mp::ValueError);
        REQUIRE(!within_buffer.next());
        REQUIRE_THROWS_AS(collect(sized), mp::ValueError);
        REQUIRE_THROWS_AS(collect(endless), mp::ValueError);
        REQUIRE(input.read() == at_join);
    }
    std::optional<mp::ResultStream<int>> kept;
    {
        mp::BasicPool<TestType> pool(1);
        kept = pool.imap(sleep_for_seconds, std::views::iota(600));
    }
    REQUIRE_THROWS_AS(kept->next(), mp::CancelledError);
    REQUIRE(!kept->next());
}

TEMPLATE_TEST_CASE("Many threads may take from one stream", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    auto stream = pool.imap(square, numbers(2000));
    std::atomic<long> sum{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            while (const auto result = stream.next()) sum += *result;
        });
    }
    for (auto& thread : threads) thread.join();
    long expected = 0;
    for (const int x : numbers(2000)) expected += x * x;
    REQUIRE(sum == expected);
}

TEST_CASE("Bad sizes of a stream are ValueErrors", "[pool]") {
    const Tidy tidy;
    mp::Pool pool(1);
    REQUIRE_THROWS_WITH(pool.imap(square, numbers(3), 0), "Chunksize must be 1+, not 0");
    REQUIRE_THROWS_AS(pool.imap_unordered(square, numbers(3), -1), mp::ValueError);
    REQUIRE_THROWS_AS(pool.imap(square, numbers(3), 1, 0), mp::ValueError);
    REQUIRE_THROWS_AS(mp::Pool({.processes = 1, .buffersize = -1}), mp::ValueError);
}

TEST_CASE("A million tasks through a window take little memory", "[pool]") {
    const Tidy tidy;
    mp::Pool pool(2);
    const auto memory = [] {
        long size = 0;
        long resident = 0;
        FILE* const file = std::fopen("/proc/self/statm", "re");
        if (std::fscanf(file, "%ld %ld", &size, &resident) != 2) resident = -1;
        std::fclose(file);
        return resident * ::sysconf(_SC_PAGESIZE);
    };
    constexpr int many = support::sanitized ? 50'000 : 1'000'000;
    (void)pool.map(square, numbers(100));
    const long before = memory();
    long sum = 0;
    for (const int x : pool.imap_unordered(negate, std::views::iota(0, many), 1, 1'000)) sum -= x;
    REQUIRE(sum == long{many} * (many - 1) / 2);
    if (!support::sanitized) REQUIRE(memory() - before < 10 << 20);
}
