// Reads of a manager's dict, list and namespace, which need no lock: beside writers that change
// everything, beside a writer that stands still, and beside writers that are killed.
// SPDX-License-Identifier: MIT
#include <multiprocessing/managers.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

/// A value of which each part says what the others are.
struct Block {
    std::array<std::uint64_t, 8> numbers;
};
Block block_of(unsigned number) {
    Block block{};
    block.numbers.fill(number);
    return block;
}
bool is_whole(const Block& block) {
    return std::ranges::count(block.numbers, block.numbers[0]) == 8;
}
/// A text of one letter, which its length decides.
std::string text_of(std::size_t length) {
    return std::string(length, static_cast<char>('a' + length % 26));
}
bool is_whole(const std::string& text) { return text == text_of(text.size()); }
/// Most are copied without the lock; some are too long for that.
std::size_t some_length(unsigned number) { return number % 8 == 0 ? number % 3'000 : number % 90; }

struct Containers {
    mp::DictProxy<std::string, std::string> texts;
    mp::DictProxy<std::uint64_t, Block> blocks;
    mp::DictProxy<int, std::uint64_t> numbers;  // the value says the key; that of 0 only grows
    mp::DictProxy<int, mp::ListProxy<int>> lists;
    mp::ListProxy<std::string> words;
    mp::ListProxy<std::uint64_t> counts;  // the first one only grows
    mp::NamespaceProxy names;
};

Containers containers_of(const mp::Manager& manager) {
    Containers all{.texts = manager.dict<std::string, std::string>(),
                   .blocks = manager.dict<std::uint64_t, Block>(),
                   .numbers = manager.dict<int, std::uint64_t>({{0, 0}}),
                   .lists = manager.dict<int, mp::ListProxy<int>>(),
                   .words = manager.list<std::string>(),
                   .counts = manager.list<std::uint64_t>({0}),
                   .names = manager.Namespace()};
    all.lists[0] = manager.list<int>({7});
    all.lists[1] = manager.list<int>({7});
    all.names.set("text", text_of(30));
    return all;
}

/// What has been done, and what was wrong with it.
struct Tally {
    std::atomic<std::uint64_t> reads;
    std::atomic<std::uint64_t> changes;
    std::atomic<std::uint32_t> wrong;
    std::atomic<bool> is_over;
};

constexpr int keys = 60;

void change_texts(const Containers& all, support::Random& random) {
    const auto key = [&] { return "key " + std::to_string(random() % keys); };
    const unsigned kind = random() % 32;
    if (kind == 0) {
        all.texts.clear();
    } else if (kind == 1) {
        std::map<std::string, std::string> many;
        for (int i = 0; i < keys; ++i) many[key()] = text_of(some_length(random()));
        all.texts.update(many);
    } else if (kind < 12) {
        all.texts.erase(key());
    } else {
        all.texts[key()] = text_of(some_length(random()));
    }
    all.names.set("text", text_of(some_length(random())));
    if (random() % 2 == 0) all.names.set(key(), 1.5);
}
void change_blocks(const Containers& all, support::Random& random) {
    const std::uint64_t key = random() % keys;
    switch (random() % 4) {
        case 0:
            all.blocks.erase(key);
            break;
        case 1:
            if (!all.blocks.empty()) {
                try {
                    (void)all.blocks.popitem();
                } catch (const mp::KeyError&) {
                    // Another one was faster.
                }
            }
            break;
        default:
            all.blocks[key] = block_of(random());
    }
}
void change_numbers(const Containers& all, support::Random& random) {
    const int key = static_cast<int>(1 + random() % (keys - 1));
    const auto value = [&](int of) {
        return std::uint64_t{random() % 1'000} * keys + static_cast<unsigned>(of);
    };
    switch (random() % 8) {
        case 0:
            all.numbers.update({{key, value(key)}, {1, value(1)}});
            break;
        case 1:
        case 2:
        case 3:
            all.numbers.erase(key);
            break;
        default:
            all.numbers[key] = value(key);
    }
    all.numbers[0] += keys;
    all.lists[static_cast<int>(random() % 2)] = all.lists.at(static_cast<int>(random() % 2));
}
void change_lists(const Containers& all, support::Random& random) {
    const auto text = [&] { return text_of(some_length(random())); };
    const auto place = static_cast<std::ptrdiff_t>(random() % 30);
    try {
        switch (random() % 8) {
            case 0:
                all.words.pop(place);
                break;
            case 1:
                all.words.pop();
                break;
            case 2:
                all.words.insert(place, text());
                break;
            case 3:
                all.words[place] = text();
                break;
            case 4:
                if (all.words.size() > 40) all.words.clear();
                all.words.reverse();
                break;
            case 5:
                all.words.extend({text(), text(), text()});
                break;
            default:
                all.words.append(text());
        }
    } catch (const mp::IndexError&) {
        // It has become shorter meanwhile.
    }
    all.counts[0] += 1;
    if (all.counts.size() < 200) {
        all.counts.append(random());
    } else {
        all.counts.set_slice(1 + place, PTRDIFF_MAX, std::vector<std::uint64_t>());
    }
}

void change(const Containers& all, Tally& tally, unsigned seed) {
    support::Random random(seed);
    while (!tally.is_over) {
        change_texts(all, random);
        change_blocks(all, random);
        change_numbers(all, random);
        change_lists(all, random);
        ++tally.changes;
    }
}

/// Reads what is there. @returns how much of it was wrong
unsigned errors_in_dicts(const Containers& all, support::Random& random) {
    unsigned wrong = 0;
    const std::string key = "key " + std::to_string(random() % keys);
    if (const auto text = all.texts.get(key)) wrong += !is_whole(*text);
    if (const auto block = all.blocks.get(random() % keys)) wrong += !is_whole(*block);
    const int number = static_cast<int>(random() % keys);
    if (const auto value = all.numbers.get(number)) {
        wrong += *value % keys != static_cast<unsigned>(number);
    }
    (void)all.texts.contains(key);
    wrong += !all.numbers.contains(0);
    wrong += all.lists.at(1)[0] != 7;
    wrong += !is_whole(all.names.get<std::string>("text"));
    wrong += !all.names.has("text") || all.names.has("never");
    return wrong;
}
unsigned errors_in_list(const Containers& all, support::Random& random) {
    try {
        const auto place = static_cast<std::ptrdiff_t>(random() % 30);
        return !is_whole(all.words.at(random() % 2 == 0 ? place : -1 - place));
    } catch (const mp::IndexError&) {
        return 0;  // so short it is just now
    }
}

void read(const Containers& all, Tally& tally, unsigned seed) {
    support::Random random(seed);
    std::uint64_t number = 0;
    std::uint64_t count = 0;
    while (!tally.is_over) {
        unsigned wrong = errors_in_dicts(all, random) + errors_in_list(all, random);
        const std::uint64_t number_now = all.numbers.at(0);
        const std::uint64_t count_now = all.counts[0];
        wrong += number_now < number || number_now % keys != 0;
        wrong += count_now < count || all.counts.size() == 0;
        number = number_now;
        count = count_now;
        tally.wrong += wrong;
        ++tally.reads;
    }
}

void change_in_child(Containers all, std::uint64_t tally, unsigned seed) {
    change(all, support::in_heap<Tally>(tally), seed);
}
void read_in_child(Containers all, std::uint64_t tally, unsigned seed) {
    read(all, support::in_heap<Tally>(tally), seed);
}

/// Waits until so much more has been read and changed.
bool goes_on(const Tally& tally, std::uint64_t reads, std::uint64_t changes) {
    const std::uint64_t all_reads = tally.reads + reads;
    const std::uint64_t all_changes = tally.changes + changes;
    return support::eventually(
        [&] { return tally.reads >= all_reads && tally.changes >= all_changes; }, 100);
}

constexpr std::uint64_t enough = support::sanitized ? 500 : 10'000;

}  // namespace

TEMPLATE_TEST_CASE("Processes that read find whole and true values beside two that write",
                   "[managers]", START_METHODS) {
    const Watchdog watchdog(120);
    const mp::Manager manager;
    const Containers all = containers_of(manager);
    const support::InHeap<Tally> tally;
    std::list<Child<TestType>> children;
    for (unsigned i = 0; i < 2; ++i) {
        children.emplace_back(change_in_child, all, tally.offset(), i);
        children.emplace_back(read_in_child, all, tally.offset(), i);
    }
    const bool went_on = goes_on(*tally, enough, enough);
    tally->is_over = true;
    for (auto& child : children) REQUIRE(child.join() == 0);
    REQUIRE(went_on);
    REQUIRE(tally->wrong == 0);
}

TEST_CASE("Threads that read find whole and true values beside two that write", "[managers]") {
    const Watchdog watchdog(120);
    const mp::Manager manager;
    const Containers all = containers_of(manager);
    const support::InHeap<Tally> tally;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 2; ++i) {
        threads.emplace_back([&, i] { change(all, *tally, i); });
        threads.emplace_back([&, i] { read(all, *tally, i); });
    }
    const bool went_on = goes_on(*tally, enough, enough);
    tally->is_over = true;
    for (std::thread& thread : threads) thread.join();
    REQUIRE(went_on);
    REQUIRE(tally->wrong == 0);
}

