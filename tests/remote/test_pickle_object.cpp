// remote/pickle/object.hpp: values of Python that are not known before they come.
// SPDX-License-Identifier: MIT
#include <fmt/ranges.h>

#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/remote.hpp>

#include <complex>
#include <cstdint>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using mp::pickle::object;

namespace {

std::string repr(const object& value) {
    std::ostringstream stream;
    stream << value;
    CHECK(fmt::format("{}", value) == stream.str());
    return stream.str();
}

struct Envelope {
    int number;
    object content;
    std::vector<object> more;
};

struct Point {  // with a way of its own
    int x = 0;
    [[nodiscard]] object to_pickle() const { return std::map<std::string, int>{{"x", x}}; }
    static Point from_pickle(const object& value) { return {value.at("x").get<int>()}; }
    bool operator==(const Point&) const = default;
};

object token() {
    return object::make_new(object::global("multiprocessing.managers", "Token"), {},
                            object::tuple({"list", "/tmp/x", "7f0a"}));
}

}  // namespace

TEST_CASE("object prints as Python's repr", "[pickle]") {
    CHECK(repr({}) == "None");
    CHECK(repr(true) == "True");
    CHECK(repr(2.0) == "2.0");
    CHECK(repr("it's") == "\"it's\"");
    CHECK(repr(std::complex<double>(0, 1)) == "1j");
    CHECK(repr(object::tuple({1})) == "(1,)");
    CHECK(repr(object::list({1, "a", nullptr})) == "[1, 'a', None]");
    CHECK(repr(object::dict({{1, "a"}, {"b", object::list({})}})) == "{1: 'a', 'b': []}");
    CHECK(repr(object::set({})) == "set()");
    CHECK(repr(object::frozenset({1, 2})) == "frozenset({1, 2})");
    CHECK(repr(std::vector{std::byte{'a'}, std::byte{200}}) == "b'a\\xc8'");
    CHECK(repr(object::bytearray({})) == "bytearray(b'')");
    CHECK(repr(mp::KeyError("k")) == "KeyError('k')");
    CHECK(repr(object::global("builtins", "ValueError")) == "<class 'ValueError'>");
    CHECK(repr(token()) == "Token(typeid='list', address='/tmp/x', id='7f0a')");
    CHECK(repr(std::vector<int>(1000, 1)).ends_with("1, 1, ...]"));
}

TEST_CASE("object.type_name is that of type(x).__name__", "[pickle]") {
    CHECK(object().type_name() == "NoneType");
    CHECK(object(1).type_name() == "int");
    CHECK(object(std::numeric_limits<std::uint64_t>::max()).type_name() == "int");
    CHECK(object(1.0).type_name() == "float");
    CHECK(object("x").type_name() == "str");
    CHECK(object(std::map<int, int>()).type_name() == "dict");
    CHECK(object(mp::Empty()).type_name() == "queue.Empty");
    CHECK(object(mp::ValueError("x")).type_name() == "ValueError");
    CHECK(token().type_name() == "multiprocessing.managers.Token");
    CHECK(object::global("builtins", "set").type_name() == "type");
}

TEST_CASE("object equals what is equal in Python", "[pickle]") {
    CHECK(object(1) == object(1.0));
    CHECK(object(1) == object(true));
    CHECK(object(1) == 1);
    CHECK(object(1) != object(1.5));
    CHECK(object(std::numeric_limits<std::int64_t>::max()) != object(9223372036854775808.0));
    CHECK(object(std::numeric_limits<std::int64_t>::min()) == object(-9223372036854775808.0));
    CHECK(object(0.0) == object(-0.0));
    CHECK(object("1") != object(1));
    CHECK(object::list({1}) != object::tuple({1}));
    CHECK(object::set({1, 2, 3}) == object::frozenset({3, 1, 2}));
    CHECK(object::set({1, 2}) != object::set({1, 3}));
    CHECK(object::dict({{1, 2}, {3, 4}}) == object::dict({{3, 4}, {1, 2}}));
    CHECK(object::dict({{1, 2}}) != object::dict({{1, 3}}));
    CHECK(object(std::vector<std::byte>(2)) == object::bytearray(std::vector<std::byte>(2)));
    CHECK(object(std::numeric_limits<double>::quiet_NaN()) ==
          object(-std::numeric_limits<double>::quiet_NaN()));
    CHECK(object() != object(false));
    CHECK(object(mp::ValueError("x")) == object(mp::ValueError("x")));
    CHECK(object(mp::ValueError("x")) != object(mp::TypeError("x")));
    const std::map<object, int> keys{{1, 1}, {"1", 2}, {object::tuple({1}), 3}, {nullptr, 4}};
    CHECK(keys.at(1.0) == 1);
    CHECK(keys.at(object()) == 4);
    CHECK_FALSE(keys.contains(object::list({1})));
}

