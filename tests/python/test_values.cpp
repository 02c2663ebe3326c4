// python/values.hpp, containers.hpp, arrays.hpp: what values of C++ are in Python, and back.
// SPDX-License-Identifier: MIT
#include "tests/python/support.hpp"

#include <multiprocessing/shared_memory.hpp>
#include <multiprocessing/shared_objects.hpp>

#include <complex>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>

using support::Watchdog;

namespace {

enum class Colour : std::uint8_t { red, green = 200 };

struct Point {
    int x = 0;
    double y = 0;
    std::array<float, 2> z{};
    int w[2]{};
};
bool operator==(const Point& a, const Point& b) {
    return std::tie(a.x, a.y, a.z, a.w[0], a.w[1]) == std::tie(b.x, b.y, b.z, b.w[0], b.w[1]);
}

template <class T>
void goes_there_and_back(const T& value, const std::string& text) {
    INFO(text);
    CHECK(in_python<T(T)>("echo")(value) == value);
    CHECK(in_python<std::string(T)>("show")(value) == text);
}

/// Whether what Python makes of the expression is no T.
template <class E, class T>
bool refuses(const std::string& expression) {
    return support::throws<E>([&] { (void)made<T>(expression); });
}

}  // namespace

TEST_CASE("Values go to Python and come back", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    goes_there_and_back(std::numeric_limits<std::int64_t>::min(), "-9223372036854775808");
    goes_there_and_back(std::numeric_limits<std::uint64_t>::max(), "18446744073709551615");
    goes_there_and_back(std::int8_t{-128}, "-128");
    goes_there_and_back(1.5, "1.5");
    goes_there_and_back(true, "True");
    goes_there_and_back(Colour::green, "200");
    goes_there_and_back(std::complex<double>(1, -2), "(1-2j)");
    goes_there_and_back(std::string("a\0\xC3\xA4", 4), "'a\\x00\xC3\xA4'");
    goes_there_and_back(std::vector{std::byte{0}, std::byte{255}}, "b'\\x00\\xff'");
    goes_there_and_back(std::monostate{}, "None");
    goes_there_and_back(std::vector<int>{}, "[]");
    goes_there_and_back(std::vector{1.0, 2.0}, "[1.0, 2.0]");
    goes_there_and_back(std::vector<bool>{true, false}, "[True, False]");
    goes_there_and_back(std::vector<std::vector<int>>{{1}, {2, 3}}, "[[1], [2, 3]]");
    goes_there_and_back(std::deque<std::string>{"a"}, "['a']");
    goes_there_and_back(std::list<char>{'a'}, "[97]");
    goes_there_and_back(std::set<int>{2, 1}, "{1, 2}");
    goes_there_and_back(std::unordered_set<std::string>{"a"}, "{'a'}");
    goes_there_and_back(std::map<std::string, std::vector<int>>{{"a", {1}}}, "{'a': [1]}");
    goes_there_and_back(std::unordered_map<int, bool>{{1, true}}, "{1: True}");
    goes_there_and_back(std::pair(1, std::string("b")), "(1, 'b')");
    goes_there_and_back(std::tuple<>(), "()");
    goes_there_and_back(std::array{1, 2, 3}, "(1, 2, 3)");
    goes_there_and_back(Point{1, 2, {3, 4}, {5, 6}}, "(1, 2.0, (3.0, 4.0), (5, 6))");
    goes_there_and_back(std::optional<int>(3), "3");
    goes_there_and_back(std::optional<int>(), "None");
    goes_there_and_back(std::variant<int, std::string>("b"), "'b'");
    goes_there_and_back(mp::pickle::loads<mp::pickle::object>(mp::pickle::dumps(std::pair(1, 2))),
                        "(1, 2)");
}

