// managers.hpp: DictProxy and NamespaceProxy under every start method.
// SPDX-License-Identifier: MIT
// ALONE: it specialises std::hash
#include <multiprocessing/connection.hpp>
#include <multiprocessing/context.hpp>
#include <multiprocessing/managers.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>

#include "tests/synchronize/support.hpp"

using support::Watchdog;
using Strings = std::vector<std::string>;

namespace {

constexpr int rounds = support::sanitized ? 300 : 20'000;

struct Color {
    std::uint8_t r, g, b;
    friend bool operator==(const Color&, const Color&) = default;
};
struct Padded {
    char letter;
    int number;
    friend bool operator==(const Padded&, const Padded&) = default;
};
struct Person {
    std::string name;
    std::vector<int> marks;
    mp::Lock lock;
};

}  // namespace

template <>
struct std::hash<Padded> {
    std::size_t operator()(const Padded& key) const noexcept {
        return static_cast<std::size_t>(key.number) * 31 + static_cast<unsigned char>(key.letter);
    }
};

namespace {

void fill(mp::DictProxy<std::string, int> dict, int count) {
    for (int i = 0; i < count; ++i) dict[std::to_string(i)] = i * i;
}
void count_up(mp::DictProxy<std::string, int> dict, int times) {
    for (int i = 0; i < times; ++i) {
        dict["sum"] += 1;
        ++dict["other"];
        dict.update_with("sum", [](auto& value) { value += 2; });
        dict.update_with(
            "made", [](int value) { return value + 1; }, 0);
    }
}
void change_everything(mp::DictProxy<std::string, Person> dict, mp::NamespaceProxy names) {
    Person person = dict["ann"];
    person.lock.acquire();
    person.marks.push_back(3);
    dict["ann"] = person;
    names.set("who", person.name);
    names.set("half", names.get<double>("half") / 2);
    names.del("gone");
}
void append_nested(mp::DictProxy<std::string, mp::ListProxy<int>> dict) {
    dict["a"]->append(2);
    dict["a"][0] = 7;
    dict["b"] = dict["a"];
}
void read_after_shutdown(mp::DictProxy<int, int> dict, mp::Event down, mp::Value<int> errors) {
    down.wait();
    try {
        (void)dict.get(1);
    } catch (const mp::ValueError&) {
        errors.value += 1;
    }
}

}  // namespace

TEST_CASE("DictProxy has Python's methods", "[managers][dict]") {
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, int>();
    REQUIRE(dict.empty());
    for (int i = 0; i < 6; ++i) dict[std::string(1, static_cast<char>('F' - i))] = i;
    REQUIRE(dict.size() == 6);
    REQUIRE(dict.keys() == Strings{"F", "E", "D", "C", "B", "A"});
    REQUIRE(dict.values() == std::vector<int>{0, 1, 2, 3, 4, 5});
    REQUIRE(dict.items()[1] == std::pair<std::string, int>("E", 1));
    REQUIRE(dict.to_map() ==
            std::map<std::string, int>{{"A", 5}, {"B", 4}, {"C", 3}, {"D", 2}, {"E", 1}, {"F", 0}});
    REQUIRE(dict.at("C") == 3);
    REQUIRE(dict.contains("C"));
    REQUIRE_FALSE(dict.contains("Z"));
    REQUIRE(dict.get("C") == 3);
    REQUIRE(dict.get("Z") == std::nullopt);
    REQUIRE(dict.get("Z", -1) == -1);
    REQUIRE(dict.setdefault("C", 9) == 3);
    REQUIRE(dict.setdefault("Z", 9) == 9);
    REQUIRE(dict.pop("Z") == 9);
    REQUIRE(dict.pop("Z", 8) == 8);
    REQUIRE(dict.popitem() == std::pair<std::string, int>("A", 5));
    REQUIRE(dict.erase("D") == 1);
    REQUIRE(dict.erase("D") == 0);
    dict["D"] = 2;  // goes to the end, as in Python
    REQUIRE(dict.keys() == Strings{"F", "E", "C", "B", "D"});
    dict["E"] = 10;  // stays where it is
    REQUIRE(dict.items()[1] == std::pair<std::string, int>("E", 10));
    dict.update({{"F", 7}, {"G", 8}, {"G", 9}});
    dict.update(std::map<std::string, int>{{"H", 1}});
    dict.update(std::vector<std::pair<std::string, int>>{});
    REQUIRE(dict.keys() == Strings{"F", "E", "C", "B", "D", "G", "H"});
    REQUIRE(dict["G"] == 9);
    const auto copy = manager.dict<std::string, int>(dict.items());
    REQUIRE(copy.to_map() == dict.copy());
    REQUIRE_FALSE(copy == dict);
    dict.clear();
    REQUIRE(dict.size() == 0);
    REQUIRE(copy.size() == 7);
    copy.update(dict);
    dict.update(copy);
    REQUIRE(dict.size() == 7);
}