TEST_CASE("object gives its items", "[pickle]") {
    const object list = object::list({10, 20, 30});
    CHECK(list.size() == 3);
    CHECK(list[0] == 10);
    CHECK(list[-1] == 30);
    CHECK(list.contains(20));
    CHECK_FALSE(list.contains(21));
    CHECK(list.items() == std::vector<object>{10, 20, 30});
    CHECK_THROWS_AS(list[3], mp::IndexError);
    CHECK_THROWS_AS(list[-4], mp::IndexError);
    CHECK_THROWS_AS(list.at(1), mp::TypeError);
    CHECK_THROWS_AS(list.dict_items(), mp::TypeError);

    const object dict = object::dict({{"a", 1}, {2, object::list({3})}});
    CHECK(dict.size() == 2);
    CHECK(dict.at("a") == 1);
    CHECK(dict.at(2)[0].get<int>() == 3);
    CHECK(dict.contains("a"));
    CHECK(dict.items() == std::vector<object>{"a", 2});
    CHECK(dict.dict_items()[1].second == object::list({3}));
    CHECK_THROWS_AS(dict.at("b"), mp::KeyError);
    CHECK_THROWS_AS(dict[0], mp::TypeError);

    CHECK(object("abc").size() == 3);
    CHECK_THROWS_AS(object(1).size(), mp::TypeError);
    CHECK_THROWS_AS(object().items(), mp::TypeError);
    CHECK_THROWS_AS(object(1).callee(), mp::TypeError);
    CHECK_THROWS_AS(object(1).global_name(), mp::TypeError);
}

TEST_CASE("object has the parts of a call", "[pickle]") {
    const object value = token();
    CHECK(value.callee().global_name() == "multiprocessing.managers.Token");
    CHECK(value.arguments() == object::tuple({}));
    CHECK(value.state()[2] == "7f0a");
    CHECK(mp::pickle::loads<object>(mp::pickle::dumps(value)) == value);
    CHECK_FALSE(value.is_exception());
    CHECK(object::call(object::global("builtins", "KeyError"), {1}).is_exception());
    CHECK_THROWS_AS(object::call("KeyError", {1}), mp::TypeError);
    CHECK_THROWS_AS(object::global("os", "system"), mp::TypeError);
}

TEST_CASE("object shares the memory of what it came in, and outlives it", "[pickle]") {
    object inner;
    {
        const std::string bytes = mp::pickle::dumps(std::vector<std::string>{"a", "b"});
        inner = mp::pickle::loads<object>(bytes)[1];
    }
    CHECK(inner.get<std::string>() == "b");
    Envelope envelope{};
    {
        const std::string bytes =
            mp::pickle::dumps(Envelope{1, "text of some length", {2, object::list({3})}});
        envelope = mp::pickle::loads<Envelope>(bytes);
    }
    CHECK(envelope.content == "text of some length");
    CHECK(envelope.more[1][0] == 3);
    const object moved = std::move(inner);
    CHECK(moved == "b");
    CHECK(inner.is_none());
}

TEST_CASE("A class with to_pickle and from_pickle travels as what these say", "[pickle]") {
    CHECK(repr(Point{3}) == "{'x': 3}");
    CHECK(mp::pickle::loads<std::vector<Point>>(mp::pickle::dumps(std::vector<Point>{{1}, {2}})) ==
          std::vector<Point>{{1}, {2}});
}

namespace {

void answer(mp::Queue<object> questions, mp::Queue<Envelope> answers) {
    const object question = questions.get();
    answers.put({2, question, {question[0], nullptr}});
}

}  // namespace

TEMPLATE_TEST_CASE("object travels through the queues of a family", "[pickle]", mp::Process,
                   mp::SpawnProcess, mp::ForkServerProcess) {
    const support::Watchdog watchdog(60);
    mp::Queue<object> questions;
    mp::Queue<Envelope> answers;
    TestType process(answer, questions, answers);
    process.start();
    questions.put(object::list({"x", mp::ValueError("v"), token()}));
    const Envelope answer = answers.get();
    process.join();
    CHECK(repr(answer.content) ==
          "['x', ValueError('v'), Token(typeid='list', address='/tmp/x', id='7f0a')]");
    CHECK(answer.more == std::vector<object>{"x", nullptr});
}

// An object takes what travels, and nothing else.
static_assert(std::is_constructible_v<object, std::vector<int>>);
static_assert(!std::is_constructible_v<object, int*>);
static_assert(!std::is_constructible_v<object, std::multimap<int, int>>);
static_assert(mp::detail::has_text<object> && !mp::detail::has_text<std::vector<object>>);
static_assert(!mp::detail::pickles::travels<std::vector<void*>>);
static_assert(mp::picklable<Envelope>);