TEST_CASE("A struct is made of a named tuple and of a dataclass", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    const Point point{1, 2, {3, 4}, {5, 6}};
    CHECK(made<Point>("Named(1, 2, (3, 4), [5, 6])") == point);
    CHECK(made<Point>("Data(1, 2.0, (3, 4), (5, 6))") == point);
    CHECK(made<std::vector<Point>>("[Data(1, 2, (3, 4), (5, 6))] * 2") ==
          std::vector{point, point});
    CHECK(made<std::optional<Point>>("Data(1, 2, (3, 4), (5, 6))") == point);
    CHECK_FALSE(made<std::optional<Point>>("None"));
    CHECK(made<std::variant<int, Point>>("Data(1, 2)").index() == 1);
    CHECK(refuses<mp::TypeError, Point>("Data('a', 2)"));
    CHECK(refuses<mp::TypeError, Point>("Strange()"));
    using Pair = std::pair<int, double>;
    CHECK(refuses<mp::TypeError, Pair>("Data(1, 2)"));  // which has no fields with names
    struct Single {
        int x;
    };
    CHECK(refuses<mp::TypeError, Single>("Data(1, 2)"));
}

TEST_CASE("A variant is the first alternative that takes the object", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    using Any = std::variant<std::nullopt_t, bool, std::int8_t, double, std::string,
                             std::vector<int>, std::map<std::string, int>>;
    const char* const expressions[] = {"None", "True", "5", "1000", "'a'", "[1]", "{'a': 1}"};
    const std::size_t alternatives[] = {0, 1, 2, 3, 4, 5, 6};
    for (std::size_t i = 0; i < std::size(expressions); ++i) {
        INFO(expressions[i]);
        // A first alternative of nullopt_t has no default value.
        CHECK(in_python<Any(std::string)>("make")(expressions[i]).index() == alternatives[i]);
    }
    REQUIRE(refuses<mp::TypeError, std::variant<int, std::string>>("[1]"));
}

TEST_CASE("A result of another type is a TypeError, an int too large a ValueError", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    CHECK(refuses<mp::TypeError, int>("1.5"));
    CHECK(refuses<mp::TypeError, int>("'1'"));
    CHECK(refuses<mp::TypeError, int>("None"));
    CHECK(refuses<mp::TypeError, double>("'1'"));
    CHECK(refuses<mp::TypeError, bool>("1"));
    CHECK(refuses<mp::TypeError, std::string>("b'a'"));
    CHECK(refuses<mp::TypeError, std::vector<std::byte>>("'a'"));
    CHECK(refuses<mp::TypeError, std::vector<std::string>>("'abc'"));
    CHECK(refuses<mp::TypeError, std::vector<int>>("b'abc'"));
    CHECK(refuses<mp::TypeError, std::vector<int>>("{1: 2}"));
    CHECK(refuses<mp::TypeError, std::vector<int>>("3"));
    CHECK(refuses<mp::TypeError, std::vector<int>>("[1, 'b']"));
    CHECK(refuses<mp::TypeError, std::vector<int>>("array.array('d', [1])"));
    CHECK(refuses<mp::TypeError, std::map<int, int>>("[1]"));
    CHECK(refuses<mp::TypeError, std::pair<int, int>>("(1, 2, 3)"));
    CHECK(refuses<mp::TypeError, std::nullopt_t>("0"));
    CHECK(refuses<mp::ValueError, std::int8_t>("128"));
    CHECK(refuses<mp::ValueError, std::int8_t>("-129"));
    CHECK(refuses<mp::ValueError, std::uint8_t>("-1"));
    CHECK(refuses<mp::ValueError, std::int64_t>("2**63"));
    CHECK(refuses<mp::ValueError, std::uint64_t>("2**64"));
    CHECK(refuses<mp::ValueError, double>("10**400"));
    CHECK(refuses<mp::ValueError, std::vector<std::uint8_t>>("[256]"));
    CHECK(refuses<mp::python::Error, std::string>("'\\ud800'"));
    CHECK_THROWS_AS(in_python<void(std::string)>("echo")("\xFF"), mp::ValueError);
    CHECK(made<int>("-128") == -128);
}

