// reduction/{signature,callable,arguments,partial}.hpp: what can be called elsewhere, and how its
// arguments are kept until then.
// SPDX-License-Identifier: MIT
#include <multiprocessing/reduction.hpp>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "tests/catch.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::detail;

namespace {

double sum(int a, double b) { return a + b; }
std::size_t length(const std::string& text) { return text.size(); }
int by_all_means(int& a, const std::string& b, std::string&& c, int d) noexcept {
    a += 1;
    const std::string taken = std::move(c);
    return a * 1000 + int(b.size()) * 100 + int(taken.size()) * 10 + d;
}
std::size_t views(const char* a, std::string_view b, std::span<const int> c) {
    return std::string(a).size() + b.size() + c.size();
}
int take(std::unique_ptr<int> pointer) { return *pointer; }
int apply(const std::function<int(int)>& f, int x) { return f(x); }
int twice(int x) { return 2 * x; }
void nothing() {}

/// A class that is not copied by accident.
struct Unique {
    explicit Unique(int n) : number(std::make_unique<int>(n)) {}
    Unique duplicate() const { return Unique(*number + 1); }
    std::unique_ptr<int> number;
};
int number_of(Unique unique) { return *unique.number; }
int number_in(Unique& unique) { return *unique.number; }

struct Scale {
    int factor;
    int operator()(int x) const { return factor * x; }
};
struct Counter {
    int calls = 0;
    int operator()() { return ++calls; }
};
struct Overloaded {
    int operator()(int x) const { return x; }
    std::string operator()(const std::string& text) const { return text; }
};
struct Item {
    int number = 0;
    int plus(int x) const { return number + x; }
    void set(int x) noexcept { number = x; }
};
struct Base {
    virtual ~Base() = default;
    [[nodiscard]] virtual int value() const { return 1; }
};
struct Derived : Base {
    [[nodiscard]] int value() const override { return 2; }
};
int value_of(const Base& base) { return base.value(); }
class Final final {
  public:
    int operator()(int x) const { return x; }
};

/// Keeps the arguments, then makes the call.
template <class F, class... Args>
auto call(F&& f, Args&&... args) {
    auto arguments = store_arguments<F>(std::forward<Args>(args)...);
    auto function = std::decay_t<F>(std::forward<F>(f));
    return invoke_stored(function, arguments);
}

template <class T>
T sent(const T& value) {
    OutputArchive output;
    output(value);
    return InputArchive(output.view()).read<T>();
}

}  // namespace

TEST_CASE("parameter_list_t tells the parameters of what has one signature", "[reduction]") {
    STATIC_REQUIRE(std::is_same_v<parameter_list_t<decltype(sum)>, TypeList<int, double>>);
    STATIC_REQUIRE(std::is_same_v<parameter_list_t<decltype(&sum)>, TypeList<int, double>>);
    STATIC_REQUIRE(std::is_same_v<parameter_list_t<decltype(by_all_means)&>,
                                  TypeList<int&, const std::string&, std::string&&, int>>);
    STATIC_REQUIRE(std::is_same_v<parameter_list_t<Scale>, TypeList<int>>);
    STATIC_REQUIRE(std::is_same_v<parameter_list_t<Counter&>, TypeList<>>);
    STATIC_REQUIRE(std::is_same_v<parameter_list_t<Overloaded>, unknown>);
    STATIC_REQUIRE(
        std::is_same_v<parameter_list_t<decltype(&Item::plus)>, TypeList<const Item&, int>>);
    STATIC_REQUIRE(std::is_same_v<parameter_list_t<decltype(&Item::set)>, TypeList<Item&, int>>);
    STATIC_REQUIRE(
        std::is_same_v<parameter_list_t<decltype(&Item::number)>, TypeList<const Item&>>);
    const auto lambda = [n = 1](int, char) mutable noexcept { return ++n; };
    STATIC_REQUIRE(std::is_same_v<parameter_list_t<decltype(lambda)>, TypeList<int, char>>);
    const auto generic = [](auto x) { return x; };
    STATIC_REQUIRE(std::is_same_v<parameter_list_t<decltype(generic)>, unknown>);
    STATIC_REQUIRE(
        std::is_same_v<parameter_list_t<decltype(mp::partial(sum, 1))>, TypeList<double>>);
}

TEST_CASE("portable_callable says what can be called elsewhere", "[reduction]") {
    const auto stateless = [](int x) { return x; };
    const auto generic = [](auto x) { return x; };
    const int captured = std::rand();
    const auto closure = [captured](int x) { return captured + x; };
    STATIC_REQUIRE(mp::portable_callable<decltype(sum)>);
    STATIC_REQUIRE(mp::portable_callable<decltype(sum)&>);
    STATIC_REQUIRE(mp::portable_callable<decltype(&by_all_means)>);
    STATIC_REQUIRE(mp::portable_callable<decltype(stateless)>);
    STATIC_REQUIRE(mp::portable_callable<decltype(generic)>);
    STATIC_REQUIRE(mp::portable_callable<std::less<>>);
    STATIC_REQUIRE(mp::portable_callable<Scale>);
    STATIC_REQUIRE(mp::portable_callable<Overloaded>);
    STATIC_REQUIRE(mp::portable_callable<Final>);
    STATIC_REQUIRE(mp::portable_callable<decltype(&Item::plus)>);
    STATIC_REQUIRE(mp::portable_callable<decltype(&Item::number)>);
    STATIC_REQUIRE(mp::portable_callable<decltype(mp::partial(mp::partial(sum, 1), 2))>);
    STATIC_REQUIRE_FALSE(mp::portable_callable<decltype(closure)>);
    STATIC_REQUIRE_FALSE(mp::portable_callable<decltype(mp::partial(closure, 1))>);
    STATIC_REQUIRE_FALSE(mp::portable_callable<std::function<void()>>);
    STATIC_REQUIRE_FALSE(mp::portable_callable<decltype(std::bind(take, nullptr))>);
    STATIC_REQUIRE_FALSE(mp::portable_callable<decltype(std::bind_front(sum, 1))>);
    STATIC_REQUIRE_FALSE(mp::portable_callable<int>);
    STATIC_REQUIRE_FALSE(mp::portable_callable<std::string>);
    STATIC_REQUIRE_FALSE(mp::portable_callable<Item>);
    CHECK(closure(stateless(generic(1))) == captured + 1);
}

