// reduction/{kind,pickler,containers,products,pointers}.hpp: every kind of type arrives as it was
// sent, and a message that was cut or changed never does harm.
// SPDX-License-Identifier: MIT
// ALONE: it specialises a template of the library
#include <multiprocessing/reduction/picklable.hpp>

#include <pthread.h>

#include <array>
#include <atomic>
#include <bitset>
#include <chrono>
#include <complex>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <queue>
#include <set>
#include <span>
#include <stack>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <valarray>
#include <variant>
#include <vector>

#include "tests/catch.hpp"
#include "tests/reduction/round_trip.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::detail;
using namespace std::chrono_literals;
using support::arrives;
using support::round_trip;

namespace {

enum class Color : char { red, green };

struct Point {
    int x;
    double y;
    bool operator==(const Point&) const = default;
};
struct Row {
    std::string name;
    std::vector<Point> points;
    std::map<std::string, Point> named;
    std::optional<std::string> comment;
    std::variant<int, std::string> either;
    bool operator==(const Row&) const = default;
};
struct Constant {
    const int number;
    std::string text;
    const std::string fixed;
    bool operator==(const Constant&) const = default;
};
struct ConstantDefaults {
    const std::string text = "x";
    bool operator==(const ConstantDefaults&) const = default;
};
struct Replaced {
    const int number;
    std::string text;
    bool operator==(const Replaced&) const = default;
};
struct Arrays {
    int numbers[3];
    std::string texts[2];
    bool operator==(const Arrays&) const = default;
};
struct Bits {
    unsigned a : 3;
    unsigned b : 5;
    bool operator==(const Bits&) const = default;
};
struct Nothing {
    bool operator==(const Nothing&) const = default;
};
struct Tagged : Nothing {
    int number;
    std::string text;
    bool operator==(const Tagged&) const = default;
};
struct Big {
    std::array<char, 1 << 16> data;
    bool operator==(const Big&) const = default;
};
struct Tree {
    int value;
    std::vector<Tree> children;
    std::unique_ptr<Tree> next;
};
struct Node {
    int value;
    std::shared_ptr<Node> other;
    std::weak_ptr<Node> back;
};
struct Json {
    std::variant<std::nullptr_t, double, std::string, std::vector<Json>,
                 std::map<std::string, Json>>
        value;
    bool operator==(const Json&) const = default;
};
struct MoveOnly {
    std::unique_ptr<std::string> text;
};
struct Reference {
    int& number;
};
struct Pointer {
    std::string text;
    int* pointer;
};
struct Base {
    int number;
};
struct Derived : Base {
    int more;
};
struct Polymorphic {
    virtual ~Polymorphic() = default;
};
union Either {
    int number;
    float real;
};
class Color3 {
  public:
    explicit Color3(int red) : red_(red) {}
    bool operator==(const Color3&) const = default;

  private:
    int red_;
};
class Closed {
  public:
    explicit Closed(int number) : number_(number) {}

  private:
    int number_;
};

bool descending(int a, int b) { return a > b; }

}  // namespace

template <>
inline constexpr bool multiprocessing::bitwise_picklable<Color3> = true;

TEST_CASE("Numbers, enums and booleans arrive", "[reduction]") {
    CHECK(arrives(1));
    CHECK(arrives(std::numeric_limits<long long>::min()));
    CHECK(arrives(2.5));
    CHECK(arrives(1.0L / 3));
    CHECK(arrives(true));
    CHECK(arrives('c'));
    CHECK(arrives(u8'c'));
    CHECK(arrives(Color::green));
    CHECK(arrives(std::byte{7}));
    CHECK(round_trip(Int128{1} << 100) == Int128{1} << 100);
    CHECK(arrives(nullptr));
}

