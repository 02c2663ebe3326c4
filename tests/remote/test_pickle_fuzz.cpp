// remote/pickle against messages that are changed at random. MULTIPROCESSING_FUZZ_SECONDS makes it
// go on for longer than the second that each case takes.
// SPDX-License-Identifier: MIT
#include <multiprocessing/remote.hpp>

#include <complex>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "tests/catch.hpp"
#include "tests/remote/fuzz.hpp"
#include "tests/remote/python.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using mp::pickle::dumps;
using mp::pickle::loads;
using mp::pickle::object;

namespace {

struct Request {
    std::string id;
    std::string method;
    std::vector<object> args;
    std::map<std::string, object> kwds;
};
using Any = std::variant<int, double, std::string, std::vector<int>, std::vector<double>,
                         std::map<std::string, int>, std::vector<std::vector<float>>, Request,
                         std::exception_ptr>;

/// Messages to begin with: of here, and of Python in each protocol, with a memo and frames.
std::vector<std::string> seeds() {
    std::vector<std::string> seeds{
        dumps(Request{"7f0a", "append", {5, "x"}, {{"k", object::list({1, 2})}}}),
        dumps(object::tuple({nullptr, "create", object::tuple({"list"}), object::dict({})})),
        dumps(object::tuple({"#ERROR", mp::KeyError("x")})), dumps(std::vector<double>(20, 1.5)),
        dumps(object::list({object::set({1, 2}), object::frozenset({3}), 1.5, ~std::uint64_t{0},
                            object::bytearray({}), std::complex<double>(1, 2)}))};
    const std::string program = R"(
import array, binascii, pickle, queue
from multiprocessing.managers import Token
x = ["shared", b"\xff\x01"]
for p in range(2, 6):
    for v in [(None, "create", ("list",), {}), [x, x, {"k": x}], {1, 2}, bytearray(b"\xff"),
              array.array("d", [1, 2]), ("#ERROR", queue.Empty()), 2**200, 1+2j,
              Token("list", ("localhost", 1), "7f0a"), [1.5, -1, 300, 70000, True, None] * 3]:
        print(binascii.hexlify(pickle.dumps(v, min(p, pickle.HIGHEST_PROTOCOL))).decode())
)";
    for (const std::string& python : support::pythons()) {
        for (const std::string& line : support::lines_of(support::run_python(python, program))) {
            seeds.push_back(support::from_hex(line));
        }
    }
    return seeds;
}

/// Reads a message in every way. Errors are right, and nothing else may happen.
bool is_read(const std::string& bytes) {
    // At its end, a block of its own, which the address sanitizer guards.
    const std::vector<char> guarded(bytes.begin(), bytes.end());
    const std::string_view message(guarded.data(), guarded.size());
    try {
        (void)loads<Any>(message);
    } catch (const std::invalid_argument&) {
    }
    try {
        const auto value = loads<object>(message);
        (void)text_of(value);
        // What is written is read as the same.
        const std::string again = dumps(value);
        if (loads<object>(again) != value)
            throw std::logic_error("another value: " + text_of(value));
        return true;
    } catch (const std::invalid_argument&) {  // ValueError and TypeError
        return false;
    }
}

}  // namespace

TEST_CASE("Pickles that are changed at random are read or refused", "[pickle]") {
    const support::Watchdog watchdog(60 + static_cast<unsigned>(support::fuzz_seconds()));
    const std::vector<std::string> originals = seeds();
    for (const std::string& seed : originals) CHECK(is_read(seed));
    support::Random random(7);
    std::vector<std::string> corpus = originals;
    std::size_t count = 0;
    std::size_t read = 0;
    const support::FuzzTime time;
    while (!time.is_over()) {
        const std::string bytes =
            support::changed(corpus[random() % corpus.size()], originals, random);
        ++count;
        if (!is_read(bytes)) continue;
        ++read;
        // What is still a pickle is changed further.
        if (bytes.size() < 2000 && corpus.size() < 2000) corpus.push_back(bytes);
    }
    CHECK(count > read);
    CHECK(read > 0);
}

TEST_CASE("Bytes at random are read or refused", "[pickle]") {
    const support::Watchdog watchdog(60 + static_cast<unsigned>(support::fuzz_seconds()));
    const std::string opcodes = "\x80\x95(01N\x88\x89JKM\x8a\x8bGX\x8c\x8d"
                                "CB\x8e\x96)\x85\x86\x87"
                                "t]ae}su\x8f\x90\x91\x94qrhjc\x93R\x81"
                                "b";
    support::Random random(8);
    std::size_t read = 0;
    const support::FuzzTime time;
    while (!time.is_over()) {
        std::string bytes = "\x80\x04";
        for (unsigned size = random() % 40; size > 0; --size) {
            bytes += random() % 4 == 0 ? static_cast<char>(random() % 8)
                                       : opcodes[random() % opcodes.size()];
        }
        read += is_read(bytes + ".");
    }
    CHECK(read > 0);
}