TEST_CASE("A vector is made of all that can be walked over", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    const std::vector<int> expected{0, 1, 2};
    for (const std::string expression :
         {"[0, 1, 2]", "(0, 1, 2)", "range(3)", "{0: 0, 1: 0, 2: 0}.keys()",
          "(x for x in range(3))", "collections.deque(range(3))", "array.array('i', range(3))",
          "array.array('q', range(3))", "array.array('B', range(3))",
          "memoryview(array.array('i', [0, 9, 1, 9, 2]))[::2]",
          "memoryview(array.array('i', [2, 1, 0]))[::-1]", "memoryview(bytes(range(3)))"}) {
        INFO(expression);
        CHECK(made<std::vector<int>>(expression) == expected);
    }
    CHECK(made<std::vector<double>>("array.array('f', [0.5, 1])") == std::vector{0.5, 1.0});
    CHECK(made<std::vector<double>>("array.array('b', [-1])") == std::vector{-1.0});
    CHECK(made<std::vector<int>>("array.array('i')").empty());
    CHECK(made<std::set<int>>("[2, 1, 2]") == std::set{1, 2});
    CHECK(made<std::vector<std::vector<int>>>(
              "memoryview(bytes(range(4))).cast('B', (2, 2)).tolist()") ==
          std::vector<std::vector<int>>{{0, 1}, {2, 3}});
    REQUIRE_THROWS_AS(made<std::vector<int>>("fail_late()"), mp::IndexError);
}

TEST_CASE("numpy's arrays and numbers are taken", "[python][numpy]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    try {
        mp::python::import("numpy");
    } catch (const mp::python::Error& error) {
        WARN("not tested: " << error.message());
        return;
    }
    const std::string np = "__import__('numpy')";
    CHECK(made<std::vector<double>>(np + ".arange(3.0)") == std::vector{0.0, 1.0, 2.0});
    CHECK(made<std::vector<float>>(np + ".arange(3.0)") == std::vector{0.F, 1.F, 2.F});
    CHECK(made<std::vector<double>>(np + ".arange(3, dtype='>f8')") == std::vector{0., 1., 2.});
    CHECK(made<std::vector<double>>(np + ".arange(3, dtype='f2')") == std::vector{0., 1., 2.});
    CHECK(made<std::vector<int>>(np + ".arange(6)[::-2]") == std::vector{5, 3, 1});
    CHECK(made<std::vector<std::vector<int>>>(np + ".eye(2, dtype=int)") ==
          std::vector<std::vector<int>>{{1, 0}, {0, 1}});
    CHECK(refuses<mp::TypeError, std::vector<int>>(np + ".arange(3.0)"));
    CHECK(refuses<mp::ValueError, std::vector<std::int8_t>>(np + ".array([1000])"));
    CHECK(made<double>(np + ".float32(0.5)") == 0.5);
    CHECK(made<int>(np + ".int16(7)") == 7);
    CHECK(made<bool>(np + ".bool_(True)"));
    const mp::RawArray<double> array{1, 2, 3};
    mp::python::function<double(mp::RawArray<double>)> sum("numpy:sum");
    CHECK(sum(array) == 6);
    CHECK(mp::python::function<mp::RawArray<double>(mp::RawArray<double>)>("numpy:square")(array)
              .to_vector() == std::vector{1.0, 4.0, 9.0});
    const mp::python::function<mp::Array<double>(mp::Array<double>)> cumulated("numpy:cumsum");
    CHECK(cumulated(mp::Array<double>{1, 2, 3}).to_vector() == std::vector{1.0, 3.0, 6.0});
    using Frozen = mp::Shared<mp::shared::vector<double>>;
    const Frozen frozen{1, 2, 3};
    CHECK(mp::python::function<double(Frozen)>("numpy:sum")(frozen) == 6);
    frozen.freeze();
    CHECK(mp::python::function<double(Frozen)>("numpy:sum")(frozen) == 6);
}

