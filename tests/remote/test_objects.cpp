// remote/connection/pickler.hpp, connection/pickling.hpp: objects through a connection of a
// Listener or a Client, also with a file of the program that knows nothing of pickles.
// ALONE: it has a second file
// SPDX-License-Identifier: MIT
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <variant>

#include "tests/remote/support.hpp"

// without_remote.cpp
void send_number(mp::Connection& connection, int number);
int receive_number(mp::Connection& connection);

namespace {

struct Point {
    int x;
    double y;
    std::string name;
    bool operator==(const Point&) const = default;
};

using Sender = std::function<void(mp::Connection&)>;

template <class T>
void goes_through(mp::Connection& from, mp::Connection& to, const T& object) {
    from.send(object);
    REQUIRE(to.recv<T>() == object);
}

/// What Python prints of an object, and how it is sent.
struct Printed {
    std::string text;
    Sender send;
};

}  // namespace

TEST_CASE("Objects go as pickles between two C++ programs", "[remote]") {
    const NothingLeft check;
    auto [a, b] = support::python_pipe();
    goes_through(a, b, 42);
    goes_through(a, b, true);
    goes_through(a, b, 2.5);
    goes_through(a, b, std::numeric_limits<std::uint64_t>::max());
    goes_through(a, b, "text, ελληνικά"s);
    goes_through(a, b, std::vector<std::string>{"a", "b"});
    goes_through(a, b, std::map<std::string, std::vector<int>>{{"x", {1, 2}}, {"y", {}}});
    goes_through(a, b, std::tuple(1, "two"s, 3.0));
    goes_through(a, b, std::optional<int>());
    goes_through(a, b, std::variant<int, std::string>("v"));
    goes_through(a, b, Point{1, 2, "p"});
    a.send("literal");
    CHECK(b.recv<std::string>() == "literal");
    a.send({1, 2, 3});
    CHECK(b.recv<std::list<int>>() == std::list{1, 2, 3});
    const int numbers[2][3] = {{1, 2, 3}, {4, 5, 6}};
    a.send(numbers);
    CHECK(b.recv<std::array<std::array<int, 3>, 2>>()[1][2] == 6);
    std::string strings[2] = {"a", "b"};
    a.send(strings);
    CHECK(b.recv<std::array<std::string, 2>>()[1] == "b");
    a.send<double>(1);
    CHECK(b.recv<double>() == 1.0);
    a.send(Point{1, 2, "p"});
    const auto object = b.recv<mp::pickle::object>();
    a.send(object);
    CHECK(b.recv<const Point>() == Point{1, 2, "p"});
}

TEST_CASE("An object of another type than asked for stays", "[remote]") {
    const NothingLeft check;
    auto [a, b] = support::python_pipe();
    a.send("text"s);
    a.send(7);
    CHECK_THROWS_AS(b.recv<int>(), mp::TypeError);
    CHECK(b.poll(0));
    CHECK(mp::connection::wait({b}, 0).size() == 1);
    CHECK_THROWS_AS(b.recv<std::vector<int>>(), mp::TypeError);
    CHECK_THROWS_AS(b.duplicate(), mp::ValueError);
    CHECK(b.recv<std::string>() == "text");
    CHECK_THROWS_AS(b.recv<std::string>(), mp::TypeError);
    CHECK(mp::pickle::loads<int>(b.recv_bytes()) == 7);
    CHECK_FALSE(b.poll(0));
    a.send("into a buffer"s);
    std::array<char, 100> buffer{};
    CHECK_THROWS_AS(b.recv<int>(), mp::TypeError);
    CHECK_THROWS_AS(b.recv<int>(), mp::TypeError);
    const std::size_t size = b.recv_bytes_into(buffer);
    CHECK(mp::pickle::loads<std::string>(std::string_view(buffer.data(), size)) == "into a buffer");
}

TEST_CASE("What is no pickle, or names what may not be run, is an error and no more",
          "[remote][attack]") {
    const NothingLeft check;
    auto [a, b] = support::python_pipe();
    for (const std::string& bytes : {""s, "x"s, "\x80\x04"s, "\x80\x04]."s + "rest"}) {
        a.send_bytes(bytes);
        bool failed = false;
        try {
            (void)b.recv<int>();
        } catch (const mp::TypeError&) {
            failed = true;
            CHECK(b.recv_bytes() == bytes);
        } catch (const mp::ValueError&) {
            failed = true;
        }
        CHECK(failed);
    }
    a.send_bytes("cos\nsystem\n(S'true'\ntR.");
    CHECK_THROWS(b.recv<mp::pickle::object>());
    a.send(1);
    while (b.poll(0)) (void)b.recv_bytes();
}

