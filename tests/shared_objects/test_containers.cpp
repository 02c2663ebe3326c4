// shared_objects/allocator.hpp, containers.hpp and shareable.hpp: memory of the family's heap for
// Boost's containers, and what can lie in it.
// SPDX-License-Identifier: MIT
// ALONE: it specialises templates of the library and of std
#include <fmt/ranges.h>
#include <map>

#include <multiprocessing/shared_objects.hpp>

#include <array>
#include <atomic>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>

#include "tests/synchronize/support.hpp"

using mp::shared::string;
using support::Watchdog;

namespace {

struct Point {
    int x;
    int y;
    friend bool operator<(const Point& a, const Point& b) { return a.x < b.x; }
    friend bool operator==(const Point&, const Point&) = default;
    friend std::size_t hash_value(const Point& p) { return static_cast<std::size_t>(p.x); }
};
struct Table {
    mp::shared::map<string, mp::shared::vector<double>> columns;
    std::optional<string> title;
    double mean;
};
struct Tree {
    int value;
    mp::shared::vector<Tree> children;
};
struct WithPointer {
    int x;
    int* place;
};
struct Named {
    int x;
    std::string name;
};
struct Nested {
    double d;
    std::array<Named, 2> named;
};
struct Virtual {
    virtual ~Virtual() = default;
};
class Private {
  public:
    int get() const { return x_; }

  private:
    int x_ = 0;
};
class Marked : public Private {};
struct Atoms {
    std::atomic<int> n;
    std::atomic<bool> ready;
};
template <class T>
using heapless = boost::container::vector<T>;

}  // namespace

template <>
inline constexpr bool multiprocessing::bitwise_picklable<Marked> = true;