TEST_CASE("Who reads a value sees all that was done before it was set", "[managers]") {
    const Watchdog watchdog(60);
    const mp::Manager manager;
    const auto numbers = manager.dict<int, int>({{0, 0}, {5, 5}});
    const auto texts = manager.dict<std::string, std::string>({{"there", "old"}});
    const auto list = manager.list<int>({0});
    const auto shrinking = manager.list<int>({1, 2});
    // How each step of the other thread is seen, and what that thread does there.
    const std::pair<std::function<bool()>, std::function<void()>> steps[] = {
        {[&] { return numbers.at(0) == 1; }, [&] { numbers[0] = 1; }},
        {[&] { return numbers.contains(1); }, [&] { numbers[1] = 1; }},
        {[&] { return !numbers.contains(5); }, [&] { numbers.erase(5); }},
        {[&] { return texts.at("there") == "new"; }, [&] { texts["there"] = "new"; }},
        {[&] { return texts.get("later").has_value(); }, [&] { texts["later"] = "new"; }},
        {[&] { return list.at(0) == 1; }, [&] { list[0] = 1; }},
        {[&] { return list.size() == 2; }, [&] { list.append(2); }},
        {[&] { return shrinking.size() == 1; }, [&] { shrinking.pop(); }},
        {[&] { return numbers.contains(30); },
         [&] {
             for (int i = 10; i <= 30; ++i) numbers[i] = i;
         }}};
    int plain[std::size(steps)] = {};  // ThreadSanitizer looks after these
    std::thread other([&] {
        for (std::size_t i = 0; i < std::size(steps); ++i) {
            plain[i] = 1;
            steps[i].second();
        }
    });
    int seen = 0;
    for (std::size_t i = 0; i < std::size(steps); ++i) {
        while (!steps[i].first()) {
        }
        seen += plain[i];
    }
    other.join();
    REQUIRE(seen == static_cast<int>(std::size(steps)));
}

