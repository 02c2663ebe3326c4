// managers.hpp: ListProxy under every start method. SPDX-License-Identifier: MIT
#include <multiprocessing/managers.hpp>

#include <algorithm>
#include <sstream>
#include <string>

#include "tests/synchronize/support.hpp"

using support::Watchdog;
using Ints = std::vector<int>;

namespace {

constexpr int rounds = support::sanitized ? 300 : 20'000;

void append_range(mp::ListProxy<int> list, int first, int last) {
    for (int i = first; i < last; ++i) list.append(i);
}
void count_up(mp::ListProxy<int> list, int times) {
    for (int i = 0; i < times; ++i) {
        list[0] += 1;
        list.update_with(-1, [](int& value) { value += 2; });
    }
}
void take_all(mp::ListProxy<std::string> list, mp::Value<int> taken) {
    try {
        for (;;) {
            (void)list.pop();
            taken.value += 1;
        }
    } catch (const mp::IndexError&) {
    }
}

}  // namespace

TEST_CASE("ListProxy has Python's methods", "[managers][list]") {
    const mp::Manager manager;
    const auto list = manager.list<int>(std::vector<int>{0, 1, 2});
    REQUIRE(list.to_vector() == Ints{0, 1, 2});
    list.append(3);
    list.extend({4, 5});
    list.extend(std::list<short>{6});
    list += Ints{7};
    REQUIRE(list.size() == 8);
    REQUIRE(list[2] == 2);
    REQUIRE(list[-1] == 7);
    REQUIRE(list.at(-8) == 0);
    REQUIRE(list.slice(2, 5) == Ints{2, 3, 4});
    REQUIRE(list.slice(-2, 100) == Ints{6, 7});
    REQUIRE(list.slice(5, 2).empty());
    list.insert(0, -1);
    list.insert(100, 8);
    list.insert(-1, 77);
    REQUIRE(list.copy() == Ints{-1, 0, 1, 2, 3, 4, 5, 6, 7, 77, 8});
    REQUIRE(list.pop() == 8);
    REQUIRE(list.pop(0) == -1);
    REQUIRE(list.pop(-1) == 77);
    list.erase(0);
    list.remove(3);
    REQUIRE(list.to_vector() == Ints{1, 2, 4, 5, 6, 7});
    REQUIRE(list.index(5) == 3);
    REQUIRE(list.index(5, 1, -1) == 3);
    REQUIRE(list.count(2) == 1);
    REQUIRE(list.contains(7));
    REQUIRE_FALSE(list.contains(3));
    list.reverse();
    REQUIRE(list.to_vector() == Ints{7, 6, 5, 4, 2, 1});
    list.sort();
    REQUIRE(list.to_vector() == Ints{1, 2, 4, 5, 6, 7});
    list.sort(std::greater<>());
    REQUIRE(list[0] == 7);
    list.set_slice(1, 4, {9, 9});
    REQUIRE(list.to_vector() == Ints{7, 9, 9, 2, 1});
    list.set_slice(0, 2, Ints{});
    REQUIRE(list.to_vector() == Ints{9, 2, 1});
    list.extend(list);
    REQUIRE(list.to_vector() == Ints{9, 2, 1, 9, 2, 1});
    list.clear();
    REQUIRE(list.empty());
    list.reverse();
    list.sort();
}

TEST_CASE("An index that is out of range is an IndexError that names it", "[managers][list]") {
    const mp::Manager manager;
    const auto list = manager.list<std::string>({"a", "b"});
    REQUIRE_THROWS_AS(list.at(2), mp::IndexError);
    REQUIRE_THROWS_WITH(list.at(-3), Catch::Matchers::ContainsSubstring("-3"));
    REQUIRE_THROWS_AS(list[2] = "c", mp::IndexError);
    REQUIRE_THROWS_AS(list[2] += "c", mp::IndexError);
    REQUIRE_THROWS_AS(list.pop(2), mp::IndexError);
    REQUIRE_THROWS_AS(list.erase(5), mp::IndexError);
    REQUIRE_THROWS_AS(list.remove("c"), mp::ValueError);
    REQUIRE_THROWS_AS(list.index("c"), mp::ValueError);
    REQUIRE_THROWS_AS(list.index("b", 0, 1), mp::ValueError);
    REQUIRE(list.pop() == "b");
    REQUIRE(list.pop() == "a");
    REQUIRE_THROWS_AS(list.pop(), mp::IndexError);
    REQUIRE(list.empty());
}

