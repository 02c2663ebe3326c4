// remote/pickle against every Python of the machine: what it pickles is read, in each protocol, and
// what is written here is equal there.
// SPDX-License-Identifier: MIT
#include <multiprocessing/remote.hpp>

#include <array>
#include <cerrno>
#include <complex>
#include <deque>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "tests/catch.hpp"
#include "tests/remote/python.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;

namespace {

using mp::pickle::object;

/// What Python needs to evaluate the expressions.
const std::string preamble = R"(
import array, pickle, queue, sys, threading, multiprocessing, binascii
from multiprocessing.managers import Token, RemoteError, Namespace
def lines(): return [l for l in sys.stdin.buffer.read().decode().split("\n") if l]
def hexed(b): return binascii.hexlify(b).decode()
def shared(a): return [a, a, (a, a)]
def same(a, b):
    if type(a) is not type(b): return False
    if isinstance(a, BaseException): return a.args == b.args
    if isinstance(a, (list, tuple)): return len(a) == len(b) and all(map(same, a, b))
    return a == b or repr(a) == repr(b)
)";

/// Values of every type that travels, as Python writes them. Their repr is theirs here, too.
const std::vector<std::string> expressions{"None",
                                           "True",
                                           "False",
                                           "0",
                                           "1",
                                           "-1",
                                           "255",
                                           "256",
                                           "65535",
                                           "65536",
                                           "-32768",
                                           "2**31-1",
                                           "2**31",
                                           "-2**31",
                                           "-2**31-1",
                                           "2**63-1",
                                           "-2**63",
                                           "2**63",
                                           "2**64",
                                           "-2**64",
                                           "10**100",
                                           "-10**100",
                                           "7**700",
                                           "-2**1000",
                                           "0.0",
                                           "-0.0",
                                           "0.1",
                                           "1e300",
                                           "1e16",
                                           "1e-7",
                                           "123456789.125",
                                           "float(\"inf\")",
                                           "-float(\"inf\")",
                                           "float(\"nan\")",
                                           "1j",
                                           "1+2j",
                                           "-0.0-0.5j",
                                           "1e20+3j",
                                           "complex(0.0, float(\"nan\"))",
                                           "\"\"",
                                           "\"abc\"",
                                           "\"it\" + chr(39) + \"s\"",
                                           "\"a\\nb\\t\\\\\"",
                                           "\"\\u00e9\\u20ac\\U0001f600\"",
                                           "\"x\" * 255",
                                           "\"x\" * 256",
                                           "\"\\u00e9\" * 3000",
                                           "b\"\"",
                                           "b\"\\x00\\xff\\x80'\"",
                                           "b\"x\" * 256",
                                           "bytearray()",
                                           "bytearray(b\"\\x00\\xff\")",
                                           "()",
                                           "(1,)",
                                           "(1, 2)",
                                           "(1, 2, 3)",
                                           "(1, 2, 3, 4)",
                                           "((), ((),))",
                                           "[]",
                                           "[1]",
                                           "[1, [2, [3]]]",
                                           "list(range(90))",
                                           "{}",
                                           "{1: 2}",
                                           "{\"a\": [1, 2], \"b\": {}, (1, 2): None}",
                                           "{i: str(i) for i in range(50)}",
                                           "set()",
                                           "{1}",
                                           "{\"a\"}",
                                           "{1, 2.5, \"x\", (1, 2)}",
                                           "frozenset()",
                                           "frozenset([1])",
                                           "{frozenset([1, 2]): 3}",
                                           "slice(1, None, 2)",
                                           "shared([1, 2])",
                                           "shared(\"text\")",
                                           "shared({\"k\": (1, 2)})",
                                           "shared(b\"bytes\")",
                                           "shared({1, 2})",
                                           "[[]] * 20",
                                           "ValueError(\"x\")",
                                           "ValueError()",
                                           "KeyError(\"k\")",
                                           "KeyError((1, 2))",
                                           "ImportError(\"x\", name=\"y\")",
                                           "TypeError(\"a\", 1)",
                                           "ZeroDivisionError(\"division by zero\")",
                                           "UnicodeDecodeError(\"utf8\", b\"a\", 0, 1, \"bad\")",
                                           "StopIteration(3)",
                                           "EOFError()",
                                           "queue.Empty()",
                                           "queue.Full()",
                                           "threading.BrokenBarrierError()",
                                           "RemoteError(\"tb\")",
                                           "multiprocessing.TimeoutError(\"late\")",
                                           "multiprocessing.AuthenticationError(\"no\")",
                                           "multiprocessing.BufferTooShort(b\"message\")",
                                           "Token(\"list\", (\"localhost\", 1), \"7f0a\")",
                                           "Token(\"dict\", \"/tmp/x\", \"ab\")",
                                           "[Token, ValueError, bytearray, set]"};

}  // namespace