TEST_CASE("What cannot be pickled is a TypeError there, and what only can, one in a pipe",
          "[remote]") {
    const NothingLeft check;
    auto [a, b] = support::python_pipe();
    CHECK_THROWS_WITH(a.send(std::make_unique<int>(1)),
                      Catch::Matchers::ContainsSubstring("no pickle that Python reads"));
    a.send(1);
    CHECK_THROWS_AS(b.recv<std::unique_ptr<int>>(), mp::TypeError);
    CHECK(b.recv<int>() == 1);
    auto [c, d] = mp::Pipe();
    CHECK_THROWS_WITH(c.send(mp::ValueError("x")),
                      Catch::Matchers::ContainsSubstring("cannot travel through a pipe"));
    c.send(2);
    CHECK_THROWS_AS(d.recv<mp::ValueError>(), mp::TypeError);
    CHECK(d.recv<int>() == 2);
}

TEST_CASE("A file that does not include remote.hpp is told so, and the others are not hindered",
          "[remote]") {
    const NothingLeft check;
    auto [a, b] = support::python_pipe();
    CHECK_THROWS_WITH(send_number(a, 1),
                      Catch::Matchers::ContainsSubstring("Include <multiprocessing/remote.hpp>"));
    a.send(1);  // the same types as in the other file
    CHECK_THROWS_AS(receive_number(b), mp::RuntimeError);
    CHECK(b.recv<int>() == 1);
    auto [c, d] = mp::Pipe();
    send_number(c, 2);
    CHECK(d.recv<int>() == 2);
    c.send(3);
    CHECK(receive_number(d) == 3);
}

TEST_CASE("Each type arrives in every Python as its own, and comes back", "[remote]") {
    const NothingLeft check;
    const std::vector<Printed> objects{
        {"42", [](auto& c) { c.send(42); }},
        {"-1", [](auto& c) { c.send(std::int8_t{-1}); }},
        {"18446744073709551615",
         [](auto& c) { c.send(std::numeric_limits<std::uint64_t>::max()); }},
        {"-9223372036854775808", [](auto& c) { c.send(std::numeric_limits<std::int64_t>::min()); }},
        {"True", [](auto& c) { c.send(true); }},
        {"0.1", [](auto& c) { c.send(0.1); }},
        {"None", [](auto& c) { c.send(std::nullopt); }},
        {"'text \\u20ac \\U0001f600'", [](auto& c) { c.send("text € 😀"); }},
        {"b'\\x00\\xff'",
         [](auto& c) {
             c.send(std::vector{std::byte{0}, std::byte{255}});
         }},
        {"[1, 2]",
         [](auto& c) {
             c.send(std::deque{1, 2});
         }},
        {"{3}", [](auto& c) { c.send(std::set{3}); }},
        {"{'k': [1.5]}",
         [](auto& c) {
             c.send(std::unordered_map<std::string, std::vector<double>>{{"k", {1.5}}});
         }},
        {"(1, 'a')", [](auto& c) { c.send(std::pair(1, "a"s)); }},
        {"(7, 8)",
         [](auto& c) {
             c.send(std::array{7, 8});
         }},
        {"(1, 2.0, 'p')",
         [](auto& c) {
             c.send(Point{1, 2, "p"});
         }},
    };
    for (const std::string& python : every_python()) {
        INFO(python);
        const Watchdog watchdog(60);
        Listener listener({}, {.authkey = "key"});
        PythonProgram program(python,
                              "c = Client(arguments[0], authkey=b'key')\n"
                              "while True:\n"
                              "    try: x = c.recv()\n"
                              "    except EOFError: break\n"
                              "    c.send((ascii(x), x))\n",
                              {listener.address().path()});
        mp::Connection connection = listener.accept();
        for (const Printed& object : objects) {
            object.send(connection);
            const auto [text, back] =
                connection.recv<std::tuple<std::string, mp::pickle::object>>();
            CHECK(text == object.text);
            connection.send(back);
            CHECK(std::get<0>(connection.recv<std::tuple<std::string, mp::pickle::object>>()) ==
                  object.text);
        }
        connection.send(std::map<std::string, Point>{{"a", {1, 2, "x"}}});
        CHECK(std::get<1>(connection.recv<std::tuple<std::string, std::map<std::string, Point>>>())
                  .at("a") == Point{1, 2, "x"});
        connection.close();
        CHECK(program.join() == 0);
    }
}