namespace {

static_assert(mp::shareable<int> && mp::shareable<Point> && mp::shareable<int[3]> &&
              mp::shareable<std::array<Point, 4>> && mp::shareable<std::atomic<int>> &&
              mp::shareable<Atoms> && mp::shareable<Marked> && mp::shareable<std::chrono::seconds>);
static_assert(mp::shareable<string> && mp::shareable<Table> && mp::shareable<Tree> &&
              mp::shareable<mp::shared::deque<Table>> && mp::shareable<mp::shared::list<Tree>> &&
              mp::shareable<mp::shared::set<string>> && mp::shareable<mp::shared::flat_set<int>> &&
              mp::shareable<mp::shared::flat_map<int, Table>> &&
              mp::shareable<mp::shared::unordered_map<string, mp::shared::vector<string>>> &&
              mp::shareable<mp::shared::unordered_set<std::pair<string, int>>>);
static_assert(mp::shareable<std::pair<string, int>> && mp::shareable<std::tuple<string, Point>> &&
              mp::shareable<std::variant<int, string>> && mp::shareable<std::optional<Tree>>);
static_assert(!mp::shareable<void> && !mp::shareable<int&> && !mp::shareable<int*> &&
              !mp::shareable<int()> && !mp::shareable<int (*)()> && !mp::shareable<const char*> &&
              !mp::shareable<std::string_view> && !mp::shareable<WithPointer>);
static_assert(!mp::shareable<std::string> && !mp::shareable<std::vector<int>> &&
              !mp::shareable<std::map<int, int>> && !mp::shareable<std::unique_ptr<int>> &&
              !mp::shareable<Nested> && !mp::shareable<std::pair<int, std::string>> &&
              !mp::shareable<heapless<int>> && !mp::shareable<mp::shared::vector<std::string>> &&
              !mp::shareable<std::vector<int, mp::allocator<int>>>);
static_assert(!mp::shareable<Virtual> && !mp::shareable<Private> && !mp::shareable<std::mutex> &&
              !mp::shareable<mp::Shared<int>> && !mp::shareable<mp::Lock> &&
              !mp::shareable<mp::shared::map<int, int, std::function<bool(int, int)>>>);

/// A container of each kind, one within the other.
struct Everything {
    mp::shared::vector<string> vector;
    mp::shared::deque<int> deque;
    mp::shared::list<string> list;
    mp::shared::map<string, mp::shared::vector<double>> map;
    mp::shared::set<Point> set;
    mp::shared::flat_map<string, int> flat_map;
    mp::shared::flat_set<string> flat_set;
    mp::shared::unordered_map<string, mp::shared::unordered_map<int, string>> unordered_map;
    mp::shared::unordered_set<Point> unordered_set;
};
constexpr int entries = 200;

string word(int i) { return string(std::string_view("a word longer than " + std::to_string(i))); }

void fill(Everything& all, int from, int to) {
    for (int i = from; i < to; ++i) {
        all.vector.push_back(word(i));
        all.deque.push_front(i);
        all.list.push_back(word(i));
        all.map[word(i)].assign(static_cast<std::size_t>(i % 7), i * 0.5);
        all.set.insert({i, 0});
        all.flat_map[word(i)] = i;
        all.flat_set.insert(word(i));
        all.unordered_map[word(i % 10)][i] = word(i);
        all.unordered_set.insert({i, 1});
    }
}

/// @returns whether it holds what fill(all, 0, count) leaves
bool is_filled(const Everything& all, int count) {
    const auto size = static_cast<std::size_t>(count);
    bool ok = all.vector.size() == size && all.deque.size() == size && all.list.size() == size &&
              all.map.size() == size && all.set.size() == size && all.flat_map.size() == size &&
              all.flat_set.size() == size && all.unordered_map.size() == 10 &&
              all.unordered_set.size() == size;
    auto item = all.list.begin();
    for (int i = 0; i < count && ok; ++i, ++item) {
        ok = all.vector[static_cast<std::size_t>(i)] == word(i) && *item == word(i) &&
             all.deque[static_cast<std::size_t>(count - 1 - i)] == i &&
             all.map.at(word(i)).size() == static_cast<std::size_t>(i % 7) &&
             all.set.count({i, 0}) == 1 && all.flat_map.at(word(i)) == i &&
             all.flat_set.count(word(i)) == 1 &&
             all.unordered_map.at(word(i % 10)).at(i) == word(i) &&
             all.unordered_set.count({i, 1}) == 1;
    }
    return ok;
}

void fill_the_rest(const mp::Shared<Everything>& all) {
    all.with([](Everything& here) {
        if (!is_filled(here, entries)) mp::exit(7);
        fill(here, entries, 2 * entries);
    });
}

}  // namespace

TEMPLATE_TEST_CASE("Each container is read and changed in another process, nested ones too",
                   "[shared_objects]", START_METHODS) {
    const Watchdog watchdog(120);
    const mp::Shared<Everything> all;
    all.with([](Everything& here) { fill(here, 0, entries); });
    Child<TestType> child(fill_the_rest, all);
    REQUIRE(child.join() == 0);
    REQUIRE(all.with([](const Everything& here) { return is_filled(here, 2 * entries); }));
}

TEST_CASE("allocator gives aligned blocks of the heap, and refuses what is too large",
          "[shared_objects]") {
    struct alignas(64) Line {
        char bytes[64];
    };
    mp::allocator<Line> lines;
    const auto room = lines.allocate(3);
    static_assert(std::is_same_v<decltype(lines)::pointer, boost::interprocess::offset_ptr<Line>>);
    REQUIRE(reinterpret_cast<std::uintptr_t>(room.get()) % 64 == 0);
    REQUIRE(mp::detail::heap().offset_of(room.get()) < mp::detail::heap().segment().size());
    lines.deallocate(room, 3);
    mp::allocator<double> numbers(lines);
    REQUIRE(numbers == lines);
    REQUIRE_FALSE(numbers != mp::allocator<double>());
    static_assert(std::allocator_traits<mp::allocator<int>>::is_always_equal::value);
    static_assert(std::is_empty_v<mp::allocator<int>>);
    REQUIRE_THROWS_AS(numbers.allocate(SIZE_MAX / 4), std::bad_array_new_length);
    REQUIRE_THROWS_AS(numbers.allocate(SIZE_MAX / 32), std::bad_alloc);
    REQUIRE_THROWS(mp::shared::vector<double>(SIZE_MAX / 32));
    lines.deallocate({}, 0);
}

