// Processes that are killed while they change a manager's dict or list: every operation is there
// wholly or not at all, and the others go on. SPDX-License-Identifier: MIT
// CTEST: LABELS storm
#include <multiprocessing/managers.hpp>

#include <algorithm>
#include <set>
#include <string>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

constexpr int workers = 4;
constexpr int keys_each = 64;

/// What a worker has done, and is doing. Of an operation that has not returned either outcome is
/// right; its successor looks which one it was.
struct Ledger {
    std::atomic<std::int32_t> value[workers][keys_each];  // -1: not there
    std::atomic<std::int32_t> pending_key[workers];       // -1: none
    std::atomic<std::int32_t> pending_value[workers];
    std::atomic<std::uint64_t> done;
    std::atomic<std::uint32_t> wrong;

    void begin(int worker, int key, int new_value) {
        pending_value[worker] = new_value;
        pending_key[worker] = key;
    }
    void end(int worker) {
        value[worker][pending_key[worker]] = pending_value[worker].load();
        pending_key[worker] = -1;
        ++done;
    }
    /// @param found what is there of the operation that the predecessor was killed in
    void settle(int worker, int found) {
        const int key = pending_key[worker];
        if (found != value[worker][key] && found != pending_value[worker]) ++wrong;
        value[worker][key] = found;
        pending_key[worker] = -1;
    }
};

std::string key_of(int worker, int key) {
    return "worker " + std::to_string(worker) + " key " + std::to_string(key);
}
/// A text of up to some 300 bytes that can be checked.
std::string text_of(int value) {
    return std::to_string(value) + ":" + std::string(static_cast<std::size_t>(value % 300), 'v');
}
int value_of(const std::string& text) {
    const int value = std::stoi(text);
    return text == text_of(value) ? value : -2;
}

using Dict = mp::DictProxy<std::string, std::string>;
using List = mp::ListProxy<std::string>;

int found_in(const Dict& dict, int worker, int key) {
    const auto text = dict.get(key_of(worker, key));
    return text ? value_of(*text) : -1;
}