TEST_CASE("Arrays of numpy are taken however they lie, if they are numbers", "[python][numpy]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    try {
        mp::python::import("numpy");
    } catch (const mp::python::Error&) {
        WARN("not tested: there is no numpy");
        return;
    }
    const auto with_numpy = [](const std::string& expression) {
        return "(lambda np: " + expression + ")(__import__('numpy'))";
    };
    using Row = std::vector<double>;
    using Rows = std::vector<Row>;
    const auto row = [&](const std::string& e) { return made<Row>(with_numpy(e)); };
    const auto rows = [&](const std::string& e) { return made<Rows>(with_numpy(e)); };
    CHECK(row("np.arange(6.0)[::-2]") == Row{5, 3, 1});
    CHECK(row("np.zeros((0, 4))").empty());
    CHECK(row("np.array([1, 2.5], dtype=object)") == Row{1, 2.5});
    CHECK(row("np.arange(3, dtype='>f8')") == Row{0, 1, 2});
    CHECK(row("np.arange(3, dtype='f2')") == Row{0, 1, 2});
    CHECK(made<mp::RawArray<double>>(with_numpy("np.arange(9.0)[::4]")).to_vector() ==
          Row{0, 4, 8});
    const Rows two_rows{{0, 1, 2}, {3, 4, 5}};
    CHECK(rows("np.arange(6.0).reshape(2, 3)") == two_rows);
    CHECK(rows("np.asfortranarray(np.arange(6.0).reshape(2, 3))") == two_rows);
    CHECK(rows("np.arange(6.0).reshape(2, 3).T") == Rows{{0, 3}, {1, 4}, {2, 5}});
    CHECK(rows("np.zeros((2, 0))") == Rows{{}, {}});
    for (const char* const other :
         {"np.arange(3).astype('datetime64[s]')", "np.arange(3).astype('timedelta64[s]')",
          "np.array([1, None], dtype=object)", "np.arange(3) * 1j", "np.zeros(3, 'c8')",
          "np.array(['1'])", "np.zeros(3, dtype=[('a', 'f8')])", "np.array(1.5)"}) {
        INFO(other);
        CHECK(refuses<mp::TypeError, Row>(with_numpy(other)));
        CHECK(refuses<mp::TypeError, mp::RawArray<double>>(with_numpy(other)));
        CHECK(refuses<mp::TypeError, std::vector<long>>(with_numpy(other)));
    }
    CHECK(refuses<mp::TypeError, double>(with_numpy("np.complex64(2)")));
    CHECK(refuses<mp::TypeError, double>(with_numpy("np.datetime64('2020-01-01')")));
}

TEST_CASE("Python sees the elements of a RawArray where they are", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    mp::RawArray<double> doubles(4);
    in_python<void(mp::RawArray<double>, double)>("fill")(doubles, 2.5);
    CHECK(doubles.to_vector() == std::vector<double>(4, 2.5));
    mp::RawArray<std::uint16_t> small{1, 2};
    CHECK(in_python<std::vector<int>(mp::RawArray<std::uint16_t>)>("echo")(small) ==
          std::vector{1, 2});
    CHECK(in_python<std::string(mp::RawArray<std::uint16_t>)>("type_of")(small) == "memoryview");
    CHECK(in_python<std::vector<int>(mp::RawArray<int>)>("echo")(mp::RawArray<int>(0)).empty());
    const auto copy = in_python<mp::RawArray<double>(mp::RawArray<double>)>("echo")(doubles);
    CHECK(copy.to_vector() == doubles.to_vector());
    CHECK_FALSE(copy == doubles);
    CHECK(made<mp::RawArray<int>>("[1, 2]").to_vector() == std::vector{1, 2});
    doubles.freeze();
    CHECK_THROWS_AS((in_python<void(mp::RawArray<double>, double)>("fill")(doubles, 1)),
                    mp::TypeError);
    CHECK(doubles[0] == 2.5);
}