TEST_CASE("A container on the stack gives its memory back", "[shared_objects]") {
    const auto before = mp::detail::heap().segment().memory();
    for (int i = 0; i < 50; ++i) {
        mp::shared::vector<double> v(1 << 20, 1.5);
        mp::shared::vector<double> w = v;
        v = std::move(w);
        REQUIRE(v.size() == 1 << 20);
        Everything all;
        fill(all, 0, 100);
    }
    REQUIRE(mp::detail::heap().segment().memory() < before + (24 << 20));
}

TEST_CASE("Texts of any class find a key that is a shared::string", "[shared_objects]") {
    const auto check = [](auto m) {
        m["key"] = 1;
        m.emplace("other", 2);
        m.try_emplace("third", 3);
        const std::string key = "key";
        REQUIRE(m.at("key") == 1);
        REQUIRE(m.find("key") != m.end());
        REQUIRE(m.find(key)->second == 1);
        REQUIRE(m.find(std::string_view("other"))->second == 2);
        REQUIRE(m.count(key) == 1);
        REQUIRE(m.count("fourth") == 0);
        m[string(std::string_view(key))] += 1;
        REQUIRE(m["key"] == 2);
        REQUIRE(m.erase("third") == 1);
        REQUIRE(m.size() == 2);
    };
    check(mp::shared::map<string, int>());
    check(mp::shared::flat_map<string, int>());
    check(mp::shared::unordered_map<string, int>());
    const mp::shared::set<string> set{"a", "b"};
    REQUIRE(set.count(std::string("a")) == 1);
    const mp::shared::unordered_set<string> unordered{"a", "b"};
    REQUIRE(unordered.count(std::string("a")) == 1);
}

TEST_CASE("shared::string compares, hashes and prints as texts do", "[shared_objects]") {
    const string text("a text that is too long to lie in the string itself");
    const std::string same(text.begin(), text.end());
    REQUIRE(text == same);
    REQUIRE(same == text);
    REQUIRE(text != std::string("b"));
    REQUIRE(text < std::string("b"));
    REQUIRE(std::string("b") > text);
    REQUIRE(text == same.c_str());
    REQUIRE(text == std::string_view(same));
    REQUIRE(std::hash<string>()(text) == std::hash<std::string>()(same));
    REQUIRE(mp::shared::hash<string>()(text) == std::hash<std::string>()(same));
    const std::unordered_map<string, int> standard{{text, 1}};
    REQUIRE(standard.at(text) == 1);
    std::ostringstream stream;
    stream << text;
    REQUIRE(stream.str() == same);
    REQUIRE(fmt::format("{}|{:>5}", text, string("ab")) == same + "|   ab");
}

TEST_CASE("Keys of hash tables are hashed by std::hash, or by boost::hash", "[shared_objects]") {
    mp::shared::unordered_map<std::pair<string, int>, int> pairs;
    pairs[{"a", 1}] = 2;
    REQUIRE(pairs.at({"a", 1}) == 2);
    mp::shared::unordered_set<Point> points{{1, 2}, {1, 3}};
    REQUIRE(points.size() == 2);
    REQUIRE(points.contains({1, 3}));
    mp::shared::unordered_map<int, int> table;
    for (int i = 0; i < 1000; ++i) table[i] = i;
    int sum = 0;
    for (const auto& [key, value] : table) sum += key == value ? value : -1;
    REQUIRE(sum == 1000 * 999 / 2);
}

TEST_CASE("A container of the heap also travels by value", "[shared_objects][reduction]") {
    mp::shared::map<string, mp::shared::vector<double>> m;
    m["a"].assign({1, 2});
    mp::detail::OutputArchive out;
    out(m);
    mp::detail::InputArchive in(out.view());
    mp::shared::map<string, mp::shared::vector<double>> back;
    in(back);
    REQUIRE(back == m);
    static_assert(mp::picklable<mp::shared::unordered_map<string, int>>);
}
