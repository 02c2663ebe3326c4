// remote/pickle: how C++ values become pickles and come back, without a Python at hand.
// SPDX-License-Identifier: MIT
#include <multiprocessing/remote.hpp>

#include <array>
#include <complex>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <tuple>
#include <unordered_set>
#include <variant>
#include <vector>

#include "tests/catch.hpp"
#include "tests/remote/python.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using Catch::Matchers::ContainsSubstring;
using mp::pickle::dumps;
using mp::pickle::loads;
using mp::pickle::object;
using support::from_hex;
using support::to_hex;

namespace {

struct Plain {
    int number;
    std::string text;
    double array[2];
};
struct Fixed {
    const int number;
    std::vector<int> items;
};
struct Tree {
    int value = 0;
    std::vector<Tree> children;
};
struct Empty {};

template <class T>
T round_trip(const T& value) {
    return loads<T>(dumps(value));
}

}  // namespace

TEST_CASE("dumps writes protocol 4 without memo and frames", "[pickle]") {
    CHECK(to_hex(dumps(nullptr)) == "80044e2e");
    CHECK(to_hex(dumps(std::tuple("#RETURN", std::nullopt))) == "80048c072352455455524e4e862e");
    CHECK(to_hex(dumps(std::vector{1, 70000})) == "80045d284b014a70110100652e");
    CHECK(to_hex(dumps(1.5)) == "8004473ff80000000000002e");
    CHECK(to_hex(dumps(std::map<int, bool>{{1, true}})) == "80047d284b0188752e");
    CHECK(to_hex(dumps("x")) == "80048c01782e");
}

TEST_CASE("Structs are tuples of their fields", "[pickle]") {
    const Plain plain = round_trip(Plain{1, "x", {2, 3}});
    CHECK(plain.number == 1);
    CHECK(plain.text == "x");
    CHECK(plain.array[1] == 3);
    CHECK(text_of(object(Plain{1, "x", {2, 3}})) == "(1, 'x', (2.0, 3.0))");
    CHECK(round_trip(Fixed{1, {2}}).items == std::vector{2});
    CHECK(text_of(object(Empty{})) == "()");
    (void)round_trip(Empty{});
    const Tree tree = round_trip(Tree{1, {Tree{2, {Tree{3, {}}}}}});
    CHECK(tree.children[0].children[0].value == 3);
    CHECK_THROWS_AS(loads<Plain>(dumps(std::tuple(1, "x"))), mp::TypeError);
}

TEST_CASE("loads takes what Python takes for the same", "[pickle]") {
    CHECK(loads<double>(dumps(3)) == 3.0);
    CHECK(loads<double>(from_hex("80048a090000000000000000012e")) == 18446744073709551616.0);
    CHECK(loads<double>(from_hex("80048a0900000000000000"
                                 "00ff2e")) == -18446744073709551616.0);
    CHECK(loads<int>(dumps(true)) == 1);
    CHECK(loads<std::tuple<int, int>>(dumps(std::vector{1, 2})) == std::tuple(1, 2));
    CHECK(loads<std::vector<int>>(dumps(std::tuple(1, 2))) == std::vector{1, 2});
    CHECK(loads<std::vector<int>>(dumps(std::set{1, 2})) == std::vector{1, 2});
    CHECK(loads<std::set<int>>(dumps(std::vector{2, 1, 2})) == std::set{1, 2});
    CHECK(loads<std::complex<float>>(dumps(2)) == std::complex<float>(2, 0));
    CHECK(
        loads<std::vector<std::byte>>(dumps(object::bytearray(std::vector<std::byte>(3)))).size() ==
        3);
    CHECK(loads<std::variant<int, double>>(dumps(2.5)).index() == 1);
    CHECK(loads<std::variant<std::int8_t, int>>(dumps(300)).index() == 1);
    CHECK(loads<std::map<int, int>>(from_hex("80047d284b014b024b014b03752e")).at(1) == 3);
    CHECK(loads<int>(dumps(1) + "what follows") == 1);
    const auto bytes = std::as_bytes(std::span("\x80\x04K\x07."));
    CHECK(loads<int>(bytes) == 7);
}