TEST_CASE("A missing key is a KeyError that names it", "[managers][dict]") {
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, int>({{"a", 1}});
    const auto numbers = manager.dict<int, std::string>();
    REQUIRE_THROWS_AS(dict.at("missing"), mp::KeyError);
    REQUIRE_THROWS_WITH(dict.pop("missing"), Catch::Matchers::ContainsSubstring("missing"));
    REQUIRE_THROWS_AS(static_cast<int>(dict["missing"]), mp::KeyError);
    REQUIRE_THROWS_AS(dict["missing"] += 1, mp::KeyError);
    REQUIRE_THROWS_AS(dict.update_with("missing", [](int&) {}), mp::KeyError);
    REQUIRE_THROWS_WITH(numbers.at(42), Catch::Matchers::ContainsSubstring("42"));
    REQUIRE_THROWS_AS(numbers.popitem(), mp::KeyError);
    REQUIRE(dict.size() == 1);
}

TEST_CASE("d[k] reads, assigns and changes", "[managers][dict]") {
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, int>();
    dict["k"] = 5;
    const int read = dict["k"];
    REQUIRE(read == 5);
    REQUIRE((dict["k"] += 2) == 7);
    REQUIRE(dict["k"]++ == 7);
    REQUIRE(++dict["k"] == 9);
    dict["k"] -= 1;
    dict["k"] *= 3;
    dict["copy"] = dict["k"];
    REQUIRE(dict["copy"] + 1 == 25);
    REQUIRE(dict["k"] > 23);
    std::ostringstream stream;
    stream << dict["k"];
    REQUIRE(stream.str() == "24");
    REQUIRE(fmt::format("{:04}", dict["k"]) == "0024");
    const auto texts = manager.dict<int, std::string>();
    texts[1] = "a";
    texts[1] += "b";
    const std::string text = texts[1];
    REQUIRE(text == "ab");
    REQUIRE(texts[1] == "ab");
    REQUIRE(texts[1]->size() == 2);
    REQUIRE(texts[1][0] == 'a');
}

TEST_CASE("An entry of a dict that nobody else has is good for itself", "[managers][dict]") {
    mp::Manager manager;
    auto entry = manager.dict<std::string, int>({{"k", 1}})["k"];
    auto dict = std::make_unique<mp::DictProxy<std::string, int>>(
        manager.dict<std::string, int>({{"k", 10}}));
    const auto of_a_name = (*dict)["k"];
    auto copy = of_a_name;
    dict.reset();
    auto item = manager.list<int>({100})[0];
    entry += 1;
    copy += 1;
    item += 1;
    REQUIRE(entry == 2);
    REQUIRE(copy == 11);
    REQUIRE(item == 101);
}

