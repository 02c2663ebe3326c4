// Pool.map, starmap, apply: what goes in, and what comes out.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <sys/resource.h>

#include <list>
#include <map>
#include <ranges>

namespace {

int value_of(const std::unique_ptr<int>& owner) { return *owner; }
struct Scale {
    double factor;
    double operator()(double x) const { return factor * x; }
};

struct Counter {
    int calls = 0;
    int operator()(int) { return ++calls; }
};
int next_of(int x) { return x + 1; }

}  // namespace

TEMPLATE_TEST_CASE("Pool.map returns the results in input order", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(4);
    for (const int n : {1, 2, 7, 1000}) {
        std::vector<int> expected;
        for (int i = 0; i < n; ++i) expected.push_back(i * i);
        REQUIRE(pool.map(square, numbers(n)) == expected);
        REQUIRE(pool.map(square, numbers(n), 1) == expected);
        REQUIRE(pool.map(square, numbers(n), 3) == expected);
        REQUIRE(pool.map(square, numbers(n), 5'000) == expected);
    }
}

TEMPLATE_TEST_CASE("Pool.map takes any range", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    REQUIRE(pool.map(square, {1, 2, 3}) == std::vector{1, 4, 9});
    REQUIRE(pool.map(square, std::list{1, 2, 3}) == std::vector{1, 4, 9});
    REQUIRE(pool.map(square, std::views::iota(1, 4)) == std::vector{1, 4, 9});
    REQUIRE(pool.map(square, std::views::iota(0, 10) | std::views::filter(is_even)).size() == 5);
    const std::array<short, 2> shorts{4, 5};  // converted to the parameter's type
    REQUIRE(pool.map(square, shorts) == std::vector{16, 25});
    REQUIRE(pool.map(is_even, numbers(3)) == std::vector<bool>{true, false, true});
    REQUIRE(pool.map(square, std::vector<int>()).empty());
    const std::map<std::string, int> named{{"a", 1}, {"b", 2}};  // items with a const key
    REQUIRE(pool.map([](const auto& item) { return item.second; }, named) == std::vector{1, 2});
}

TEMPLATE_TEST_CASE("Pool.map carries structs, strings and callables with state", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const std::vector<Point> points{{1, "a"}, {2, std::string(100'000, 'b')}, {3, ""}};
    const std::vector<Point> mirrored = pool.map(mirror, points);
    for (std::size_t i = 0; i < points.size(); ++i) REQUIRE(mirrored[i] == mirror(points[i]));
    REQUIRE(pool.map(mirror, points, 1) == mirrored);
    REQUIRE(pool.map(Scale{2.5}, std::vector{2.0, 4.0}) == std::vector{5.0, 10.0});
    REQUIRE(pool.map(mp::partial(multiply, 3), numbers(4)) == std::vector{0, 3, 6, 9});
    REQUIRE(pool.map([](int x) { return x + 1; }, numbers(3)) == std::vector{1, 2, 3});
}

TEMPLATE_TEST_CASE("Each call has its own function, in the state in which it was given", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);  // the one worker keeps what it can of the call before
    for (int i = 0; i < 3; ++i) {
        REQUIRE(pool.apply(Counter{}, 0) == 1);
        REQUIRE(pool.apply(Counter{5}, 0) == 6);
        REQUIRE(pool.apply(square, 3) == 9);
        REQUIRE(pool.apply(next_of, 3) == 4);
        REQUIRE(pool.apply(next_of, 4) == 5);
        REQUIRE(pool.apply([](int x) { return -x; }, 3) == -3);
        REQUIRE(pool.apply(mirror, Point{1, "ab"}) == mirror(Point{1, "ab"}));
        const Point large{2, std::string(1000, 'c')};
        REQUIRE(pool.apply(mirror, large) == mirror(large));
        REQUIRE(pool.apply(mp::partial(multiply, 3), i) == 3 * i);
    }
}

TEMPLATE_TEST_CASE("Pool.starmap spreads the tuples", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    REQUIRE(pool.starmap(multiply, std::vector<std::pair<int, int>>{{1, 2}, {3, 4}}) ==
            std::vector{2, 12});
    REQUIRE(pool.starmap(describe, std::vector{std::tuple("n", 1), std::tuple("m", 2)}) ==
            std::vector<std::string>{"n1", "m2"});
    const std::map<std::string, int> named{{"a", 1}, {"b", 2}};
    REQUIRE(pool.starmap(describe, named) == std::vector<std::string>{"a1", "b2"});
}

TEMPLATE_TEST_CASE("Pool.apply calls once, with any arguments", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    REQUIRE(pool.apply(square, 7) == 49);
    REQUIRE(pool.apply(describe, "number ", 5) == "number 5");
    REQUIRE(pool.apply(mirror, Point{1, "p"}) == Point{-1, "p'"});
    InHeap<std::atomic<int>> counter;
    pool.apply(count, counter.offset());
    static_assert(std::is_void_v<decltype(pool.map(count, std::vector<std::uint64_t>()))>);
    pool.map(count, std::vector(10, counter.offset()));
    REQUIRE(*counter == 11);
}

TEMPLATE_TEST_CASE("Pool.apply of a predicate returns a bool, not vector<bool>'s proxy", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    static_assert(std::is_same_v<decltype(pool.apply(is_even, 2)), bool>);
    REQUIRE(pool.apply(is_even, 2));
    REQUIRE(!pool.apply(is_even, 3));
}

TEMPLATE_TEST_CASE("Items that can only be moved are read where they are", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    std::vector<std::unique_ptr<int>> owners;
    owners.push_back(std::make_unique<int>(4));
    REQUIRE(pool.map(value_of, owners) == std::vector{4});
    REQUIRE(*owners[0] == 4);
}

TEMPLATE_TEST_CASE("A braced list takes its items' type from the function", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    REQUIRE(pool.starmap(multiply, {{1, 2}, {3, 4}}) == std::vector{2, 12});
    REQUIRE(pool.starmap(describe, {{"n", 1}}) == std::vector<std::string>{"n1"});
    REQUIRE(pool.map(mirror, {{1, "a"}})[0] == Point{-1, "a'"});
    REQUIRE(pool.map(square, {}).empty());
}