TEST_CASE("A value of another type is a TypeError that names both", "[pickle]") {
    CHECK_THROWS_WITH(loads<int>(dumps("x")), ContainsSubstring("type str where an int"));
    CHECK_THROWS_AS(loads<int>(dumps(1.0)), mp::TypeError);
    CHECK_THROWS_AS(loads<int>(dumps(nullptr)), mp::TypeError);
    CHECK_THROWS_AS(loads<bool>(dumps(1)), mp::TypeError);
    CHECK_THROWS_AS(loads<std::string>(dumps(std::vector<std::byte>(2))), mp::TypeError);
    CHECK_THROWS_AS(loads<std::vector<std::byte>>(dumps("ab")), mp::TypeError);
    CHECK_THROWS_AS(loads<std::vector<int>>(dumps(std::map<int, int>{{1, 2}})), mp::TypeError);
    CHECK_THROWS_AS((loads<std::map<int, int>>(dumps(std::vector{1, 2}))), mp::TypeError);
    CHECK_THROWS_AS((loads<std::pair<int, int>>(dumps(std::vector{1}))), mp::TypeError);
    CHECK_THROWS_AS((loads<std::array<int, 2>>(dumps(std::vector{1, 2, 3}))), mp::TypeError);
    CHECK_THROWS_AS((loads<std::variant<int, std::string>>(dumps(2.5))), mp::TypeError);
    CHECK_THROWS_AS(loads<std::monostate>(dumps(0)), mp::TypeError);
    CHECK_THROWS_AS(loads<std::exception_ptr>(dumps(0)), mp::TypeError);
    CHECK_THROWS_AS(loads<mp::KeyError>(dumps(mp::IndexError("x"))), mp::TypeError);
}

TEST_CASE("An int that does not fit is a ValueError", "[pickle]") {
    CHECK_THROWS_WITH(loads<std::int8_t>(dumps(128)), ContainsSubstring("fit into 8 bits"));
    CHECK_THROWS_AS(loads<unsigned>(dumps(-1)), mp::ValueError);
    CHECK_THROWS_AS(loads<std::int64_t>(dumps(~std::uint64_t{0})), mp::ValueError);
    const std::string large = from_hex("80048a0900000000000000ff002e");
    CHECK(loads<std::uint64_t>(large) == std::uint64_t{0xff} << 56);
    const std::string too_large = from_hex("80048a090000000000000000012e");
    CHECK_THROWS_AS(loads<std::uint64_t>(too_large), mp::ValueError);
    const auto kept = loads<object>(too_large);
    CHECK(text_of(kept) == "18446744073709551616");
    CHECK(dumps(kept) == too_large);
    CHECK_THROWS_AS(kept.get<std::int64_t>(), mp::ValueError);
}