TEST_CASE("Every Python's pickles are read, and written again as equal values", "[pickle]") {
    const support::Watchdog watchdog(200);
    if (support::pythons().empty()) WARN("skipped: there is no python3");
    std::string input;
    for (const std::string& expression : expressions) input += expression + "\n";
    for (const std::string& python : support::pythons()) {
        INFO(python);
        const auto pickles = support::lines_of(support::run_python(python, preamble + R"(
for e in lines():
    v = eval(e)
    print(hexed(repr(v).encode()))
    for p in range(2, 6):
        print(hexed(pickle.dumps(v, min(p, pickle.HIGHEST_PROTOCOL))))
)",
                                                                   input));
        REQUIRE(pickles.size() == 5 * expressions.size());
        std::string answers;
        for (std::size_t i = 0; i < expressions.size(); ++i) {
            INFO(expressions[i]);
            const std::string repr = support::from_hex(pickles[5 * i]);
            const auto first = mp::pickle::loads<object>(support::from_hex(pickles[5 * i + 1]));
            for (std::size_t protocol = 2; protocol <= 5; ++protocol) {
                INFO("protocol " << protocol);
                const std::string bytes = support::from_hex(pickles[5 * i + protocol - 1]);
                const auto value = mp::pickle::loads<object>(bytes);
                CHECK(value == first);
                // Python 3.6 prints a comma behind the only argument of an exception; classes have
                // modules there that are none of ours.
                if (!value.is_exception() && repr.find("<class") == std::string::npos) {
                    CHECK(text_of(value) == repr);
                }
                answers += support::to_hex(mp::pickle::dumps(value)) + "\n";
                const auto again = mp::pickle::loads<object>(mp::pickle::dumps(value));
                CHECK(again == value);
                CHECK(again.type_name() == value.type_name());
            }
        }
        const std::string result = support::run_python(python, preamble + R"(
half = lines()
count = len(half) // 5
for i in range(count):
    v = eval(half[i])
    for a in half[count + 4 * i : count + 4 * i + 4]:
        got = pickle.loads(binascii.unhexlify(a))
        if not same(got, v): print(half[i], "became", repr(got))
)",
                                                       input + answers);
        CHECK(result == "");
    }
}