TEST_CASE("A view that Python keeps holds the array", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    using Numbers = mp::RawArray<std::int64_t>;
    const auto make = [](int value) { return Numbers(std::vector<std::int64_t>(100'000, value)); };
    const std::int64_t* place = nullptr;
    {
        const Numbers array = make(3);
        place = array.data();
        in_python<void(Numbers)>("keep")(array);
    }
    const Numbers other = make(7);  // takes the place of one that was freed
    REQUIRE(other.data() != place);
    REQUIRE(in_python<std::int64_t()>("kept_sum")() == 300'000);
    REQUIRE(make(7).data() == place);
}

TEST_CASE("Python sees the elements of an Array where they are", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    using Numbers = mp::Array<std::int16_t>;
    const Numbers array(3);
    {
        const std::scoped_lock guard(array.get_lock());  // as the caller may
        in_python<void(Numbers, int)>("fill")(array, -7);
    }
    CHECK(array.to_vector() == std::vector<std::int16_t>(3, -7));
    CHECK(in_python<std::string(Numbers)>("type_of")(array) == "memoryview");
    CHECK(in_python<std::vector<int>(mp::Array<char>)>("echo")(mp::Array<char>{'a', 'b'}) ==
          std::vector<int>{'a', 'b'});
    CHECK(in_python<Numbers(Numbers)>("echo")(array).to_vector() == array.to_vector());
    CHECK(made<Numbers>("array.array('h', [1, 2])").to_vector() == std::vector<std::int16_t>{1, 2});
    CHECK(made<Numbers>("range(2)").to_vector() == std::vector<std::int16_t>{0, 1});
    CHECK(refuses<mp::TypeError, Numbers>("'ab'"));
}

TEST_CASE("Python sees the bytes of a SharedMemory where they are", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    using Block = mp::shared_memory::SharedMemory;
    const auto sum = in_python<int()>("kept_sum");
    {
        Block block({.create = true, .size = 100});
        in_python<void(const Block&, int)>("fill")(block, 3);
        CHECK(block.buf()[99] == std::byte{3});
        in_python<void(const Block&)>("keep")(block);
        block.buf()[0] = std::byte{4};
        block.unlink();
    }
    CHECK(sum() == 301);  // the view has kept the memory
}

TEST_CASE("Python sees the elements of a shared vector where they are", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    using Numbers = mp::Shared<mp::shared::vector<double>>;
    const Numbers numbers{1, 2, 3};
    in_python<void(Numbers, double)>("fill")(numbers, 0.5);
    CHECK(numbers->at(2) == 0.5);
    CHECK(in_python<std::vector<double>(Numbers)>("echo")(Numbers()).empty());
    CHECK(in_python<Numbers(Numbers)>("echo")(numbers)->size() == 3);
    CHECK(made<Numbers>("[1, 2]")->back() == 2);

    // As long as Python keeps a view, the vector is locked: nobody moves its elements.
    const auto is_locked = [&] {
        bool locked = false;
        std::thread([&] {
            locked = !numbers.acquire(false);
            if (!locked) numbers.release();
        }).join();
        return locked;
    };
    CHECK_FALSE(is_locked());
    in_python<void(Numbers)>("keep")(numbers);
    CHECK(is_locked());
    CHECK(in_python<double()>("kept_sum")() == 1.5);
    CHECK_FALSE(is_locked());

    numbers.freeze();
    CHECK(in_python<std::vector<double>(Numbers)>("echo")(numbers) == std::vector(3, 0.5));
    CHECK_THROWS_AS((in_python<void(Numbers, double)>("fill")(numbers, 1)), mp::TypeError);
}

TEST_CASE("A vector that another process has locked is waited for without Python's lock",
          "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    using Numbers = mp::Shared<mp::shared::vector<int>>;
    const Numbers numbers{1, 2};
    numbers.acquire();
    std::thread waiting([&] { in_python<void(Numbers, int)>("fill")(numbers, 8); });
    for (int i = 0; i < 100; ++i) CHECK(in_python<int(int)>("square")(i) == i * i);
    numbers.release();
    waiting.join();
    CHECK(numbers->at(1) == 8);
}