TEST_CASE("Arguments are converted to the parameter types when they are given", "[reduction]") {
    STATIC_REQUIRE(
        std::is_same_v<stored_arguments_t<decltype(sum), double, int>, std::tuple<int, double>>);
    STATIC_REQUIRE(std::is_same_v<stored_arguments_t<decltype(length), const char(&)[2]>,
                                  std::tuple<std::string>>);
    CHECK(call(sum, 2.9, 1) == 3);
    CHECK(call(length, "abc") == 3);
    char text[] = "abcd";
    CHECK(call(length, text) == 4);
    CHECK(call([](auto const& given) { return given.size(); }, "abcde") == 5);
    CHECK(call(Overloaded{}, "ab") == "ab");
    CHECK(call([](int a, int b = 4) { return a + b; }, 1) == 5);
    call(nothing);
}

TEST_CASE("T, const T&, T& and T&& parameters all work", "[reduction]") {
    CHECK(call(by_all_means, 1, "ab", "xyz", 4) == 2234);
    CHECK(call(take, std::make_unique<int>(4)) == 4);
    CHECK(call([](auto& a, auto b) { return a += b; }, 1, 2) == 3);
    CHECK(call([](auto&& pointer) { return *pointer; }, std::make_unique<int>(4)) == 4);
    CHECK(call([n = 1](int x) mutable { return n += x; }, 3) == 4);
    CHECK(call(&Item::plus, Item{3}, 4) == 7);
    CHECK(call(&Item::number, Item{3}) == 3);
}

TEST_CASE("A view's or std::function's parameter is kept as what was given", "[reduction]") {
    CHECK(call(views, "abc", std::string("de"), std::vector<int>{1, 2}) == 7);
    STATIC_REQUIRE(std::is_same_v<
                   stored_arguments_t<decltype(views), const char*, const char*, std::vector<int>>,
                   std::tuple<std::string, std::string, std::vector<int>>>);
    CHECK(call(apply, twice, 4) == 8);
    CHECK(call(value_of, Derived()) == 2);  // not cut down to a Base
}

TEST_CASE("The result's type is told", "[reduction]") {
    STATIC_REQUIRE(std::is_same_v<stored_result_t<decltype(sum), std::tuple<int, double>>, double>);
    STATIC_REQUIRE(std::is_same_v<stored_result_t<decltype(nothing), std::tuple<>>, void>);
    std::pair<int, double> pair(1, 2.5);
    auto* const function = &sum;
    CHECK(invoke_stored(function, pair) == 3.5);
}

TEST_CASE("partial binds the first arguments", "[reduction]") {
    const auto add_three = mp::partial(sum, 3);
    CHECK(add_three(4) == 7);
    CHECK(add_three(5) == 8);
    CHECK(mp::partial(add_three, 1.5)() == 4.5);
    mp::partial(nothing)();
    CHECK(mp::partial(&Item::plus, Item{3})(4) == 7);
}

TEST_CASE("partial keeps its arguments from call to call", "[reduction]") {
    auto counting = mp::partial(by_all_means, 1, "ab", "xyz");
    CHECK(counting(4) == 2234);
    CHECK(counting(4) == 3234);
    const auto view = mp::partial(views, "abc", "de");
    const std::vector<int> numbers{1, 2};
    CHECK(view(numbers) == 7);
    CHECK(view(numbers) == 7);
}

TEST_CASE("partial travels, and what it binds with it", "[reduction]") {
    CHECK(sent(mp::partial(mp::partial(sum, 3), 1.5))() == 4.5);
    CHECK(sent(mp::partial(Scale{2}, 5))() == 10);
    CHECK(sent(mp::partial([](int a, int b) { return a - b; }, 5))(3) == 2);
    CHECK(sent(mp::partial(length, "abc"))() == 3);
    CHECK(call(sent(mp::partial(by_all_means, 1, "ab")), "xyz", 4) == 2234);
}

TEST_CASE("A variable that cannot be copied but duplicated is kept as a duplicate", "[reduction]") {
    Unique unique(1);
    auto kept = store_arguments<int (*)(Unique)>(unique);
    CHECK(*std::get<0>(kept).number == 2);
    CHECK(invoke_stored(number_of, kept) == 2);
    auto by_reference = store_arguments<int (*)(Unique&)>(std::as_const(unique));
    CHECK(invoke_stored(number_in, by_reference) == 2);
    auto given_away = store_arguments<int (*)(Unique)>(std::move(unique));
    CHECK(*std::get<0>(given_away).number == 1);
    CHECK(unique.number == nullptr);
}