TEST_CASE("Strings and vectors arrive, empty ones too", "[reduction]") {
    CHECK(arrives(std::string("hello")));
    CHECK(arrives(std::string()));
    CHECK(arrives(std::string("\0with\0zeros", 11)));
    CHECK(arrives(std::u8string(u8"hello")));
    CHECK(arrives(std::wstring(L"hello")));
    CHECK(arrives(std::vector<int>{1, 2, 3}));
    CHECK(arrives(std::vector<int>()));
    CHECK(arrives(std::vector<Point>(20, Point{1, 2})));
    CHECK(arrives(std::vector<std::pair<int, char>>{{1, 'a'}, {2, 'b'}}));
    CHECK(arrives(std::vector<std::string>{"a", "", "bb"}));
    CHECK(arrives(std::vector<bool>{true, false, true, true, false, false, true, false, true}));
    CHECK(arrives(std::vector<bool>()));
    CHECK(arrives(std::vector<std::vector<std::vector<int>>>{{{1}, {}}, {}, {{2, 3}}}));
}

TEST_CASE("A big vector arrives", "[reduction]") {
    std::vector<long> numbers(5'000'000);
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = long(i);
    OutputArchive output;
    output(numbers);
    CHECK(output.size() == 8 + numbers.size() * sizeof(long));
    InputArchive input(output.view());
    CHECK(input.read<std::vector<long>>() == numbers);
}

TEST_CASE("Elements that take no bytes arrive in their number", "[reduction]") {
    CHECK(arrives(std::vector<Nothing>(5)));
    CHECK(arrives(std::list<std::monostate>(5)));
    CHECK(arrives(std::vector<std::tuple<>>(3)));
    CHECK(arrives(std::map<int, Nothing>{{1, {}}, {2, {}}}));
    CHECK(arrives(std::array<std::string, 0>{}));
}

TEST_CASE("Sequences, maps, sets and adaptors arrive", "[reduction]") {
    CHECK(arrives(std::deque<int>{1, 2}));
    CHECK(arrives(std::list<std::string>{"a", "b"}));
    CHECK(arrives(std::forward_list<int>{3, 2, 1}));
    CHECK(arrives(std::map<int, std::string>{{1, "a"}, {2, "b"}}));
    CHECK(arrives(std::multimap<int, int>{{1, 2}, {1, 1}, {0, 3}}));
    CHECK(arrives(std::set<std::string>{"x", "y"}));
    CHECK(arrives(std::multiset<int>{1, 1, 2}));
    CHECK(arrives(std::unordered_map<std::string, int>{{"a", 1}, {"b", 2}}));
    CHECK(arrives(std::unordered_multimap<int, int>{{1, 1}, {1, 2}}));
    CHECK(arrives(std::unordered_set<int>{1, 2, 3}));
    CHECK(arrives(std::queue<int>({1, 2})));
    CHECK(arrives(std::stack<std::string>({"a"})));
    auto priorities = round_trip(std::priority_queue<int>({}, {3, 5, 4}));
    CHECK(priorities.size() == 3);
    CHECK(priorities.top() == 5);
    const auto numbers = round_trip(std::valarray<double>{1, 2, 3});
    CHECK(numbers.size() == 3);
    CHECK(numbers[2] == 3);
}

TEST_CASE("A map keeps a comparison function that has a state", "[reduction]") {
    std::map<int, int, bool (*)(int, int)> map(descending);
    map[1] = 1;
    map[2] = 2;
    OutputArchive output;  // no round_trip: to call a changed function pointer does do harm
    output(map);
    auto received = InputArchive(output.view()).read<decltype(map)>();
    received[3] = 3;
    CHECK(received.begin()->first == 3);
}

TEST_CASE("Products, sums and the standard's value types arrive", "[reduction]") {
    CHECK(arrives(std::pair<int, std::string>(1, "a")));
    CHECK(arrives(std::pair<int, double>(1, 2)));
    CHECK(arrives(std::tuple<int, std::string, double>(1, "a", 2)));
    CHECK(arrives(std::array<std::string, 2>{"a", "b"}));
    CHECK(arrives(std::array<int, 3>{1, 2, 3}));
    CHECK(arrives(std::optional<std::string>("a")));
    CHECK(arrives(std::optional<std::string>()));
    CHECK(arrives(std::optional<int>(3)));
    CHECK(arrives(std::variant<int, std::string>("a")));
    CHECK(arrives(std::variant<int, double>(2.0)));
    CHECK(arrives(std::complex<double>(1, 2)));
    CHECK(arrives(std::bitset<100>(77)));
    CHECK(arrives(5ms));
    CHECK(arrives(std::chrono::system_clock::now()));
    CHECK(arrives(std::chrono::year{2026} / 11 / 22));
    CHECK(arrives(std::filesystem::path("/tmp/x")));
    CHECK(arrives(std::make_error_code(std::errc::timed_out)));
    CHECK(arrives(std::error_code(3, std::system_category())));
}