namespace {

enum class Color : std::uint8_t { red = 1, green = 2 };

struct Job {
    int number;
    std::string name;
    std::vector<double> sizes;
    std::optional<int> rank;
    Color color;
    bool operator==(const Job&) const = default;
};

/// A C++ value, and the Python expression that it is.
struct Row {
    std::string expression;
    std::string pickled;
    std::function<bool(const std::string&)> arrives;  // as the same C++ value
};

template <class T>
Row row(const T& value, const std::string& expression) {
    return {expression, mp::pickle::dumps(value),
            [value](const std::string& bytes) { return mp::pickle::loads<T>(bytes) == value; }};
}

using Bytes = std::vector<std::byte>;

const std::vector<Row> rows{
    row(1, "1"),
    row(std::int8_t{-128}, "-128"),
    row(std::uint8_t{255}, "255"),
    row(std::numeric_limits<std::int64_t>::min(), "-2**63"),
    row(std::numeric_limits<std::int64_t>::max(), "2**63-1"),
    row(std::numeric_limits<std::uint64_t>::max(), "2**64-1"),
    row(std::numeric_limits<std::int32_t>::min(), "-2**31"),
    row('A', "65"),
    row(Color::green, "2"),
    row(true, "True"),
    row(1.5, "1.5"),
    row(1.5F, "1.5"),
    row(nullptr, "None"),
    row(std::monostate(), "None"),
    row(std::string("caf\xc3\xa9"), "\"caf\\u00e9\""),
    row(std::string(70000, 'x'), "\"x\" * 70000"),
    row(Bytes{std::byte{0}, std::byte{255}}, "b\"\\x00\\xff\""),
    row(Bytes(300), "bytes(300)"),
    row(std::complex<double>(1, -2), "1-2j"),
    row(std::vector<int>{}, "[]"),
    row(std::vector<int>{1}, "[1]"),
    row(std::vector<std::string>{"a", "b"}, "[\"a\", \"b\"]"),
    row(std::vector<bool>{true, false}, "[True, False]"),
    row(std::deque<int>{1, 2}, "[1, 2]"),
    row(std::list<double>{1, 2}, "[1.0, 2.0]"),
    row(std::set<int>{1, 2}, "{1, 2}"),
    row(std::set<int>{}, "set()"),
    row(std::unordered_set<std::string>{"a"}, "{\"a\"}"),
    row(std::pair<int, std::string>{1, "a"}, "(1, \"a\")"),
    row(std::tuple<>(), "()"),
    row(std::tuple<int, double, bool, std::string>{1, 2, true, "x"}, "(1, 2.0, True, \"x\")"),
    row(std::array<int, 2>{1, 2}, "(1, 2)"),
    row(std::map<std::string, std::vector<int>>{{"a", {1, 2}}, {"b", {}}},
        "{\"a\": [1, 2], \"b\": []}"),
    row(std::unordered_map<int, int>{{1, 2}}, "{1: 2}"),
    row(std::map<int, int>{}, "{}"),
    row(std::optional<int>(), "None"),
    row(std::optional<int>(3), "3"),
    row(std::variant<int, std::string>("x"), "\"x\""),
    row(std::variant<int, std::string>(2), "2"),
    row(std::variant<std::monostate, double>(), "None"),
    row(Job{7, "x", {1.5}, 4, Color::red}, "(7, \"x\", [1.5], 4, 1)"),
    row(std::vector<Job>{{7, "x", {}, {}, Color::green}}, "[(7, \"x\", [], None, 2)]"),
    row(object::frozenset({1, 2}), "frozenset([1, 2])"),
    row(object::bytearray(std::as_bytes(std::span("ab", 2))), "bytearray(b\"ab\")"),
    row(object::dict({{1, "x"}, {object::tuple({1, 2}), nullptr}}), "{1: \"x\", (1, 2): None}"),
};

}  // namespace

TEST_CASE("Every row of the table of types goes to Python and back", "[pickle]") {
    const support::Watchdog watchdog(200);
    if (support::pythons().empty()) WARN("skipped: there is no python3");
    std::string input;
    for (const Row& row : rows) {
        CHECK(row.arrives(row.pickled));  // between two C++ programs
        input += row.expression + "\n" + support::to_hex(row.pickled) + "\n";
    }
    for (const std::string& python : support::pythons()) {
        INFO(python);
        const auto answers = support::lines_of(support::run_python(python, preamble + R"(
half = lines()
for e, p in zip(half[::2], half[1::2]):
    got = pickle.loads(binascii.unhexlify(p))
    print("same" if same(got, eval(e)) else repr(got)[:200])
    for protocol in range(2, 6):
        print(hexed(pickle.dumps(eval(e), min(protocol, pickle.HIGHEST_PROTOCOL))))
)",
                                                                   input));
        REQUIRE(answers.size() == 5 * rows.size());
        for (std::size_t i = 0; i < rows.size(); ++i) {
            INFO(rows[i].expression);
            CHECK(answers[5 * i] == "same");
            for (std::size_t protocol = 2; protocol <= 5; ++protocol) {
                INFO("protocol " << protocol);
                CHECK(rows[i].arrives(support::from_hex(answers[5 * i + protocol - 1])));
            }
        }
    }
}

