// ShareableList: items of every type, in the bytes that Python reads and writes; damage, and kills
// in the middle of an assignment. SPDX-License-Identifier: MIT
// CTEST: RUN_SERIAL ON
#include <multiprocessing/queues.hpp>
#include <multiprocessing/shared_memory.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tests/shared_memory/support.hpp"

using namespace std::string_literals;

namespace {

static_assert(std::ranges::random_access_range<ShareableList>);
static_assert(std::ranges::sized_range<const ShareableList>);
static_assert(!std::is_copy_constructible_v<ShareableList>);
static_assert(std::is_nothrow_move_constructible_v<ShareableList>);
struct Row {
    ShareableItem item;
    ShareableList list;
};
static_assert(mp::picklable<ShareableItem> && mp::picklable<ShareableList> && mp::picklable<Row>);

/// Text with an accent, as UTF-8: 7 characters, 8 bytes.
constexpr const char* encoded = "encod\xc3\xa9s";

std::vector<ShareableItem> items_of(const ShareableList& list) {
    return {list.begin(), list.end()};
}

void change(ShareableList list, int index, const ShareableItem& item) { list[index] = item; }
void answer(mp::Queue<ShareableList> lists, mp::Queue<ShareableItem> items) {
    for (const ShareableList& list : lists) items.put(list.item(-1));
}

// What is assigned in turn, one of each pair; a kill must leave one of the two, or None.
const std::pair<ShareableItem, ShareableItem> pairs[] = {
    {1, "one"},
    {true, 2.5},
    {std::string(100'000, 'a'), std::string(99'000, 'b')},
    {bytes_of(std::string(1'000, 'c')), std::string(1'000, 'd')},
    {std::nullopt, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"},
    {std::int64_t{-1}, std::int64_t{1}},
    {"12345678", "87654321"},
};
void assign_for_ever(const std::string& name, mp::Event ready) {
    const ShareableList list(ListName{name});
    for (bool first = false;; first = !first) {
        for (std::size_t i = 0; i < std::size(pairs); ++i) {
            list[static_cast<std::ptrdiff_t>(i)] = first ? pairs[i].first : pairs[i].second;
        }
        ready.set();
    }
}

}  // namespace

TEST_CASE("ShareableList does what CPython's tests ask of it", "[shm]") {
    NothingLeft nothing_left;
    ShareableList list({"howdy", bytes_of("HoWdY"), -273.154, 100, std::nullopt, true, 42});
    nothing_left.made(list.shm().name());
    REQUIRE_THROWS_AS(list[7], mp::IndexError);
    REQUIRE_THROWS_AS(list[7] = 2, mp::IndexError);
    REQUIRE_THROWS_AS(list[-8], mp::IndexError);
    REQUIRE_THROWS_AS(list.item(7), mp::IndexError);
    REQUIRE_THROWS_AS(list.get<int>(-8), mp::IndexError);
    REQUIRE_THROWS_AS(list.format(7), mp::IndexError);
    list[0] = "howdy";
    REQUIRE(list.format(0) == "8s");
    REQUIRE(list.format() == "8s8sdqxxxxxx?xxxxxxxx?q");
    REQUIRE(list.size() == 7);
    REQUIRE_THROWS_AS(list.index("100"), mp::ValueError);
    REQUIRE(list.index(100) == 3);
    REQUIRE(list[0] == "howdy");
    REQUIRE(list[-2] == true);
    REQUIRE(items_of(list) == std::vector<ShareableItem>{"howdy", bytes_of("HoWdY"), -273.154, 100,
                                                         std::nullopt, true, 42});

    list[3] = 42;
    REQUIRE(list[3] == 42);
    list[4] = "some";
    REQUIRE(list[4] == "some");
    REQUIRE(list.format() == "8s8sdq8sxxxxxxx?q");
    REQUIRE_THROWS_WITH(list[4] = "far too many",
                        Catch::Matchers::ContainsSubstring("exceeds available storage"));
    REQUIRE(list[4] == "some");
    list[0] = encoded;
    REQUIRE(list[0] == encoded);
    REQUIRE(list[1] == bytes_of("HoWdY"));
    REQUIRE_THROWS_AS(list[0] = "encod\xc3\xa9"s + "es", mp::ValueError);
    REQUIRE(list[0] == encoded);
    REQUIRE_THROWS_AS(list[1] = bytes_of("123456789"), mp::ValueError);
    REQUIRE(list[1] == bytes_of("HoWdY"));

    REQUIRE(list.count(42) == 2);
    REQUIRE(list.count(bytes_of("HoWdY")) == 1);
    REQUIRE(list.count(bytes_of("adios")) == 0);

    const std::string name = nothing_left.made(name_of("duplicate"));
    ShareableList copy({.name = name}, list);
    REQUIRE(copy.shm().name() == name);
    REQUIRE(items_of(copy) == items_of(list));
    // As CPython's, but that it gives a new list's first item 8 bytes, for 7 characters.
    REQUIRE(copy.format() == "16s8sdq8sxxxxxxx?q");
    copy[-1] = 77;
    REQUIRE(copy[-1] == 77);
    REQUIRE(list[-1] == 42);
    REQUIRE(error_of([&] { ShareableList({.name = name}, {1}); }) == EEXIST);
    copy.shm().close();
    copy.shm().unlink();
    REQUIRE(error_of([&] { ShareableList(ListName{name}); }) == ENOENT);
    REQUIRE_THROWS_AS(ShareableList(ListName{}), mp::ValueError);

    ShareableList tethered(ListName{list.shm().name()});
    tethered[-1] = 880;
    REQUIRE(list[-1] == 880);
    tethered.shm().close();
    REQUIRE_THROWS_AS(tethered[0].item(), mp::ValueError);
    REQUIRE_THROWS_AS(tethered[0] = 1, mp::ValueError);
    REQUIRE_THROWS_AS(tethered.format(), mp::ValueError);
    list.shm().unlink();

    const ShareableList empty({});
    empty.shm().unlink();
    REQUIRE(empty.empty());
    REQUIRE(empty.shm().size() == 16);
    REQUIRE(empty.format().empty());
    REQUIRE(empty.count("any") == 0);
    REQUIRE_THROWS_AS(empty.index(std::nullopt), mp::ValueError);
    REQUIRE_THROWS_AS(empty[0], mp::IndexError);
    REQUIRE(empty.begin() == empty.end());
}

TEST_CASE("ShareableList makes of each C++ value the item that Python would", "[shm]") {
    NothingLeft nothing_left;
    const char* const literal = "pointer";
    std::optional<int> nothing;
    // Where GCC 12 sees that it is empty, it warns of the value that is not read.
    if (const volatile bool never = false; never) nothing = 1;
    const std::string text = "string";
    const std::array<std::byte, 2> array{std::byte{1}, std::byte{2}};
    const ShareableList list({1,
                              2U,
                              short{3},
                              INT64_MIN,
                              INT64_MAX,
                              4.5F,
                              1e300,
                              true,
                              false,
                              "literal",
                              literal,
                              text,
                              std::string_view("view"),
                              bytes_of("bytes"),
                              array,
                              std::span<const std::byte>(array),
                              std::nullopt,
                              nothing,
                              std::optional<std::string>("some"),
                              ""});
    list.shm().unlink();
    using Bytes = std::vector<std::byte>;
    const std::size_t types[] = {0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 3, 3};
    REQUIRE(list.size() == std::size(types));
    for (std::size_t i = 0; i < list.size(); ++i) {
        CAPTURE(i);
        CHECK(list.item(static_cast<std::ptrdiff_t>(i)).index() == types[i]);
    }
    REQUIRE(std::get<std::int64_t>(list.item(0)) == 1);
    REQUIRE(std::holds_alternative<std::nullopt_t>(list.item(17)));
    REQUIRE(std::get<Bytes>(list.item(14)) == Bytes{std::byte{1}, std::byte{2}});
    REQUIRE(list.get<std::int64_t>(3) == INT64_MIN);
    REQUIRE(list.get<int>(0) == 1);
    REQUIRE(list.get<float>(5) == 4.5F);
    REQUIRE(list.get<bool>(7));
    REQUIRE(list.get<std::string>(10) == "pointer");
    REQUIRE(list.get<std::string>(-1).empty());
    (void)list.get<std::nullopt_t>(16);

    REQUIRE_THROWS_AS(list.get<double>(0), mp::TypeError);
    REQUIRE_THROWS_AS(list.get<int>(7), mp::TypeError);
    REQUIRE_THROWS_AS(list.get<bool>(0), mp::TypeError);
    REQUIRE_THROWS_AS(list.get<Bytes>(9), mp::TypeError);
    REQUIRE_THROWS_WITH(list.get<std::string>(16), "the item is None, not a string");
    REQUIRE_THROWS_AS(list.get<std::int32_t>(4), mp::ValueError);
    REQUIRE_THROWS_AS(list.get<unsigned>(3), mp::ValueError);
    REQUIRE_THROWS_AS(ShareableList({UINT64_MAX}), mp::ValueError);
    REQUIRE_THROWS_AS(list[0] = UINT64_MAX, mp::ValueError);

    const int number = list[0];
    double real = list[6];
    std::string word = list[9];
    word = list[10];
    const std::string built(list[11]);
    const ShareableItem item = list[12];
    REQUIRE((number == 1 && real == 1e300 && word == "pointer" && built == "string"));
    REQUIRE(item == "view");
    list[0] = list[1];
    REQUIRE(list[0] == list[1]);
    REQUIRE(2 == list[0]);
    list[0] = list.item(9);  // 7 bytes of text fit the place of an integer
    REQUIRE(list[0] == "literal");

    const ShareableList numbers(std::vector<double>{1, 2});
    numbers.shm().unlink();
    REQUIRE(numbers.format() == "dd");
    const ShareableList flags(std::vector<bool>(3).size() == 3 ? std::array{true, false}
                                                               : std::array{false, false});
    flags.shm().unlink();
    REQUIRE(flags.format(-1) == "xxxxxxx?");
    const ShareableList words(std::vector<std::string>{"a", "bc"});
    words.shm().unlink();
    REQUIRE(words[-1] == "bc");
    const ShareableList one({"text"});
    one.shm().unlink();
    REQUIRE(one.size() == 1);
}

TEST_CASE("ShareableList compares as Python does", "[shm]") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const ShareableList list({1, 1.0, true, "1", bytes_of("1"), 0, false, -0.0, nan, std::nullopt,
                              (std::int64_t{1} << 53) + 1, 0x1p63});
    list.shm().unlink();
    REQUIRE(list.count(1) == 3);
    REQUIRE(list.count(true) == 3);
    REQUIRE(list.count(1.0) == 3);
    REQUIRE(list.count("1") == 1);
    REQUIRE(list.count(bytes_of("1")) == 1);
    REQUIRE(list.count(0) == 3);
    REQUIRE(list.count(nan) == 0);
    REQUIRE(list.count(std::nullopt) == 1);
    REQUIRE(list.count(0x1p53) == 0);  // which the integer would be rounded to
    REQUIRE(list.count(INT64_MAX) == 0);
    REQUIRE(list.count(0.5) == 0);
    REQUIRE(list.index(false) == 5);
}

TEST_CASE("ShareableList gives text a place by its bytes, and refuses what no list holds",
          "[shm]") {
    NothingLeft nothing_left;
    for (const std::size_t size : {0U, 1U, 7U, 8U, 9U, 16U, 1000U}) {
        const std::string text(size, 'x');
        const ShareableList list({text, bytes_of(text)});
        list.shm().unlink();
        const std::size_t place = 8 * (size / 8 + 1);
        REQUIRE(list.format() == fmt::format("{0}s{0}s", place));
        REQUIRE(list[0] == text);
        REQUIRE(list[1] == bytes_of(text));
        list[0] = std::string(place, 'y');
        REQUIRE(list[0] == std::string(place, 'y'));
        REQUIRE_THROWS_AS(list[0] = std::string(place + 1, 'z'), mp::ValueError);
        REQUIRE(list[0] == std::string(place, 'y'));
        list[1] = 5;
        REQUIRE(list[1] == 5);
        list[1] = bytes_of(text);
        REQUIRE(list.format(1) == fmt::format("{}s", place));
    }
    const ShareableList zeros({"a\0b\0\0"s, bytes_of("\0\0"s)});
    zeros.shm().unlink();
    REQUIRE(zeros[0] == "a\0b\0\0"s);
    REQUIRE(zeros[1] == bytes_of("\0\0"s));
    zeros[0] = "12345678";  // the whole place
    REQUIRE(zeros[0] == "12345678");
    zeros[0] = "1234567\0"s;
    REQUIRE(zeros[0] == "1234567\0"s);
    zeros[0] = "1234567";
    REQUIRE(zeros[0] == "1234567");
    const ShareableList longest_exact({std::string(999'999, '\0'), std::string(1'000'000, '\0')});
    longest_exact.shm().unlink();
    REQUIRE(longest_exact.format() == "999999s 1000008s");
    REQUIRE(longest_exact.get<std::string>(0).size() == 999'999);
    REQUIRE(longest_exact[1] == "");

    const ShareableList largest({std::string(9'999'991, 'x')});
    largest.shm().unlink();
    REQUIRE(largest.format() == "9999992s");
    REQUIRE(largest.get<std::string>(0).size() == 9'999'991);
    const std::string name = nothing_left.made(name_of("long"));
    REQUIRE_THROWS_AS(ShareableList({.name = name}, {std::string(9'999'992, 'x')}), mp::ValueError);
    REQUIRE_FALSE(is_there(name));
}

TEST_CASE("ShareableList can be moved and duplicated", "[shm]") {
    ShareableList list({1, "two"});
    list.shm().unlink();
    ShareableList other(std::move(list));
    REQUIRE(list.size() == 0);
    REQUIRE_THROWS_AS(list[0], mp::IndexError);
    REQUIRE(list.format().empty());
    REQUIRE(other[1] == "two");
    list = other.duplicate();
    list[0] = 3;
    REQUIRE(other[0] == 3);
    REQUIRE(std::ranges::find(other, ShareableItem("two")) - other.begin() == 1);
    REQUIRE(other.begin()[1] == "two");
}

TEMPLATE_TEST_CASE("A list goes to other processes by its name", "[shm]", START_METHODS) {
    const Watchdog watchdog(60);
    ShareableList list(std::views::iota(0, 10));
    Child<TestType> child(change, list.duplicate(), 4, "changed");
    REQUIRE(child.join() == 0);
    REQUIRE(list[4] == "changed");
    const mp::Queue<ShareableList> lists;
    const mp::Queue<ShareableItem> items;
    Child<TestType> other(answer, lists, items);
    for (const ShareableItem& item :
         std::vector<ShareableItem>{7, 7.5, "seven", true, std::nullopt, bytes_of("7")}) {
        list[-1] = item;
        lists.put(list);
        REQUIRE(items.get() == item);
    }
    lists.shutdown();
    REQUIRE(other.join() == 0);
    const mp::Queue<ShareableList> queue;
    queue.put(list);
    list.shm().unlink();
    REQUIRE(error_of([&] { queue.get(); }) == ENOENT);
}

TEST_CASE("A damaged list is a ValueError, and nothing else", "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("damage"));
    const ShareableList good({1, 2.5, "some text", true, std::nullopt, bytes_of("bytes")});
    good.shm().unlink();
    const std::size_t size = good.shm().size();
    const auto attach_and_use = [&] {
        const ShareableList list(ListName{name});
        for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(list.size()); ++i) {
            (void)list.format(i);
            try {
                (void)list.item(i);
            } catch (const mp::ValueError&) {
            }
            list[i] = 7;
            REQUIRE(list[i] == 7);
            list[i] = "1234567";
            REQUIRE(list[i] == "1234567");
        }
    };
    const auto with_bytes = [&](std::size_t block_size, auto fill) {
        const SharedMemory block({.name = name, .create = true, .size = block_size});
        fill(block.buf());
        try {
            attach_and_use();
            block.unlink();
            return true;
        } catch (const mp::ValueError&) {
            block.unlink();
            return false;
        }
    };
    const auto copy = [&](std::span<std::byte> block) {
        std::memcpy(block.data(), good.shm().buf().data(), std::min(block.size(), size));
    };
    const auto with_word = [&](std::size_t at, std::int64_t word) {
        return with_bytes(size, [&](std::span<std::byte> block) {
            copy(block);
            std::memcpy(block.data() + at, &word, sizeof word);
        });
    };
    REQUIRE(with_bytes(size, copy));
    REQUIRE(with_bytes(size + 4'000, copy));  // more room than it needs is no damage
    REQUIRE_FALSE(with_bytes(1, copy));
    REQUIRE_FALSE(with_bytes(15, copy));
    REQUIRE_FALSE(with_bytes(size - 1, copy));
    REQUIRE_FALSE(with_bytes(4'096, [](auto) {}));
    REQUIRE(with_bytes(16, [](auto) {}));  // an empty list
    for (const std::int64_t count : {std::int64_t{0}, std::int64_t{7}, std::int64_t{-1}, INT64_MIN,
                                     INT64_MAX, std::int64_t{1} << 61}) {
        CAPTURE(count);
        REQUIRE_FALSE(with_word(0, count));
    }
    for (const std::int64_t offset :
         {std::int64_t{0}, std::int64_t{7}, std::int64_t{-8}, std::int64_t{4'096}, INT64_MAX - 7}) {
        CAPTURE(offset);
        for (std::size_t at = 8; at <= 8 * 7; at += 8) {
            if (offset != 0 || at != 8) REQUIRE_FALSE(with_word(at, offset));
        }
    }

    // Of the items themselves: each alone is unreadable.
    const std::size_t formats = size - 6 - 48;
    for (const char* format : {"9s", "16s", "99999999", "-1s", "s", "8s8", "q8", "i", "", "\xff"}) {
        CAPTURE(format);
        std::int64_t word = 0;
        std::memcpy(&word, format, std::strlen(format));
        REQUIRE(with_word(formats, word));
        std::memcpy(good.shm().buf().data() + formats, &word, sizeof word);
        REQUIRE_THROWS_AS(good.item(0), mp::ValueError);
        REQUIRE(good[1] == 2.5);
        REQUIRE_NOTHROW(good.format());
    }
    good[0] = 1;
    for (const int code : {1, 2, 4, -1}) {
        good.shm().buf()[size - 6] = static_cast<std::byte>(code);
        REQUIRE_THROWS_AS(good[0].item(), mp::ValueError);
    }
    good[0] = 1;
    REQUIRE(good[0] == 1);

    support::Random random(1);
    for (int round = 0; round < 2'000; ++round) {
        with_bytes(size, [&](std::span<std::byte> block) {
            copy(block);
            for (int i = 0; i < 1 + round % 4; ++i) {
                block[random() % block.size()] = static_cast<std::byte>(random());
            }
        });
    }
}

TEST_CASE("A kill in the middle of an assignment leaves the old item, the new one, or None",
          "[shm]") {
    const Watchdog watchdog(120);
    std::vector<ShareableItem> items;
    for (const auto& [first, second] : pairs) items.push_back(first);
    items[0] = "one";  // the longer of the two makes the place
    items[4] = pairs[4].second;
    const ShareableList list(items);
    support::Random random(2);
    std::map<std::size_t, int> nones;
    const int kills = support::sanitized ? 40 : 300;
    for (int i = 0; i < kills; ++i) {
        const mp::Event ready;
        Child<mp::start_method::fork> child(assign_for_ever, list.shm().name(), ready);
        ready.wait();
        ::usleep(random() % 500);
        child.kill();
        for (std::size_t at = 0; at < std::size(pairs); ++at) {
            const ShareableItem item = list.item(static_cast<std::ptrdiff_t>(at));
            CAPTURE(at);
            const bool is_none = std::holds_alternative<std::nullopt_t>(item);
            REQUIRE((item == pairs[at].first || item == pairs[at].second || is_none));
            nones[at] += is_none;
            if (at >= 5) REQUIRE_FALSE(is_none);  // one word makes the difference
        }
        if (i % (kills / 4) == 0) {
            REQUIRE(python("print(len(list(ShareableList(name=sys.argv[1]))))",
                           {list.shm().name()}) == "7");
        }
    }
    INFO("interrupted within long text: " << nones[2]);
    CHECK((support::sanitized || nones[2] > 0));
    list.shm().unlink();
}

TEST_CASE("ShareableList is printed as by Python's repr", "[shm]") {
    const ShareableList list(
        {1, 100.0, 1e16, 1e-5, "it's", "\xc3\xa9\n\\", bytes_of("\xc3'\t"), true, std::nullopt});
    list.shm().unlink();
    REQUIRE(fmt::format("{}", list) ==
            "ShareableList([1, 100.0, 1e+16, 1e-05, \"it's\", '\xc3\xa9\\n\\\\', b\"\\xc3'\\t\", "
            "True, None], name='" +
                list.shm().name() + "')");
    REQUIRE(fmt::format("{} {}", list[0], list.item(1)) == "1 100.0");
}

TEST_CASE("Python reads and changes the lists that C++ makes", "[shm][python]") {
    const Watchdog watchdog(60);
    NothingLeft nothing_left;
    const ShareableList list({1, INT64_MIN, 2.5, -0.1, "text", "",
                              "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", true, false, std::nullopt,
                              bytes_of("by\0tes"s), bytes_of(""), "trailing",
                              std::string(3'000, 'x'), std::nullopt});
    nothing_left.made(list.shm().name());
    const std::string seen = python("items = ShareableList(name=sys.argv[1])\n"
                                    "print(items, items.format, len(items), items.shm.size)",
                                    {list.shm().name()});
    REQUIRE(seen ==
            fmt::format("{} {} {} {}", list, list.format(), list.size(), list.shm().size()));
    REQUIRE(python("items = ShareableList(name=sys.argv[1])\n"
                   "items[0] = 'changed'\n"
                   "items[2] = None\n"
                   "items[4] = b'\\xff\\x00\\x01'\n"
                   "items[6] = '\\u20ac'\n"
                   "items[9] = 3.25\n"
                   "items[13] = 'y' * 3001\n"
                   "items[-1] = True\n"
                   "items[7] = 9\n"
                   "print(items.count(9), items.index('changed'))",
                   {list.shm().name()}) == "1 0");
    REQUIRE(list.get<std::string>(0) == "changed");
    REQUIRE(list[2] == std::nullopt);
    REQUIRE(list[4] == bytes_of("\xff\0\1"s));
    REQUIRE(list[6] == "\xe2\x82\xac");
    REQUIRE(list[9] == 3.25);
    REQUIRE(list[13] == std::string(3'001, 'y'));
    REQUIRE(list.get<bool>(-1));
    REQUIRE(list.get<int>(7) == 9);
    list[0] = 17;  // and back, where Python has been
    list[13] = "short";
    REQUIRE(python("items = ShareableList(name=sys.argv[1])\n"
                   "print(items[0], items[13], items.format[:3])",
                   {list.shm().name()}) == "17 short qqx");
    list.shm().unlink();

    const ShareableList zeros({"trailing\0\0"s, bytes_of("\0"s), bytes_of("\0\0"s)});
    nothing_left.made(zeros.shm().name());
    REQUIRE(python("items = ShareableList(name=sys.argv[1])\n"
                   "print(items)\n"
                   "items[0] = 'now it is longer'\n"
                   "items[1] = None",
                   {zeros.shm().name()}) ==
            "ShareableList(['trailing', b'', b''], name='" + zeros.shm().name() + "')");
    REQUIRE(zeros[0] == "now it is longer");
    REQUIRE(zeros[1] == std::nullopt);
    REQUIRE(zeros[2] == bytes_of("\0\0"s));
    zeros.shm().unlink();

    const ShareableList empty({});
    nothing_left.made(empty.shm().name());
    REQUIRE(python("items = ShareableList(name=sys.argv[1])\nprint(list(items))",
                   {empty.shm().name()}) == "[]");
    empty.shm().unlink();
}

TEST_CASE("C++ reads and changes the lists that Python makes", "[shm][python]") {
    const Watchdog watchdog(60);
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(python(
        "items = ShareableList(['howdy', b'HoWdY', -273.154, 100, None, True, 42, '\\xe9' * 5,\n"
        "                       '', b'', b'a\\0b\\0', 'x' * 1000, -2**63, False, float('inf')])\n"
        "print(items.shm.name)"));
    const ShareableList list(ListName{name});
    REQUIRE(items_of(list) == std::vector<ShareableItem>{
                                  "howdy", bytes_of("HoWdY"), -273.154, 100, std::nullopt, true, 42,
                                  // Python gave 5 characters 8 bytes, and cut the fifth off.
                                  "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", "", bytes_of(""),
                                  bytes_of("a\0b"s), std::string(1'000, 'x'), INT64_MIN, false,
                                  std::numeric_limits<double>::infinity()});
    list[0] = 1.5;
    list[1] = encoded;
    list[4] = bytes_of("12345678");
    list[5] = std::nullopt;
    list[11] = std::string(1'008, 'z');
    REQUIRE_THROWS_AS(list[2] = "more than 8 bytes", mp::ValueError);
    list[3] = std::int64_t{-1};
    list[-1] = true;
    REQUIRE(python("items = ShareableList(name=sys.argv[1])\n"
                   "print([items[i] for i in (0, 1, 2, 3, 4, 5, -1)], items[11] == 'z' * 1008)",
                   {name}) ==
            "[1.5, 'encod\xc3\xa9s', -273.154, -1, b'12345678', None, True] True");
    list.shm().unlink();
}

TEST_CASE("The bytes of a list are those that Python makes", "[shm][python]") {
    const Watchdog watchdog(60);
    const ShareableList list({"howdy", bytes_of("HoWdY"), -273.154, 100, std::nullopt, true, false,
                              "", bytes_of(""), "1234567", "12345678", bytes_of("\0x"s),
                              bytes_of(std::string(100, 'b')), INT64_MIN, INT64_MAX, -1,
                              "a\xc3\xa9"});
    const ShareableList empty({});
    list.shm().unlink();
    empty.shm().unlink();
    const std::string pythons =
        python("def dump(*items):\n"
               "    block = ShareableList(items).shm\n"
               "    print(bytes(block.buf).hex())\n"
               "    block.unlink()\n"
               "dump('howdy', b'HoWdY', -273.154, 100, None, True, False, '', b'', '1234567',\n"
               "     '12345678', b'\\0x', b'b' * 100, -2**63, 2**63 - 1, -1, 'a\\xe9')\n"
               "dump()");
    REQUIRE(pythons == hex(list.shm().buf()) + "\n" + hex(empty.shm().buf()));
}