TEST_CASE("Keys and values of every kind", "[managers][dict]") {
    const mp::Manager manager;
    const auto check = [&]<class K>(const K& a, const K& b) {
        const auto dict = manager.dict<K, std::string>();
        dict[a] = "a";
        dict[b] = "b";
        dict[a] += "!";
        REQUIRE(dict.size() == 2);
        REQUIRE(dict.at(a) == "a!");
        REQUIRE(dict.keys() == std::vector<K>{a, b});
        REQUIRE(dict.erase(a) == 1);
        REQUIRE_FALSE(dict.contains(a));
        REQUIRE(dict.contains(b));
    };
    check(true, false);
    check('a', 'b');
    check(std::numeric_limits<std::int64_t>::min(), std::int64_t{0});
    check(1.5, -std::numeric_limits<double>::infinity());
    check(std::string(), std::string(3'000, 'k'));
    check(std::vector<int>{1, 2}, std::vector<int>{1, 2, 3});
    check(std::tuple<std::string, int>("a", 1), std::tuple<std::string, int>("a", 2));
    check(Color{1, 2, 3}, Color{1, 2, 4});
    check(Padded{'a', 1}, Padded{'a', 2});
    check(std::optional<std::string>(), std::optional<std::string>("x"));
    const auto zeros = manager.dict<double, int>({{0.0, 1}});
    REQUIRE(zeros.at(-0.0) == 1);
    const auto large = manager.dict<int, std::vector<double>>();
    large[1] = std::vector<double>(100'000, 2.5);
    large.update_with(1, [](std::vector<double>& values) { values.push_back(1); });
    REQUIRE(large[1]->size() == 100'001);
    const auto empties = manager.dict<int, std::tuple<>>();
    empties[1] = {};
    REQUIRE(empties.contains(1));
}

TEST_CASE("Pairs and tuples are keys", "[managers][dict]") {
    const Watchdog watchdog(60);
    mp::Manager manager;
    auto pairs = manager.dict<std::pair<int, int>, double>();
    pairs[std::pair(32, 1)] = 0.5;
    CHECK(pairs.contains(std::pair(32, 1)));
    CHECK(!pairs.contains(std::pair(1, 32)));
    auto tuples = manager.dict<std::tuple<std::int64_t, std::int32_t, std::int32_t>, int>();
    tuples[std::tuple(1, 2, 3)] = 4;
    CHECK(tuples.at(std::tuple(1, 2, 3)) == 4);
    auto mixed = manager.dict<std::tuple<std::string, int>, int>();
    mixed[std::tuple("a", 1)] = 1;
    CHECK(!mixed.contains(std::tuple("b", 1)));
}

TEST_CASE("A dict of many entries grows, shrinks and keeps its order", "[managers][dict]") {
    const mp::Manager manager;
    const auto dict = manager.dict<int, int>();
    for (int i = 0; i < rounds; ++i) dict[i] = -i;
    for (int i = 0; i < rounds; i += 2) REQUIRE(dict.erase(i) == 1);
    REQUIRE(dict.size() == static_cast<std::size_t>(rounds) / 2);
    for (int i = 0; i < rounds; i += 4) dict[i] = i;
    for (int i = 1; i < rounds; i += 2) REQUIRE(dict.at(i) == -i);
    const std::vector<int> keys = dict.keys();
    const auto middle = keys.begin() + rounds / 2;
    REQUIRE(std::is_sorted(keys.begin(), middle));
    REQUIRE(std::is_sorted(middle, keys.end()));
    while (!dict.empty()) dict.popitem();
    for (int i = 0; i < rounds; ++i) {  // a dict used as a queue of one
        dict[i] = i;
        REQUIRE(dict.pop(i) == i);
    }
    REQUIRE(dict.keys().empty());
}

TEST_CASE("A loop over a dict walks a snapshot of it", "[managers][dict]") {
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, int>({{"a", 1}, {"b", 2}});
    std::string seen;
    for (const auto& [key, value] : dict) {
        seen += key + std::to_string(value);
        dict.clear();
        dict["c"] = 3;
    }
    for (const std::string& key : dict) seen += key;
    REQUIRE(seen == "a1b2c");
}

TEMPLATE_TEST_CASE("What one process puts into a dict, the others see", "[managers][dict]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, int>();
    Child<TestType> child(fill, dict, rounds / 10);
    REQUIRE(child.join() == 0);
    REQUIRE(dict.size() == static_cast<std::size_t>(rounds) / 10);
    REQUIRE(dict["29"] == 29 * 29);
}

TEMPLATE_TEST_CASE("Changes of one value are atomic", "[managers][dict]", START_METHODS) {
    const Watchdog watchdog(120);
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, int>({{"sum", 0}, {"other", 0}});
    std::list<Child<TestType>> children;
    for (int i = 0; i < 4; ++i) children.emplace_back(count_up, dict, rounds / 10);
    for (auto& child : children) REQUIRE(child.join() == 0);
    const int times = 4 * (rounds / 10);
    REQUIRE(dict["sum"] == 3 * times);
    REQUIRE(dict["other"] == times);
    REQUIRE(dict["made"] == times);
}

TEST_CASE("A change that throws changes nothing, one that uses its own dict is told",
          "[managers][dict]") {
    const Watchdog watchdog(60);
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, int>({{"a", 1}});
    REQUIRE_THROWS_WITH(dict.update_with("a",
                                         [](int& value) {
                                             value = 5;
                                             throw std::runtime_error("no");
                                         }),
                        "no");
    REQUIRE(dict["a"] == 1);
    REQUIRE_THROWS_AS(dict.update_with("a", [&](int& value) { value += dict["a"]; }),
                      mp::RuntimeError);
    REQUIRE(dict["a"] == 1);
    dict["a"] = 2;
}

TEMPLATE_TEST_CASE("Structs, handles and namespaces travel through a dict", "[managers][dict]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Manager manager;
    const auto people = manager.dict<std::string, Person>();
    const auto names = manager.Namespace();
    const mp::Lock lock;
    people["ann"] = {"Ann", {1, 2}, lock};
    names.set("half", 5.0);
    names.set("gone", std::vector<int>{1});
    Child<TestType> child(change_everything, people, names);
    REQUIRE(child.join() == 0);
    REQUIRE(people["ann"]->marks == std::vector<int>{1, 2, 3});
    REQUIRE(lock.locked());
    REQUIRE(names.get<std::string>("who") == "Ann");
    REQUIRE(names.get<double>("half") == 2.5);
    REQUIRE_FALSE(names.has("gone"));
    REQUIRE(names.names() == Strings{"half", "who"});
}

void send_from_dict(mp::DictProxy<std::string, mp::Connection> dict) {
    for (int i = 0; i < 2; ++i) dict["end"]->send(i);
}

TEMPLATE_TEST_CASE("A connection in a dict can be read again and again", "[managers][dict]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Manager manager;
    auto [reader, writer] = mp::Pipe(false);
    {
        const auto dict = manager.dict<std::string, mp::Connection>();
        dict["end"] = writer;
        writer.close();
        Child<TestType> child(send_from_dict, dict);
        REQUIRE(reader.recv<int>() == 0);
        REQUIRE(reader.recv<int>() == 1);
        REQUIRE(child.join() == 0);
        REQUIRE_FALSE(reader.poll(0.05));
    }
    REQUIRE_THROWS_AS(reader.recv<int>(), mp::EOFError);  // it went with the dict
}

TEST_CASE("A Namespace says what is not there, or of another type", "[managers][namespace]") {
    const mp::Manager manager;
    const auto names = manager.Namespace();
    names.set("x", 1);
    names.set("text", "literal");
    REQUIRE(names.get<int>("x") == 1);
    REQUIRE(names.get<std::string>("text") == "literal");
    REQUIRE_THROWS_AS(names.get<int>("y"), mp::KeyError);
    REQUIRE_THROWS_AS(names.del("y"), mp::KeyError);
    REQUIRE_THROWS_WITH(names.get<double>("x"), Catch::Matchers::ContainsSubstring("int"));
    REQUIRE_THROWS_AS(names.get<double>("x"), mp::TypeError);
    names.set("x", std::vector<std::string>{"now another"});
    REQUIRE(names.get<Strings>("x") == Strings{"now another"});
    names.del("x");
    REQUIRE_FALSE(names.has("x"));
}

TEMPLATE_TEST_CASE("Proxies nest", "[managers][dict]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, mp::ListProxy<int>>();
    dict["a"] = manager.list<int>({1});
    Child<TestType> child(append_nested, dict);
    REQUIRE(child.join() == 0);
    REQUIRE(dict["a"]->to_vector() == std::vector<int>{7, 2});
    REQUIRE(dict["b"].load() == dict["a"].load());
    const auto outer = manager.dict<int, mp::DictProxy<int, std::string>>();
    outer[1] = manager.dict<int, std::string>();
    outer[1][2] = "deep";
    const std::string deep = outer[1][2];
    REQUIRE(deep == "deep");
}

TEMPLATE_TEST_CASE("After the shutdown of their manager proxies are a ValueError",
                   "[managers][manager]", START_METHODS) {
    const Watchdog watchdog(60);
    std::optional<mp::Manager> manager(std::in_place);
    const auto dict = manager->dict<int, int>();
    const auto list = manager->list<int>();
    const auto names = manager->Namespace();
    const mp::Event down;
    const mp::Value<int> errors(0);
    Child<TestType> child(read_after_shutdown, dict, down, errors);
    SECTION("by name") {
        manager->shutdown();
        manager->shutdown();
        REQUIRE_THROWS_AS((manager->dict<int, int>()), mp::ValueError);
        REQUIRE_THROWS_AS(manager->Lock(), mp::ValueError);
    }
    SECTION("by the end of its scope") { manager.reset(); }
    down.set();
    REQUIRE(child.join() == 0);
    REQUIRE(errors.value == 1);
    REQUIRE_THROWS_WITH(dict[1] = 1, Catch::Matchers::ContainsSubstring("shut down"));
    REQUIRE_THROWS_AS(dict.size(), mp::ValueError);
    REQUIRE_THROWS_AS(dict.items(), mp::ValueError);
    REQUIRE_THROWS_AS(list.append(1), mp::ValueError);
    REQUIRE_THROWS_AS(list.size(), mp::ValueError);
    REQUIRE_THROWS_AS(names.has("x"), mp::ValueError);
    REQUIRE_THROWS_AS(names.set("x", 1), mp::ValueError);
}

TEST_CASE("A forked copy of a manager does not shut it down", "[managers][manager]") {
    const Watchdog watchdog(60);
    mp::Manager manager;
    const auto dict = manager.dict<int, int>({{1, 1}});
    Child<mp::start_method::fork> child([&] { manager.shutdown(); });
    REQUIRE(child.join() == 0);
    REQUIRE(dict[1] == 1);
    mp::Manager moved = std::move(manager);
    REQUIRE(dict[1] == 1);
    REQUIRE_THROWS_AS(manager.Namespace(), mp::ValueError);
    REQUIRE(moved.Namespace().names().empty());
}

TEST_CASE("A manager makes the library's other objects", "[managers][manager]") {
    const Watchdog watchdog(60);
    const auto manager = mp::get_context<"fork">().Manager();
    REQUIRE(manager.Lock().acquire());
    REQUIRE(manager.RLock().acquire());
    REQUIRE(manager.Semaphore(2).get_value() == 2);
    REQUIRE_THROWS_AS(manager.BoundedSemaphore(1).release(), mp::ValueError);
    REQUIRE(manager.Condition().acquire());
    REQUIRE(manager.Condition(mp::Lock()).acquire());
    REQUIRE_FALSE(manager.Event().is_set());
    REQUIRE(manager.Barrier(2).parties() == 2);
    const auto queue = manager.Queue<std::string>(1);
    queue.put("x");
    REQUIRE(queue.full());
    REQUIRE(manager.JoinableQueue<int>().empty());
    REQUIRE(manager.Value<int>(3).value == 3);
    REQUIRE(manager.Array<int>({1, 2}).size() == 2);
    REQUIRE(manager.Array<double>(5).size() == 5);
    auto pool = manager.Pool(1);
    REQUIRE(pool.map([](int x) { return x + 1; }, {1, 2}) == std::vector<int>{2, 3});
}