TEST_CASE("Structs arrive without a line of boilerplate", "[reduction]") {
    const Row record{"n", {{1, 2}, {3, 4}}, {{"k", {5, 6}}}, "c", "e"};
    CHECK(arrives(record));
    CHECK(arrives(std::vector<Row>{record, {}}));
    CHECK(arrives(Arrays{{1, 2, 3}, {"a", "b"}}));
    CHECK(arrives(Bits{3, 17}));
    CHECK(arrives(Tagged{{}, 1, "a"}));
    CHECK(arrives(
        Json{std::vector<Json>{{1.5}, {"text"}, {std::map<std::string, Json>{{"k", {}}}}}}));
    Big big{};
    big.data[70] = 'x';
    OutputArchive output;
    output(big);
    CHECK(InputArchive(output.view()).read<Big>() == big);
}

TEST_CASE("Structs with const fields arrive, though they have no default constructor",
          "[reduction]") {
    STATIC_REQUIRE(!std::is_default_constructible_v<Constant>);
    const Constant constant{3, "s", "t"};
    CHECK(arrives(constant));
    CHECK(arrives(std::vector<Constant>{constant}));
    CHECK(arrives(std::optional<Constant>(constant)));
    CHECK(arrives(std::map<int, Constant>{{1, constant}}));
    CHECK(arrives(std::tuple<Constant, int>{constant, 3}));
    CHECK(arrives(std::variant<Constant, int>(constant)));
    CHECK(arrives(std::array<Constant, 2>{constant, constant}));
    CHECK(arrives(ConstantDefaults{}));
    CHECK(arrives(std::array<ConstantDefaults, 2>{}));
    CHECK(arrives(std::pair<ConstantDefaults, int>{}));
    OutputArchive output;
    output(Replaced{3, "s"});
    Replaced target{0, ""};
    InputArchive(output.view())(target);
    CHECK(target == Replaced{3, "s"});
}

TEST_CASE("A class is sent as its bytes when the program says so", "[reduction]") {
    CHECK(arrives(Color3(7)));
    CHECK(arrives(std::vector<Color3>{Color3(7), Color3(8)}));
}

TEST_CASE("Recursive types arrive", "[reduction]") {
    Tree tree{1, {}, nullptr};
    tree.children.push_back({2, {}, std::make_unique<Tree>(Tree{3, {}, nullptr})});
    const Tree received = round_trip(tree);
    REQUIRE(received.children.size() == 1);
    CHECK(received.children[0].next->value == 3);
}

TEST_CASE("Smart pointers arrive with their objects, shared ones still shared", "[reduction]") {
    CHECK(*round_trip(std::make_unique<std::string>("a")) == "a");
    CHECK(round_trip(std::unique_ptr<int>()) == nullptr);
    CHECK(*round_trip(std::make_shared<const int>(4)) == 4);
    CHECK(*round_trip(MoveOnly{std::make_unique<std::string>("a")}).text == "a");
    CHECK(*round_trip(std::make_unique<Constant>(Constant{1, "a", "b"})) == Constant{1, "a", "b"});

    const auto node = std::make_shared<Node>(Node{1, nullptr, {}});
    node->other = std::make_shared<Node>(Node{2, node, node});
    OutputArchive output;
    output(node, node);
    std::shared_ptr<Node> first;
    std::shared_ptr<Node> second;
    InputArchive(output.view())(first, second);
    CHECK(first == second);
    CHECK(first->other->other == first);
    CHECK(first->other->back.lock() == first);
    node->other.reset();
    first->other.reset();
}

