// remote/pickle against messages that want to harm: each ends with an error, soon, and within
// little memory. SPDX-License-Identifier: MIT
#include <multiprocessing/remote.hpp>

#include <cstdint>
#include <list>
#include <string>
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

namespace {

const std::string begin = "\x80\x04";

/// A pickle of protocol 4, of these instructions.
object run(const std::string& program) { return loads<object>(begin + program + "."); }

std::string text(const std::string& value) {
    return '\x8c' + std::string(1, static_cast<char>(value.size())) + value;
}
std::string global(const std::string& module, const std::string& name) {
    return text(module) + text(name) + '\x93';
}
std::string number(std::uint32_t value) {
    std::string bytes;
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(value >> (8 * i));
    return bytes;
}

struct Nested {
    std::vector<Nested> children;
};
/// Each level has two ways to be read.
struct Twice {
    std::variant<std::vector<Twice>, std::list<Twice>> children;
};

}  // namespace

TEST_CASE("A pickle that names anything else than the types that travel is a TypeError",
          "[pickle]") {
    CHECK_THROWS_WITH(run(global("os", "system")), ContainsSubstring("os.system"));
    CHECK_THROWS_WITH(run("cposix\nsystem\n"), ContainsSubstring("posix.system"));
    CHECK_THROWS_WITH(run(global("builtins", "eval") + text("1") + "\x85R"),
                      ContainsSubstring("builtins.eval"));
    CHECK_THROWS_AS(run(global("builtins", "getattr")), mp::TypeError);
    CHECK_THROWS_AS(run(global("builtins", "ValueError.__init__")), mp::TypeError);
    CHECK_THROWS_AS(run(global("subprocess", "Popen")), mp::TypeError);
    CHECK_THROWS_AS(run(global("multiprocessing.managers", "BaseManager")), mp::TypeError);
    CHECK_THROWS_AS(run(global("multiprocessing.connection", "rebuild_connection")), mp::TypeError);
    CHECK_THROWS_AS(run(global("_codecs", "lookup")), mp::TypeError);
    // A name that travels, called in a way that does not.
    CHECK_THROWS_AS(run(global("builtins", "bytearray") + "J" + number(1U << 30) + "\x85R"),
                    mp::TypeError);
    CHECK_THROWS_AS(run(global("builtins", "set") + "K\x01\x85R"), mp::TypeError);
    CHECK_THROWS_AS(run(global("builtins", "list") + "]]\x86R"), mp::TypeError);
    CHECK_THROWS_AS(run(global("_codecs", "encode") + text("x") + text("zlib") + "\x86R"),
                    mp::TypeError);
    CHECK_THROWS_AS(run(global("builtins", "list") + ")\x81"), mp::TypeError);
}

TEST_CASE("A pickle of a million levels is a ValueError, and a thousand levels are none",
          "[pickle]") {
    const support::Watchdog watchdog(60);
    const std::size_t deep = 1'000'000;
    CHECK_THROWS_AS(run(std::string(deep, ']') + std::string(deep - 1, 'a')), mp::ValueError);
    std::string tuples = ")";
    for (std::size_t i = 0; i < deep; ++i) tuples += '\x85';
    CHECK_THROWS_WITH(run(tuples), ContainsSubstring("1000 levels"));
    std::string dicts;
    for (std::size_t i = 0; i < deep; ++i) dicts += "}K\x01";
    CHECK_THROWS_AS(run(dicts + "N" + std::string(deep, 's')), mp::ValueError);
    // Where a memo is used, levels are counted in another way.
    std::string remembered = "]\x94";
    for (std::size_t i = 0; i < deep / 10; ++i)
        remembered += "\x85\x94"
                      "0h\x01"
                      "0h\x01";
    CHECK_THROWS_AS(run("(" + remembered), mp::ValueError);
    std::string growing = ")\x94";
    for (std::size_t i = 0; i < deep / 10; ++i)
        growing += "h" + std::string(1, '\0') + "0\x85q" + std::string(1, '\0');
    CHECK_THROWS_WITH(run(growing), ContainsSubstring("1000 levels"));
    // A state is a level too.
    std::string states;
    for (int i = 0; i < 5000; ++i) states += global("multiprocessing.managers", "Token") + ")\x81";
    CHECK_THROWS_AS(run(states + "N" + std::string(5000, 'b')), mp::ValueError);

    const object allowed = run(std::string(1000, ']') + std::string(999, 'a'));
    CHECK(loads<object>(dumps(allowed)) == allowed);
    CHECK(text_of(allowed).size() == 2000);
    Nested nested = allowed.get<Nested>();
    CHECK(dumps(nested).size() > 1000);
}

TEST_CASE("A value that is nested too deeply is not written", "[pickle]") {
    Nested nested;
    for (int i = 0; i < 600; ++i) {  // a struct and a vector each
        Nested outer;
        outer.children.push_back(std::move(nested));
        nested = std::move(outer);
    }
    CHECK_THROWS_AS(dumps(nested), mp::ValueError);
}