TEST_CASE("Python's array.array arrives as a vector of numbers, in each protocol", "[pickle]") {
    const support::Watchdog watchdog(100);
    if (support::pythons().empty()) WARN("skipped: there is no python3");
    for (const std::string& python : support::pythons()) {
        INFO(python);
        const auto pickles = support::lines_of(support::run_python(python, preamble + R"(
for code in "bBhHiIlLqQfd":
    for p in range(2, 6):
        print(hexed(pickle.dumps(array.array(code, [1, 2, 100]), min(p, pickle.HIGHEST_PROTOCOL))))
)"));
        REQUIRE(pickles.size() == 48);
        for (std::size_t i = 0; i < pickles.size(); ++i) {
            INFO("bBhHiIlLqQfd"[i / 4] << " in protocol " << i % 4 + 2);
            const std::string bytes = support::from_hex(pickles[i]);
            CHECK(mp::pickle::loads<std::vector<double>>(bytes) == std::vector<double>{1, 2, 100});
            CHECK(mp::pickle::loads<object>(bytes).type_name() == "array.array");
            if (i / 4 >= 10) continue;  // of floats
            CHECK(mp::pickle::loads<std::vector<int>>(bytes) == std::vector{1, 2, 100});
            CHECK(mp::pickle::loads<std::deque<std::int8_t>>(bytes) ==
                  std::deque<std::int8_t>{1, 2, 100});
        }
    }
}

TEST_CASE("Exceptions of C++ are caught by Python under the same name", "[pickle]") {
    const support::Watchdog watchdog(100);
    if (support::pythons().empty()) WARN("skipped: there is no python3");
    const std::vector<std::pair<std::string, std::string>> exceptions{
        {mp::pickle::dumps(mp::ValueError("x")), "ValueError(\"x\")"},
        {mp::pickle::dumps(mp::KeyError("k")), "KeyError(\"k\")"},
        {mp::pickle::dumps(mp::IndexError("i")), "IndexError(\"i\")"},
        {mp::pickle::dumps(mp::TypeError("t")), "TypeError(\"t\")"},
        {mp::pickle::dumps(mp::RuntimeError("r")), "RuntimeError(\"r\")"},
        {mp::pickle::dumps(mp::AssertionError("a")), "AssertionError(\"a\")"},
        {mp::pickle::dumps(mp::EOFError("e")), "EOFError(\"e\")"},
        {mp::pickle::dumps(mp::Empty()), "queue.Empty()"},
        {mp::pickle::dumps(mp::Full()), "queue.Full()"},
        {mp::pickle::dumps(mp::BrokenBarrierError()), "threading.BrokenBarrierError()"},
        {mp::pickle::dumps(mp::TimeoutError("t")), "multiprocessing.TimeoutError(\"t\")"},
        {mp::pickle::dumps(mp::AuthenticationError("t")),
         "multiprocessing.AuthenticationError(\"t\")"},
        {mp::pickle::dumps(mp::BufferTooShort("m")), "multiprocessing.BufferTooShort(b\"m\")"},
        {mp::pickle::dumps(std::out_of_range("o")), "IndexError(\"o\")"},
        {mp::pickle::dumps(std::invalid_argument("o")), "ValueError(\"o\")"},
        {mp::pickle::dumps(std::overflow_error("o")), "OverflowError(\"o\")"},
        {mp::pickle::dumps(std::runtime_error("o")), "RuntimeError(\"o\")"},
        {mp::pickle::dumps(std::system_error(ENOENT, std::generic_category())),
         "FileNotFoundError(2, \"No such file or directory\")"},
        {mp::pickle::dumps(std::make_exception_ptr(mp::ValueError("x"))), "ValueError(\"x\")"},
        {mp::pickle::dumps(std::make_exception_ptr(7)), "RuntimeError(\"int: 7\")"}};
    std::string input;
    for (const auto& [pickled, expression] : exceptions) {
        input += expression + "\n" + support::to_hex(pickled) + "\n";
    }
    for (const std::string& python : support::pythons()) {
        INFO(python);
        CHECK(support::run_python(python, preamble + R"(
half = lines()
for e, p in zip(half[::2], half[1::2]):
    got = pickle.loads(binascii.unhexlify(p))
    if not same(got, eval(e)): print(e, "became", repr(got))
)",
                                  input) == "");
    }
}