TEST_CASE("An object and its first member stay two objects", "[reduction]") {
    struct Outer {
        int number;
    };
    const auto outer = std::make_shared<Outer>(Outer{5});
    const std::shared_ptr<int> inner(outer, &outer->number);
    OutputArchive output;
    output(outer, inner);
    InputArchive input(output.view());
    CHECK(input.read<std::shared_ptr<Outer>>()->number == 5);
    CHECK(*input.read<std::shared_ptr<int>>() == 5);
}

struct Link {
    int value = 0;
    std::unique_ptr<Link> next;
};
/// Makes a list that ends at `end`, without recursion, as its end is.
void end_list(Link& head) {
    while (head.next) head.next = std::move(head.next->next);
}
constexpr int length = support::sanitized ? 50'000 : 1'000'000;
/// Sends a long list. @returns how many nodes arrive; -1 for a ValueError
long send_long_list() {
    Link head;
    for (int i = 0; i < length; ++i) {
        head.next = std::make_unique<Link>(Link{i, std::move(head.next)});
    }
    long arrived = 0;
    try {
        OutputArchive output;
        output(head);
        InputArchive input(output.view());
        Link copy = input.read<Link>();
        for (const Link* link = copy.next.get(); link != nullptr; link = link->next.get()) {
            arrived += link->value == length - 1 - arrived ? 1 : 0;
        }
        end_list(copy);
    } catch (const mp::ValueError& error) {  // a sanitizer's frames are large
        arrived = -1;
    }
    end_list(head);
    return arrived;
}

TEST_CASE("A list of a million nodes travels, also on a small stack", "[reduction]") {
    static long arrived = 0;
    arrived = send_long_list();
    CHECK((arrived == length || (support::sanitized && arrived == -1)));
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 << 10);
    pthread_t thread{};
    const auto run = [](void*) -> void* {
        arrived = send_long_list();
        return nullptr;
    };
    REQUIRE(pthread_create(&thread, &small, run, nullptr) == 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&small);
    CHECK((arrived == length || (support::sanitized && arrived == -1)));
}

TEST_CASE("A message of forged depth is an error and not a crash", "[reduction]") {
    const std::vector<std::byte> forged(5'000'000, std::byte{1});
    CHECK_THROWS_AS(InputArchive(forged).read<Link>(), std::exception);
}

TEST_CASE("A damaged index of a variant is an error, also of one that travels as its bytes",
          "[reduction]") {
    using Number = std::variant<int, double>;
    struct Holder {
        int before;
        std::pair<int, Number> pair;
    };
    const auto refuses = [](const auto& value, std::size_t index_at) {
        using T = std::remove_cvref_t<decltype(value)>;
        OutputArchive output;
        output(value);
        std::vector<std::byte> bytes(output.view().begin(), output.view().end());
        bytes.at(index_at) = std::byte{0x77};
        try {
            (void)InputArchive(bytes).read<T>();
            return false;
        } catch (const mp::ProcessError&) {
            return true;
        }
    };
    const std::size_t index = sizeof(double);  // behind the value
    CHECK(refuses(Number(1.5), index));
    CHECK(refuses(std::vector<Number>{1, 2.0}, sizeof(std::uint64_t) + sizeof(Number) + index));
    CHECK(refuses(std::array<Number, 2>{1, 2.0}, sizeof(Number) + index));
    CHECK(refuses(Holder{1, {2, 3.0}}, sizeof(int) + alignof(double) + index));
}