TEST_CASE("Texts are UTF-8, both ways", "[pickle]") {
    for (const std::string bad : {"\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                  "\xe0\x80\x80", "aaaaaaaa\x80", "\xf8\x88\x80\x80\x80"}) {
        INFO(to_hex(bad));
        CHECK_THROWS_AS(dumps(bad), mp::ValueError);
        const std::string pickled = from_hex("80048c") + static_cast<char>(bad.size()) + bad + ".";
        CHECK_THROWS_AS(loads<std::string>(pickled), mp::ValueError);
    }
    for (const std::string good : {"", "\xc2\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                                   "\xf4\x8f\xbf\xbf", "aaaaaaaa\xf0\x90\x80\x80", "a\0b"}) {
        CHECK(round_trip(good) == good);
    }
}

TEST_CASE("Exceptions come back as themselves, unknown ones as RemoteError", "[pickle]") {
    CHECK_THROWS_WITH(throw loads<mp::ValueError>(dumps(mp::ValueError("x"))), "x");
    const auto arrives = [](const auto& error) {
        using E = std::decay_t<decltype(error)>;
        try {
            std::rethrow_exception(loads<std::exception_ptr>(dumps(error)));
        } catch (const E& same) {
            CHECK(typeid(same) == typeid(E));
            CHECK(std::string(same.what()) == error.what());
        }
    };
    arrives(mp::ValueError("x"));
    arrives(mp::KeyError("x"));
    arrives(mp::Empty());
    arrives(mp::Empty("nothing"));
    arrives(mp::Full());
    arrives(mp::ShutDown());
    arrives(mp::BrokenBarrierError());
    arrives(mp::CancelledError());
    arrives(mp::TimeoutError("x"));
    arrives(mp::ProcessError("x"));
    arrives(mp::BufferTooShort("message"));
    arrives(mp::BrokenProcessPool("x"));
    arrives(std::overflow_error("x"));
    arrives(std::bad_alloc());
    arrives(std::system_error(EPIPE, std::generic_category()));
    arrives(std::system_error(EPIPE, std::generic_category(), "the pipe"));
    arrives(mp::RemoteError("ZeroDivisionError", "division by zero", "Python", 0));
    try {
        (void)loads<object>(dumps(
            object::call(object::global("builtins", "ZeroDivisionError"), {"division by zero"})));
        std::rethrow_exception(
            object::call(object::global("builtins", "ZeroDivisionError"), {"division by zero"})
                .get<std::exception_ptr>());
    } catch (const mp::RemoteError& error) {
        CHECK(error.type_name() == "ZeroDivisionError");
        CHECK(error.message() == "division by zero");
    }
    CHECK(loads<mp::KeyError>(dumps(object::call(object::global("builtins", "KeyError"), {7})))
              .what() == std::string("7"));
}

namespace {

/// What numpy 1.24 writes in protocol 2, 4 and 5 for
///     [1.0, 2.5]
///     [[1, 2, 3], [4, 5, 6]] of int32
///     [1, 2] of int16, the highest byte first
///     [[1, 2, 3], [4, 5, 6]] of float32, by columns
///     float64(1.5), int32(-7), [True, False]
const std::vector<std::vector<std::string>> numpy{
    {
        "8002636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7100636e756d"
        "70790a6e6461727261790a71014b00857102635f636f646563730a656e636f64650a71035801000000627104"
        "58060000006c6174696e317105867106527107877108527109284b014b0285710a636e756d70790a64747970"
        "650a710b58020000006638710c898887710d52710e284b0358010000003c710f4e4e4e4affffffff4affffff"
        "ff4b00747110628968035811000000000000000000c3b03f0000000000000440711168058671125271137471"
        "14622e",
        "80049598000000000000008c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e73"
        "74727563749493948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b"
        "02859468038c0564747970659493948c02663894898887945294284b038c013c944e4e4e4affffffff4affff"
        "ffff4b00749462894310000000000000f03f0000000000000440947494622e",
        "80059583000000000000008c126e756d70792e636f72652e6e756d65726963948c0b5f66726f6d6275666665"
        "7294939428961000000000000000000000000000f03f0000000000000440948c056e756d7079948c05647479"
        "70659493948c02663894898887945294284b038c013c944e4e4e4affffffff4affffffff4b007494624b0285"
        "948c014394749452942e",
    },
    {
        "8002636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7100636e756d"
        "70790a6e6461727261790a71014b00857102635f636f646563730a656e636f64650a71035801000000627104"
        "58060000006c6174696e317105867106527107877108527109284b014b024b0386710a636e756d70790a6474"
        "7970650a710b58020000006934710c898887710d52710e284b0358010000003c710f4e4e4e4affffffff4aff"
        "ffffff4b00747110628968035818000000010000000200000003000000040000000500000006000000711168"
        "05867112527113747114622e",
        "800495a2000000000000008c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e73"
        "74727563749493948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b"
        "024b03869468038c0564747970659493948c02693494898887945294284b038c013c944e4e4e4affffffff4a"
        "ffffffff4b00749462894318010000000200000003000000040000000500000006000000947494622e",
        "8005958d000000000000008c126e756d70792e636f72652e6e756d65726963948c0b5f66726f6d6275666665"
        "7294939428961800000000000000010000000200000003000000040000000500000006000000948c056e756d"
        "7079948c0564747970659493948c02693494898887945294284b038c013c944e4e4e4affffffff4affffffff"
        "4b007494624b024b0386948c014394749452942e",
    },
    {
        "8002636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7100636e756d"
        "70790a6e6461727261790a71014b00857102635f636f646563730a656e636f64650a71035801000000627104"
        "58060000006c6174696e317105867106527107877108527109284b014b0285710a636e756d70790a64747970"
        "650a710b58020000006932710c898887710d52710e284b0358010000003e710f4e4e4e4affffffff4affffff"
        "ff4b007471106289680358040000000001000271116805867112527113747114622e",
        "8004958c000000000000008c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e73"
        "74727563749493948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b"
        "02859468038c0564747970659493948c02693294898887945294284b038c013e944e4e4e4affffffff4affff"
        "ffff4b0074946289430400010002947494622e",
        "80059577000000000000008c126e756d70792e636f72652e6e756d65726963948c0b5f66726f6d6275666665"
        "729493942896040000000000000000010002948c056e756d7079948c0564747970659493948c026932948988"
        "87945294284b038c013e944e4e4e4affffffff4affffffff4b007494624b0285948c014394749452942e",
    },
    {
        "8002636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7100636e756d"
        "70790a6e6461727261790a71014b00857102635f636f646563730a656e636f64650a71035801000000627104"
        "58060000006c6174696e317105867106527107877108527109284b014b024b0386710a636e756d70790a6474"
        "7970650a710b58020000006634710c898887710d52710e284b0358010000003c710f4e4e4e4affffffff4aff"
        "ffffff4b0074711062886803581c0000000000c2803f0000c28040000000400000c2a040000040400000c380"
        "4071116805867112527113747114622e",
        "800495a2000000000000008c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e73"
        "74727563749493948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b"
        "024b03869468038c0564747970659493948c02663494898887945294284b038c013c944e4e4e4affffffff4a"
        "ffffffff4b007494628843180000803f00008040000000400000a040000040400000c040947494622e",
        "8005958d000000000000008c126e756d70792e636f72652e6e756d65726963948c0b5f66726f6d6275666665"
        "72949394289618000000000000000000803f00008040000000400000a040000040400000c040948c056e756d"
        "7079948c0564747970659493948c02663494898887945294284b038c013c944e4e4e4affffffff4affffffff"
        "4b007494624b024b0386948c014694749452942e",
    },
    {
        "8002636e756d70792e636f72652e6d756c746961727261790a7363616c61720a7100636e756d70790a647479"
        "70650a71015802000000663871028988877103527104284b0358010000003c71054e4e4e4affffffff4affff"
        "ffff4b0074710662635f636f646563730a656e636f64650a71075809000000000000000000c3b83f71085806"
        "0000006c6174696e31710986710a52710b86710c52710d2e",
        "80049569000000000000008c156e756d70792e636f72652e6d756c74696172726179948c067363616c617294"
        "93948c056e756d7079948c0564747970659493948c02663894898887945294284b038c013c944e4e4e4affff"
        "ffff4affffffff4b007494624308000000000000f83f94869452942e",
        "80059569000000000000008c156e756d70792e636f72652e6d756c74696172726179948c067363616c617294"
        "93948c056e756d7079948c0564747970659493948c02663894898887945294284b038c013c944e4e4e4affff"
        "ffff4affffffff4b007494624308000000000000f83f94869452942e",
    },
    {
        "8002636e756d70792e636f72652e6d756c746961727261790a7363616c61720a7100636e756d70790a647479"
        "70650a71015802000000693471028988877103527104284b0358010000003c71054e4e4e4affffffff4affff"
        "ffff4b0074710662635f636f646563730a656e636f64650a71075808000000c3b9c3bfc3bfc3bf7108580600"
        "00006c6174696e31710986710a52710b86710c52710d2e",
        "80049565000000000000008c156e756d70792e636f72652e6d756c74696172726179948c067363616c617294"
        "93948c056e756d7079948c0564747970659493948c02693494898887945294284b038c013c944e4e4e4affff"
        "ffff4affffffff4b007494624304f9ffffff94869452942e",
        "80059565000000000000008c156e756d70792e636f72652e6d756c74696172726179948c067363616c617294"
        "93948c056e756d7079948c0564747970659493948c02693494898887945294284b038c013c944e4e4e4affff"
        "ffff4affffffff4b007494624304f9ffffff94869452942e",
    },
    {
        "8002636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7100636e756d"
        "70790a6e6461727261790a71014b00857102635f636f646563730a656e636f64650a71035801000000627104"
        "58060000006c6174696e317105867106527107877108527109284b014b0285710a636e756d70790a64747970"
        "650a710b58020000006231710c898887710d52710e284b0358010000007c710f4e4e4e4affffffff4affffff"
        "ff4b00747110628968035802000000010071116805867112527113747114622e",
        "8004958a000000000000008c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e73"
        "74727563749493948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b"
        "02859468038c0564747970659493948c02623194898887945294284b038c017c944e4e4e4affffffff4affff"
        "ffff4b007494628943020100947494622e",
        "80059575000000000000008c126e756d70792e636f72652e6e756d65726963948c0b5f66726f6d6275666665"
        "72949394289602000000000000000100948c056e756d7079948c0564747970659493948c0262319489888794"
        "5294284b038c017c944e4e4e4affffffff4affffffff4b007494624b0285948c014394749452942e",
    },

};

/// The same as numpy 2 writes it, where the modules have new names.
std::string of_numpy_2(std::string bytes) {
    for (std::size_t at = 0; (at = bytes.find("numpy.core", at)) != std::string::npos; at += 11) {
        bytes.insert(at + 6, "_");
        if (bytes[at - 2] == '\x8c') ++bytes[at - 1];  // the name's length
        if (bytes[2] == '\x95') ++bytes[3];            // the frame's
    }
    return bytes;
}

}  // namespace

TEST_CASE("numpy's arrays of numbers arrive as vectors", "[pickle]") {
    using Matrix = std::vector<std::vector<double>>;
    for (std::size_t protocol = 0; protocol < 3; ++protocol) {
        for (const bool is_new : {false, true}) {
            const auto bytes = [&](std::size_t row) {
                const std::string old = from_hex(numpy[row][protocol]);
                return is_new ? of_numpy_2(old) : old;
            };
            INFO(protocol << is_new);
            CHECK(loads<std::vector<double>>(bytes(0)) == std::vector{1.0, 2.5});
            CHECK(loads<std::vector<float>>(bytes(0)) == std::vector{1.0F, 2.5F});
            CHECK(loads<std::deque<double>>(bytes(0)) == std::deque{1.0, 2.5});
            CHECK(loads<object>(bytes(0)).type_name() == "numpy.ndarray");
            CHECK_THROWS_AS(loads<std::vector<int>>(bytes(0)), mp::TypeError);
            CHECK_THROWS_AS(loads<Matrix>(bytes(0)), mp::TypeError);
            CHECK_THROWS_AS(loads<std::vector<double>>(bytes(1)), mp::TypeError);
            CHECK(loads<Matrix>(bytes(1)) == Matrix{{1, 2, 3}, {4, 5, 6}});
            CHECK(loads<std::vector<std::vector<int>>>(bytes(1))[1] == std::vector{4, 5, 6});
            CHECK(loads<std::vector<int>>(bytes(2)) == std::vector{1, 2});
            CHECK(loads<Matrix>(bytes(3)) == Matrix{{1, 2, 3}, {4, 5, 6}});
            CHECK(loads<double>(bytes(4)) == 1.5);
            CHECK(loads<int>(bytes(5)) == -7);
            CHECK_THROWS_AS(loads<unsigned>(bytes(5)), mp::ValueError);
            CHECK(loads<std::vector<int>>(bytes(6)) == std::vector{1, 0});
        }
    }
}