TEST_CASE("l[i] reads, assigns and changes", "[managers][list]") {
    const mp::Manager manager;
    const auto list = manager.list<std::string>({"a", "b"});
    list[0] = "x";
    list[-1] += "y";
    list[0] = list[1];
    const std::string first = list[0];
    REQUIRE(first == "by");
    REQUIRE(list[1] == "by");
    REQUIRE(list[0]->size() == 2);
    std::ostringstream stream;
    stream << list[0];
    REQUIRE(stream.str() == "by");
    REQUIRE(fmt::format("{:>4}", list[0]) == "  by");
    REQUIRE_THROWS_AS(
        list.sort([&](const std::string&, const std::string&) { return list.empty(); }),
        mp::RuntimeError);
    const auto numbers = manager.list<double>({1.5});
    REQUIRE((numbers[0] *= 2) == 3);
    REQUIRE(numbers[0]++ == 3);
}

TEST_CASE("A sort keeps the order of equal items", "[managers][list]") {
    const mp::Manager manager;
    const auto list = manager.list<std::pair<int, std::string>>();
    for (int i = 0; i < 50; ++i) list.append({i % 3, std::to_string(i)});
    list.sort([](const auto& a, const auto& b) { return a.first < b.first; });
    const auto items = list.to_vector();
    REQUIRE(std::ranges::is_sorted(items, [](const auto& a, const auto& b) {
        return std::pair(a.first, std::stoi(a.second)) < std::pair(b.first, std::stoi(b.second));
    }));
}

TEST_CASE("A loop over a list walks a snapshot of it", "[managers][list]") {
    const mp::Manager manager;
    const auto list = manager.list<int>({1, 2, 3});
    int sum = 0;
    for (const int item : list) {
        sum += item;
        list.clear();
    }
    REQUIRE(sum == 6);
    REQUIRE(list.empty());
    for (const auto element : manager.list<bool>({true, false})) sum += element;
    REQUIRE(sum == 7);
}

TEST_CASE("Lists of lists, and of themselves", "[managers][list]") {
    const mp::Manager manager;
    const auto outer = manager.list<mp::ListProxy<int>>();
    for (int i = 0; i < 3; ++i) outer.append(manager.list<int>({i}));
    outer[0]->append(5);
    outer[-1][0] = 9;
    REQUIRE(outer[0]->to_vector() == Ints{0, 5});
    REQUIRE(outer[2]->to_vector() == Ints{9});
    REQUIRE(outer.contains(outer.at(1)));
}

TEMPLATE_TEST_CASE("Many processes append to one list, and each item is there", "[managers][list]",
                   START_METHODS) {
    const Watchdog watchdog(120);
    const mp::Manager manager;
    const auto list = manager.list<int>();
    const int each = rounds / 4;
    std::list<Child<TestType>> children;
    for (int i = 0; i < 4; ++i) children.emplace_back(append_range, list, i * each, (i + 1) * each);
    for (auto& child : children) REQUIRE(child.join() == 0);
    Ints items = list.to_vector();
    REQUIRE(items.size() == static_cast<std::size_t>(4 * each));
    std::ranges::sort(items);
    for (int i = 0; i < 4 * each; ++i) REQUIRE(items[static_cast<std::size_t>(i)] == i);
}

TEMPLATE_TEST_CASE("Changes of one item are atomic, and each item is taken once",
                   "[managers][list]", START_METHODS) {
    const Watchdog watchdog(120);
    const mp::Manager manager;
    const auto list = manager.list<int>({0, 0});
    const auto texts = manager.list<std::string>();
    const mp::Value<int> taken(0);
    for (int i = 0; i < rounds / 10; ++i) texts.append("text " + std::to_string(i));
    std::list<Child<TestType>> children;
    for (int i = 0; i < 3; ++i) children.emplace_back(count_up, list, rounds / 10);
    for (int i = 0; i < 3; ++i) children.emplace_back(take_all, texts, taken);
    for (auto& child : children) REQUIRE(child.join() == 0);
    REQUIRE(list.to_vector() == Ints{3 * (rounds / 10), 6 * (rounds / 10)});
    REQUIRE(taken.value == rounds / 10);
    REQUIRE(texts.empty());
}

TEST_CASE("What is replaced, taken or dropped gives its memory back", "[managers][list]") {
    const auto work = [] {
        const mp::Manager manager;
        const auto list = manager.list<std::string>();
        const auto dict = manager.dict<int, std::string>();
        for (int i = 0; i < 200; ++i) {
            list.append(std::string(100'000, 'x'));
            dict[i % 10] = std::string(100'000, 'y');
            if (i % 3 == 0) list[0] = std::string(100'000, 'z');
        }
        for (int i = 0; i < 100; ++i) (void)list.pop(i % 2 == 0 ? 0 : -1);
        list.set_slice(10, 20, {"small"});
        dict.update(std::map<int, std::string>{{1, "one"}, {77, "new"}});
        list.extend(list.slice(0, 5));
    };
    work();
    const std::size_t before = mp::detail::heap().segment().memory();
    for (int i = 0; i < 5; ++i) work();
    REQUIRE(mp::detail::heap().segment().memory() <= before + (std::size_t{1} << 20));
}