TEST_CASE("picklable says what can travel", "[reduction]") {
    STATIC_REQUIRE(mp::picklable<const int>);
    STATIC_REQUIRE(mp::picklable<Tree>);
    STATIC_REQUIRE(mp::picklable<Node>);
    STATIC_REQUIRE(mp::picklable<Json>);
    STATIC_REQUIRE(mp::picklable<int[3]>);
    STATIC_REQUIRE(mp::picklable<int (*)(int)>);
    STATIC_REQUIRE(mp::picklable<std::less<>>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::shared_ptr<int[]>>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::weak_ptr<int[]>>);
    STATIC_REQUIRE_FALSE(mp::picklable<void>);
    STATIC_REQUIRE_FALSE(mp::picklable<int*>);
    STATIC_REQUIRE_FALSE(mp::picklable<const char*>);
    STATIC_REQUIRE_FALSE(mp::picklable<int&>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::string_view>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::span<int>>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::vector<int*>>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::map<int, std::string_view>>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::vector<int>::iterator>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::map<int, int>::iterator>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::thread>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::mutex>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::atomic<int>>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::ostream>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::function<void()>>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::reference_wrapper<int>>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::exception_ptr>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::unique_ptr<int[]>>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::unique_ptr<Polymorphic>>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::shared_ptr<Polymorphic>>);
    STATIC_REQUIRE_FALSE(mp::picklable<std::shared_ptr<void>>);
    STATIC_REQUIRE_FALSE(mp::picklable<Reference>);
    STATIC_REQUIRE_FALSE(mp::picklable<Pointer>);
    STATIC_REQUIRE_FALSE(mp::picklable<Derived>);
    STATIC_REQUIRE_FALSE(mp::picklable<Either>);
    STATIC_REQUIRE_FALSE(mp::picklable<Closed>);
    const int captured = std::rand();
    const auto closure = [captured] { return captured; };
    STATIC_REQUIRE_FALSE(mp::picklable<decltype(closure)>);
    CHECK(closure() == captured);
}

TEST_CASE("The culprit is the innermost type", "[reduction]") {
    STATIC_REQUIRE(std::is_same_v<Culprit<std::map<int, Pointer>>, int*>);
    STATIC_REQUIRE(std::is_same_v<Culprit<std::vector<Reference>>, int&>);
    STATIC_REQUIRE(std::is_same_v<Culprit<std::tuple<int, std::optional<Closed>>>, Closed>);
}

TEST_CASE("Bytes are the fast way wherever they are the value", "[reduction]") {
    STATIC_REQUIRE(bitwise<Point>);
    STATIC_REQUIRE(bitwise<Bits>);
    STATIC_REQUIRE(bitwise<Big>);
    STATIC_REQUIRE(bitwise<std::pair<int, double>>);
    STATIC_REQUIRE(bitwise<std::tuple<int, double>>);
    STATIC_REQUIRE(bitwise<std::optional<int>>);
    STATIC_REQUIRE(bitwise<std::array<Point, 3>>);
    STATIC_REQUIRE(bitwise<std::chrono::seconds>);
    STATIC_REQUIRE(kind<std::vector<Point>> == Kind::contiguous);
    STATIC_REQUIRE_FALSE(bitwise<Pointer>);
    STATIC_REQUIRE_FALSE(bitwise<std::string_view>);
}

namespace {
struct UnionFirst {
    union {
        int number;
        float real;
    };
    std::string text;
};
struct UnionLast {
    std::string text;
    union {
        int number;
        float real;
    };
};
struct UnionBehindArray {
    int numbers[3];
    union {
        int number;
        float real;
    };
};
struct UnionBehindOwner {
    std::unique_ptr<int> owner;
    union {
        int number;
        double real;
    };
};
struct PlainBits {
    unsigned low : 3;
    unsigned high : 29;
};
struct BitsAndText {
    unsigned low : 3;
    std::string text;
};
}  // namespace

TEST_CASE("What cannot be taken apart cannot travel, and may be asked", "[reduction]") {
    STATIC_REQUIRE_FALSE(mp::picklable<UnionFirst>);
    STATIC_REQUIRE_FALSE(mp::picklable<UnionLast>);
    STATIC_REQUIRE_FALSE(mp::picklable<UnionBehindArray>);
    STATIC_REQUIRE_FALSE(mp::picklable<UnionBehindOwner>);
    STATIC_REQUIRE(mp::picklable<PlainBits>);  // as its bytes
    STATIC_REQUIRE_FALSE(mp::picklable<BitsAndText>);
}