TEMPLATE_TEST_CASE("Those that read go on while those that write are killed", "[managers]",
                   START_METHODS) {
    const Watchdog watchdog(120);
    const int kills = support::sanitized ? 10 : 40;
    const mp::Manager manager;
    const Containers all = containers_of(manager);
    const support::InHeap<Tally> tally;
    std::list<Child<TestType>> readers;
    for (unsigned i = 0; i < 2; ++i) readers.emplace_back(read_in_child, all, tally.offset(), i);
    support::Random random(5);
    std::optional<Child<TestType>> writers[2];
    for (int kill = 0; kill < kills; ++kill) {
        auto& writer = writers[kill % 2];
        writer.emplace(change_in_child, all, tally.offset(), random());
        REQUIRE(goes_on(*tally, 10, 10));
        ::usleep(random() % 2'000);
        writer.reset();
    }
    REQUIRE(goes_on(*tally, 10, 0));
    tally->is_over = true;
    for (auto& reader : readers) REQUIRE(reader.join() == 0);
    REQUIRE(tally->wrong == 0);
}

// --- many at once ---

namespace {

void change_many(mp::DictProxy<std::string, int> dict, mp::ListProxy<std::string> list,
                 std::uint64_t tally, int seed) {
    for (int number = seed;; ++number) {
        std::map<std::string, int> entries;
        for (int i = 0; i < 50; ++i) entries["key " + std::to_string(i)] = number;
        dict.update(entries);
        list.extend(std::vector<std::string>(10, text_of(static_cast<std::size_t>(number % 90))));
        if (number % 50 == 0) list.clear();
        ++support::in_heap<Tally>(tally).changes;
    }
}

}  // namespace

TEMPLATE_TEST_CASE("update, extend and to_map are one step each, for one who is killed too",
                   "[managers]", START_METHODS) {
    const Watchdog watchdog(120);
    const int kills = support::sanitized ? 5 : 20;
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, int>();
    const auto list = manager.list<std::string>();
    const support::InHeap<Tally> tally;
    const auto look = [&] {
        const std::map<std::string, int> entries = dict.to_map();
        REQUIRE((entries.empty() || entries.size() == 50));
        for (const auto& entry : entries) REQUIRE(entry.second == entries.begin()->second);
        const std::vector<std::string> items = list.to_vector();
        REQUIRE(items.size() % 10 == 0);
        for (std::size_t i = 0; i < items.size(); ++i) REQUIRE(items[i] == items[i / 10 * 10]);
    };
    for (int kill = 0; kill < kills; ++kill) {
        Child<TestType> child(change_many, dict, list, tally.offset(), kill * 1'000);
        REQUIRE(goes_on(*tally, 0, 2));
        look();
        ::usleep(static_cast<useconds_t>(kill) * 37);
        child.kill();
        look();
    }
}

// --- a writer that stands still ---

namespace {

void hold_locks(Containers all, mp::Event there) {
    const auto hold = [](const mp::detail::AnyHandle& handle) {
        static_cast<mp::detail::ContainerState*>(handle.object())->acquire();
    };
    hold(all.texts.shared_handle());
    hold(all.blocks.shared_handle());
    hold(all.numbers.shared_handle());
    hold(all.words.shared_handle());
    hold(all.counts.shared_handle());
    hold(all.names.shared_handle());
    there.set();
    support::sleep_on();
}

void change_for_ever(mp::DictProxy<std::string, std::string> texts, mp::ListProxy<int> list,
                     mp::Event there) {
    list.update_with(0, [&](int& number) {
        texts.update_with("a", [&](std::string& text) {
            text = "changed";
            number = 2;
            there.set();
            support::sleep_on();
        });
    });
}

}  // namespace

TEMPLATE_TEST_CASE("Who reads does not wait for who holds the lock", "[managers]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Manager manager;
    const Containers all = containers_of(manager);
    all.texts["a"] = text_of(100);
    all.blocks[1] = block_of(4);
    all.words.extend({"x", "yy"});
    const mp::Event there;
    Child<TestType> child(hold_locks, all, there);
    there.wait();
    const auto look = [&] {
        REQUIRE(all.texts["a"] == text_of(100));
        REQUIRE(all.texts.get("b", "none") == "none");
        REQUIRE_THROWS_AS(all.texts.at("b"), mp::KeyError);
        REQUIRE(all.texts.contains("a"));
        REQUIRE_FALSE(all.texts.contains("b"));
        REQUIRE(all.blocks.at(1).numbers == block_of(4).numbers);
        REQUIRE(all.numbers[0] == 0);
        REQUIRE(all.words[0] == "x");
        REQUIRE(all.words[-1] == "yy");
        REQUIRE_THROWS_AS(all.words.at(2), mp::IndexError);
        REQUIRE(all.words.size() == 2);
        REQUIRE_FALSE(all.words.empty());
        REQUIRE(all.counts.at(0) == 0);
        REQUIRE(all.names.get<std::string>("text") == text_of(30));
        REQUIRE(all.names.has("text"));
        REQUIRE_FALSE(all.names.has("none"));
    };
    look();
    child.kill();
    look();
    all.texts["a"] = text_of(3'000);
    REQUIRE(all.texts["a"] == text_of(3'000));
}

TEMPLATE_TEST_CASE("Who reads finds what was there before a change that has not ended",
                   "[managers]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Manager manager;
    const auto texts = manager.dict<std::string, std::string>({{"a", "before"}});
    const auto list = manager.list<int>({1});
    const mp::Event there;
    Child<TestType> child(change_for_ever, texts, list, there);
    there.wait();
    REQUIRE(texts["a"] == "before");
    REQUIRE(list[0] == 1);
    child.kill();
    REQUIRE(texts["a"] == "before");
    texts["a"] += " and after";
    REQUIRE(texts["a"] == "before and after");
    list[0] += 2;
    REQUIRE(list[0] == 3);
}

TEST_CASE("A function that is called with the lock held is told when it reads", "[managers]") {
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, int>({{"a", 1}});
    const auto list = manager.list<int>({1});
    dict.update_with("a", [&](int& value) {
        REQUIRE_THROWS_AS(dict.get("a"), mp::RuntimeError);
        REQUIRE_THROWS_AS(dict.get("b", 1), mp::RuntimeError);
        REQUIRE_THROWS_AS(dict.contains("a"), mp::RuntimeError);
        REQUIRE_THROWS_AS(dict.at("a"), mp::RuntimeError);
        // Another thread is not concerned.
        std::thread([&] { value = dict["a"]; }).join();
        value += list[0];
    });
    REQUIRE(dict["a"] == 2);
    list.update_with(0, [&](int& value) {
        REQUIRE_THROWS_AS(list.at(0), mp::RuntimeError);
        REQUIRE_THROWS_AS(list.size(), mp::RuntimeError);
        value += dict["a"];
    });
    REQUIRE(list[0] == 3);
}

TEST_CASE("Who reads after the manager's end is told", "[managers]") {
    mp::Manager manager;
    const Containers all = containers_of(manager);
    manager.shutdown();
    REQUIRE_THROWS_AS(all.texts.get("a"), mp::ValueError);
    REQUIRE_THROWS_AS(all.texts.contains("a"), mp::ValueError);
    REQUIRE_THROWS_AS(all.numbers.at(0), mp::ValueError);
    REQUIRE_THROWS_AS(all.counts.at(0), mp::ValueError);
    REQUIRE_THROWS_AS(all.counts.size(), mp::ValueError);
    REQUIRE_THROWS_AS(all.names.get<std::string>("text"), mp::ValueError);
    REQUIRE_THROWS_AS(all.names.has("text"), mp::ValueError);
}

// --- keys and values of all kinds ---

TEST_CASE("Keys of each length and kind are found, and no others", "[managers][dict]") {
    const mp::Manager manager;
    const auto by_text = manager.dict<std::string, std::size_t>();
    for (std::size_t length = 0; length < 40; ++length) by_text[text_of(length)] = length;
    by_text[text_of(5'000)] = 5'000;
    for (std::size_t length = 0; length < 40; ++length) {
        REQUIRE(by_text[text_of(length)] == length);
        std::string other = text_of(length);
        if (!other.empty()) other.back() = '-';
        REQUIRE(by_text.contains(other) == other.empty());
        if (!other.empty()) other.front() = '-';
        REQUIRE(by_text.contains(other) == other.empty());
    }
    REQUIRE(by_text[text_of(5'000)] == 5'000);
    REQUIRE_FALSE(by_text.contains(text_of(5'000 + 26)));
    const auto by_double = manager.dict<double, int>({{0.0, 1}, {1.5, 2}});
    REQUIRE(by_double[-0.0] == 1);
    REQUIRE(by_double.get(1.5) == 2);
    REQUIRE_FALSE(by_double.contains(1.25));
    const auto by_numbers = manager.dict<std::vector<int>, int>({{{}, 1}, {{1, 2, 3}, 2}});
    REQUIRE(by_numbers.at({}) == 1);
    REQUIRE(by_numbers.at({1, 2, 3}) == 2);
    REQUIRE_FALSE(by_numbers.contains({1, 2}));
}

TEST_CASE("Values of each length are read", "[managers][dict]") {
    const mp::Manager manager;
    const auto dict = manager.dict<int, std::string>();
    const auto list = manager.list<std::string>();
    for (int length = 0; length < 1'100; length += length < 40 ? 1 : 3) {
        const std::string text = text_of(static_cast<std::size_t>(length));
        dict[length] = text;
        list.append(text);
        REQUIRE(dict.at(length) == text);
        REQUIRE(list.at(-1) == text);
    }
}

namespace {

/// Maps only a part of the heap, and reads what others have put beyond it.
void read_with_little_room(Containers all, mp::Event ready, mp::Event filled) {
    rlimit limit{};
    limit.rlim_cur = limit.rlim_max = rlim_t{2} << 30;
    if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(1);
    mp::detail::heap().fit_address_space();
    if (!mp::detail::heap().segment().is_partial()) ::_exit(2);
    ready.set();
    filled.wait();
    if (all.texts.at("far") != text_of(50) || all.words.at(-1) != text_of(60)) ::_exit(3);
    if (!all.texts.contains("far") || all.names.get<std::string>("text") != text_of(70)) ::_exit(4);
    if (all.words.size() != 2 || all.texts.at("large").size() != 200'000'000) ::_exit(5);
}

}  // namespace

TEMPLATE_TEST_CASE("A process that has mapped only a part of the heap reads what lies beyond it",
                   "[managers]", START_METHODS) {
    if (support::sanitized) return;  // which takes all address space
    const Watchdog watchdog(60);
    const mp::Manager manager;
    const Containers all = containers_of(manager);
    const mp::Event ready;
    const mp::Event filled;
    Child<TestType> child(read_with_little_room, all, ready, filled);
    ready.wait();
    all.texts["large"] = std::string(200'000'000, 'x');
    all.texts["far"] = text_of(50);
    all.words.extend({"x", text_of(60)});
    all.names.set("text", text_of(70));
    filled.set();
    REQUIRE(child.join() == 0);
}