TEST_CASE("A pickle that contains itself is a ValueError", "[pickle]") {
    CHECK_THROWS_WITH(run("]\x94h" + std::string(1, '\0') + "a"), ContainsSubstring("itself"));
    CHECK_THROWS_AS(run("}\x94K\x01h" + std::string(1, '\0') + "s"), mp::ValueError);
    CHECK_THROWS_AS(run("]\x94(h" + std::string(1, '\0') + "t" + "\x85"), mp::ValueError);
    CHECK_THROWS_AS(run(global("multiprocessing.managers", "Token") + ")\x81\x94h" +
                        std::string(1, '\0') + "b"),
                    mp::ValueError);
}

TEST_CASE("A memo bomb is a ValueError", "[pickle]") {
    const support::Watchdog watchdog(60);
    // [[[…], […]], …]: ten times as many at each level.
    std::string bomb = "]\x94";
    for (int level = 0; level < 30; ++level) {
        bomb += "](";
        for (int i = 0; i < 10; ++i) bomb += "h" + std::string(1, static_cast<char>(level));
        bomb += "e\x94";
    }
    const std::size_t before = support::resident_bytes();
    CHECK_THROWS_WITH(run("(" + bomb + "t"), ContainsSubstring("again and again"));
    // A long text, many times.
    std::string texts = "X" + number(100'000) + std::string(100'000, 'x') + "\x94(";
    for (int i = 0; i < 100'000; ++i) texts += "h" + std::string(1, '\0');
    CHECK_THROWS_AS(run(texts + "l"), mp::ValueError);  // no such instruction
    CHECK_THROWS_AS(run("(" + texts + "tt"), mp::ValueError);
    // set(the same list), many times; and each then gets one item more, so that it must be copied.
    std::string list = "](";
    for (int i = 0; i < 100'000; ++i) list += "K\x01";
    std::string sets = list + "e\x94" + global("builtins", "set") + "\x94(";
    for (int i = 0; i < 100'000; ++i) {
        sets += "h\x01h" + std::string(1, '\0') + "\x85R(K\x02\x90";
    }
    CHECK_THROWS_AS(run("(" + sets + "tt"), mp::ValueError);
    // Bytes of protocol 2 from the same text, many times.
    std::string encoded = "X" + number(100'000) + std::string(100'000, 'x') + "\x94" +
                          global("_codecs", "encode") + "\x94" + text("latin1") + "\x94(";
    for (int i = 0; i < 100'000; ++i) {
        encoded += "h\x01h" + std::string(1, '\0') + "h\x02\x86R";
    }
    CHECK_THROWS_AS(run("(" + encoded + "tt"), mp::ValueError);
    CHECK(support::resident_bytes() < before + (std::size_t{1} << 30));
}

TEST_CASE("What a message of moderate size refers to again and again is read", "[pickle]") {
    std::string texts = "](X" + number(50) + std::string(50, 'x') + "\x94";
    for (int i = 0; i < 20'000; ++i) texts += "h" + std::string(1, '\0');
    CHECK(run(texts + "e").size() == 20'001);
}

TEST_CASE("Two lists that grow in turn cost no more than two lists", "[pickle]") {
    const support::Watchdog watchdog(60);
    std::string lists = "]\x94]\x94"
                        "00";
    for (int i = 0; i < 50'000; ++i) {
        lists += "h" + std::string(1, '\0') + "Na0h\x01Na0";
    }
    CHECK(run(lists + "h" + std::string(1, '\0')).size() == 50'000);
}

TEST_CASE("Lengths beyond the message are a ValueError, and take no memory", "[pickle]") {
    const std::string huge(8, '\x7f');
    for (const std::string opcode : {"\x8d", "\x8e", "\x96", "\x95"}) {
        CHECK_THROWS_WITH(run(opcode + huge), ContainsSubstring("cut short"));
        CHECK_THROWS_AS(run(opcode + std::string(8, '\xff')), mp::ValueError);
    }
    for (const std::string opcode : {"X", "B", "\x8b"}) {
        CHECK_THROWS_AS(run(opcode + "\xff\xff\xff\xff"), mp::ValueError);
        CHECK_THROWS_AS(run(opcode + "\xff\xff\xff\x7f"), mp::ValueError);
    }
    CHECK_THROWS_WITH(run("Nr\xff\xff\xff\xff"), ContainsSubstring("too large a number"));
    CHECK_THROWS_AS(run("j\xff\xff\xff\xff"), mp::ValueError);
}

TEST_CASE("Pickles that make no sense are a ValueError", "[pickle]") {
    const std::vector<std::string> programs{
        "",          "NN",       "(",     "(N",   "t",      "a",      "Na",    "NNa",  "]a",
        "e",         "(e",       "N(Ne",  "](u",  "}(Nu",   "}Ns",    "}NNNs", "\x85", "N\x86",
        "N(\x85",    "](N(ee",   "h\x01", "\x94", "0",      "1",      "R",     "NR",   "N)R",
        "\x81",      "Nb",       "N)b",   "\x93", "NN\x93", "K",      "G",     "I1\n", "S'x'\n",
        "\x80\x04N", "\x82\x01", "i",     "Q",    "]N\x90", "\x8fNa", "(N\x90"};
    for (const std::string& program : programs) {
        INFO(support::to_hex(program));
        CHECK_THROWS_AS(run(program), mp::ValueError);
    }
    CHECK_THROWS_AS(run(global("builtins", "ValueError") + "NR"), mp::ValueError);
    for (const std::string protocol : {"\x80\x01", "\x80\x06", "\x80\xff", "N.", "I1\n.", ""}) {
        CHECK_THROWS_AS(loads<object>(protocol + "N."), mp::ValueError);
    }
}

TEST_CASE("A pickle that is cut short at any byte is an error", "[pickle]") {
    const std::string whole = dumps(object::list(
        {1, 70000, ~std::uint64_t{0}, 2.5, "text", std::vector<std::byte>(3), object::set({1, 2}),
         object::frozenset({1, 2}), object::dict({{"a", 1}, {"b", object::tuple({1, 2, 3, 4})}}),
         mp::ValueError("x"), std::vector<std::byte>(300)}));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const std::vector<char> cut(whole.begin(), whole.begin() + std::ptrdiff_t(size));
        INFO(size);
        CHECK_THROWS_AS(loads<object>(std::string_view(cut.data(), cut.size())), mp::ValueError);
    }
}

TEST_CASE("Arrays that lie about themselves are errors", "[pickle]") {
    const auto array = [](const std::string& typecode, int format, std::size_t size) {
        return global("array", "_array_reconstructor") + "(" + global("array", "array") +
               text(typecode) + "K" + std::string(1, static_cast<char>(format)) + "C" +
               std::string(1, static_cast<char>(size)) + std::string(size, '\0') + "tR";
    };
    using Doubles = std::vector<double>;
    CHECK(run(array("d", 16, 16)).get<Doubles>().size() == 2);
    CHECK_THROWS_AS(run(array("d", 16, 15)).get<Doubles>(), mp::ValueError);
    CHECK_THROWS_AS(run(array("u", 20, 16)).get<Doubles>(), mp::TypeError);
    CHECK_THROWS_AS(run(array("u", 200, 16)).get<Doubles>(), mp::TypeError);
    CHECK_THROWS_AS(run(global("array", "_array_reconstructor") + ")R").get<Doubles>(),
                    mp::ValueError);

    const auto buffer = [](const std::string& type, const std::string& shape, std::size_t size) {
        return global("numpy.core.numeric", "_frombuffer") + "(C" +
               std::string(1, static_cast<char>(size)) + std::string(size, '\0') +
               global("numpy", "dtype") + text(type) + "\x89\x88\x87R(K\x03" + text("<") + "tb" +
               shape + text("C") + "tR";
    };
    CHECK(run(buffer("f8", "K\x02\x85", 16)).get<Doubles>().size() == 2);
    CHECK(run(buffer("f8", "K" + std::string(1, '\0') + "\x85", 0)).get<Doubles>().empty());
    CHECK_THROWS_AS(run(buffer("f8", "K\x03\x85", 16)).get<Doubles>(), mp::ValueError);
    CHECK_THROWS_AS(run(buffer("O8", "K\x02\x85", 16)).get<Doubles>(), mp::TypeError);
    CHECK_THROWS_AS(run(buffer("f3", "K\x02\x85", 16)).get<Doubles>(), mp::TypeError);
    CHECK_THROWS_AS(run(buffer("f8", "J\xff\xff\xff\xff\x85", 16)).get<Doubles>(), mp::ValueError);
    CHECK_THROWS_AS(run(buffer("f8", "N\x85", 16)).get<Doubles>(), mp::ValueError);
    // 2^31 rows of no items: no bytes, but many vectors.
    CHECK_THROWS_AS(run(buffer("f8", "J\xff\xff\xff\x7fK" + std::string(1, '\0') + "\x86", 0))
                        .get<std::vector<Doubles>>(),
                    mp::ValueError);
    std::string dimensions = "(";
    for (int i = 0; i < 200; ++i) dimensions += "K\x01";
    CHECK_THROWS_AS(run(buffer("f8", dimensions + "t", 8)).get<Doubles>(), mp::ValueError);
}

TEST_CASE("Variants within variants do not try for ever", "[pickle]") {
    const support::Watchdog watchdog(60);
    // An exception leaves all of them, again and again, which a sanitizer makes slow.
    constexpr int levels = support::sanitized ? 60 : 300;
    std::string program;  // levels, of which the innermost is not what is asked for
    for (int i = 0; i < levels; ++i) program += "](";
    program += "N";
    for (int i = 0; i < levels; ++i)
        program += "\x85"
                   "e";
    CHECK_THROWS_AS(loads<Twice>(begin + "(" + program + "t."), std::invalid_argument);
}