/// Inserts, overwrites, erases and reads, for ever.
void work_on_dict(Dict dict, std::uint64_t offset, int worker, unsigned seed) {
    auto& ledger = support::in_heap<Ledger>(offset);
    if (const int key = ledger.pending_key[worker]; key >= 0) {
        ledger.settle(worker, found_in(dict, worker, key));
    }
    support::Random random(seed);
    for (;;) {
        const int key = static_cast<int>(random() % keys_each);
        const int value = static_cast<int>(random() % 100'000);
        switch (random() % 8) {
            case 0:
            case 1:
                ledger.begin(worker, key, -1);
                dict.erase(key_of(worker, key));
                break;
            case 2:
                ledger.begin(worker, key, value);
                dict.update({{key_of(worker, key), text_of(value)}, {"all", "1:v"}});
                break;
            case 3:
                ledger.begin(worker, key, value);
                dict.update_with(
                    key_of(worker, key), [&](std::string& text) { text = text_of(value); }, "");
                break;
            case 4:
                if (found_in(dict, worker, key) != ledger.value[worker][key]) ++ledger.wrong;
                continue;
            case 5:
                for (const auto& [name, text] : dict) ledger.wrong += value_of(text) == -2;
                continue;
            default:
                ledger.begin(worker, key, value);
                dict[key_of(worker, key)] = text_of(value);
        }
        ledger.end(worker);
    }
}

/// The first items are the workers' counters, in the places of key 0; the rest comes and goes.
void work_on_list(List list, std::uint64_t offset, int worker, unsigned seed) {
    auto& ledger = support::in_heap<Ledger>(offset);
    const auto item = [&](int key) { return key_of(worker, key); };
    if (const int key = ledger.pending_key[worker]; key == 0) {
        ledger.settle(worker, std::stoi(list.at(worker)));
    } else if (key > 0) {
        ledger.settle(worker, static_cast<int>(list.count(item(key))) == 0 ? -1 : 1);
    }
    support::Random random(seed);
    for (;;) {
        const int key = static_cast<int>(1 + random() % (keys_each - 1));
        const bool is_there = ledger.value[worker][key] == 1;
        switch (random() % 4) {
            case 0:
                ledger.begin(worker, 0, ledger.value[worker][0] + 1);
                list.update_with(worker, [](const std::string& text) {
                    return std::to_string(std::stoi(text) + 1);
                });
                break;
            case 1:
                if (list.contains(item(key)) != is_there) ++ledger.wrong;
                continue;
            default:
                ledger.begin(worker, key, is_there ? -1 : 1);
                if (is_there) {
                    list.remove(item(key));
                } else if (random() % 2 == 0) {
                    list.append(item(key));
                } else {
                    list.insert(workers, item(key));
                }
        }
        ledger.end(worker);
    }
}

/// Kills and replaces workers at random moments, then ends them and settles what they were at.
template <class Method, class Container, class Work, class Found>
void storm(const Container& container, Ledger& ledger, std::uint64_t offset, Work work,
           Found found) {
    const int kills = support::sanitized ? 60 : 500;  // twice 1,000 under two start methods
    support::Random random(11);
    std::optional<Child<Method>> crew[workers];
    const auto start = [&](int worker) {
        crew[worker].emplace(work, container, offset, worker, random());
    };
    for (int worker = 0; worker < workers; ++worker) start(worker);
    for (int kill = 0; kill < kills; ++kill) {
        ::usleep(3'000);
        const int victim = static_cast<int>(random() % workers);
        crew[victim].reset();
        const std::uint64_t done = ledger.done;
        start(victim);
        REQUIRE(support::eventually([&] { return ledger.done > done; }));
    }
    for (auto& worker : crew) worker.reset();
    for (int worker = 0; worker < workers; ++worker) {
        if (const int key = ledger.pending_key[worker]; key >= 0) {
            ledger.settle(worker, found(worker, key));
        }
    }
    INFO(ledger.done << " operations");
    REQUIRE(ledger.wrong == 0);
}

}  // namespace

TEMPLATE_TEST_CASE("Through a kill storm a dict keeps every operation that returned",
                   "[managers][storm]", START_METHODS) {
    const Watchdog watchdog(280);
    const mp::Manager manager;
    const auto dict = manager.dict<std::string, std::string>({{"all", "1:v"}});
    const support::InHeap<Ledger> ledger;
    for (int worker = 0; worker < workers; ++worker) {
        ledger->pending_key[worker] = -1;
        for (auto& value : ledger->value[worker]) value = -1;
    }
    const auto found = [&](int worker, int key) { return found_in(dict, worker, key); };
    storm<TestType>(dict, *ledger, ledger.offset(), work_on_dict, found);
    std::size_t size = 1;
    for (int worker = 0; worker < workers; ++worker) {
        for (int key = 0; key < keys_each; ++key) {
            REQUIRE(found(worker, key) == ledger->value[worker][key]);
            size += ledger->value[worker][key] >= 0;
        }
    }
    REQUIRE(dict.size() == size);
    REQUIRE(dict.items().size() == size);
}

TEMPLATE_TEST_CASE("Through a kill storm a list keeps every operation that returned",
                   "[managers][storm]", START_METHODS) {
    const Watchdog watchdog(280);
    const mp::Manager manager;
    const auto list = manager.list<std::string>();
    const support::InHeap<Ledger> ledger;
    for (int worker = 0; worker < workers; ++worker) {
        ledger->pending_key[worker] = -1;
        for (auto& value : ledger->value[worker]) value = -1;
        ledger->value[worker][0] = 0;
        list.append("0");
    }
    const auto found = [&](int worker, int key) {
        if (key == 0) return std::stoi(list.at(worker));
        return list.contains(key_of(worker, key)) ? 1 : -1;
    };
    storm<TestType>(list, *ledger, ledger.offset(), work_on_list, found);
    std::multiset<std::string> expected;
    for (int worker = 0; worker < workers; ++worker) {
        expected.insert(std::to_string(ledger->value[worker][0]));
        for (int key = 1; key < keys_each; ++key) {
            if (ledger->value[worker][key] == 1) expected.insert(key_of(worker, key));
        }
    }
    const auto items = list.to_vector();
    REQUIRE(std::multiset<std::string>(items.begin(), items.end()) == expected);
    REQUIRE(list.size() == expected.size());
}

// --- one instant at a time ---

namespace {

enum class Instant {
    entry_written,  // a new entry and its slot written, not committed
    entry_counted,  // committed, the number of entries not updated
    entry_erased,   // erased, the number not updated
    table_flipped   // a new table in place, the old one not freed
};

void stop_at(mp::DictProxy<int, int> dict, Instant instant, mp::Event there) {
    namespace mpd = mp::detail;
    auto& state = static_cast<mpd::DictState&>(*dict.shared_handle().object());
    state.acquire();
    mpd::DictTable& table = state.current();
    const mpd::EncodedKey<int> key(instant == Instant::entry_erased ? 1 : 77);
    switch (instant) {
        case Instant::entry_written:
        case Instant::entry_counted:
            table.append(key.hash(), 77, 7);
            if (instant == Instant::entry_written) table.used.store(table.end() - 1);
            break;
        case Instant::entry_erased:
            state.find(key)->hash.store(0);
            break;
        case Instant::table_flipped:
            state.flip(state.copy_for(100), state.size());
    }
    there.set();
    support::sleep_on();
}

}  // namespace

TEMPLATE_TEST_CASE("Who is killed inside of a change leaves the dict in order", "[managers][dict]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const auto instant = static_cast<Instant>(GENERATE(range(0, 4)));
    CAPTURE(static_cast<int>(instant));
    const mp::Manager manager;
    const auto dict = manager.dict<int, int>({{0, 0}, {1, 1}});
    const mp::Event there;
    Child<TestType> child(stop_at, dict, instant, there);
    there.wait();
    child.kill();
    constexpr std::size_t sizes[] = {2, 3, 1, 2};
    REQUIRE(dict.size() == sizes[static_cast<int>(instant)]);  // who only looks takes no lock
    REQUIRE(dict.at(0) == 0);
    REQUIRE(dict.contains(77) == (instant == Instant::entry_counted));
    REQUIRE(dict.contains(1) == (instant != Instant::entry_erased));
    REQUIRE(dict.size() == dict.items().size());
    for (int i = 0; i < 1'000; ++i) dict[i] = i;
    REQUIRE(dict.size() == 1'000);
    for (int i = 0; i < 1'000; ++i) REQUIRE(dict.pop(i) == i);
    REQUIRE(dict.empty());
}
