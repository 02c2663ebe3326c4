// Who is killed anywhere in an operation of a manager's dict, list or namespace has changed it
// wholly or not at all, and all that is said of it is true.
// SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <multiprocessing/managers.hpp>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/stepkill/stepper.hpp"

using stepkill::expect;
using stepkill::Row;
using stepkill::Trial;

namespace {

const mp::Manager& manager() {
    static const mp::Manager made;
    return made;
}

// --- dict ---

using Dict = mp::DictProxy<std::string, std::string>;
using Entries = std::vector<std::pair<std::string, std::string>>;

/// Reads the keys that may be there one by one, which takes no lock and repairs nothing.
/// @returns the entries found, by their keys
std::map<std::string, std::string> entries_read(const Dict& dict, const Entries& before,
                                                const Entries& after) {
    std::map<std::string, std::string> found;
    for (const Entries* const entries : {&before, &after}) {
        for (const auto& [key, _] : *entries) {
            const auto value = dict.get(key);
            expect(dict.contains(key) == value.has_value(), "contains() and get() do not agree");
            if (value) found[key] = *value;
        }
    }
    return found;
}

/// Throws unless a dict has the entries of before or those of after, and works.
void check_dict(const Dict& dict, const Entries& before, const Entries& after) {
    const auto read = entries_read(dict, before, after);
    expect(read == entries_read(dict, before, after), "a second reader has found other entries");
    const std::size_t size = dict.size();  // early, as a program sees it that only looks
    const bool is_empty = dict.empty();
    const Entries found = dict.items();
    expect(found == before || found == after, "neither the entries of before nor those of after");
    expect(read == std::map<std::string, std::string>(found.begin(), found.end()),
           "who reads without the lock has found other entries");
    expect(size == found.size() && dict.size() == size,
           fmt::format("size() was {} for {} entries", size, found.size()));
    expect(is_empty == found.empty(), "empty() was wrong");
    for (const auto& [key, value] : found) {
        expect(dict.contains(key) && dict.at(key) == value, "an entry is not found");
    }
    for (int i = 0; i < 20; ++i) dict["n" + std::to_string(i)] = "x";
    expect(dict.size() == size + 20, "size() after 20 new entries");
    for (int i = 0; i < 20; ++i) expect(dict.pop("n" + std::to_string(i)) == "x", "another value");
    expect(dict.items() == found && dict.size() == size, "entries that came and went left a trace");
}

const Entries two{{"a", "1"}, {"b", "2"}};

/// An operation on a dict of `before`, which makes it one of `after`.
Trial on_dict(const std::function<void(const Dict&)>& operation, const Entries& after,
              const Entries& before = two) {
    const Dict dict = manager().dict<std::string, std::string>(before);
    return {.operation = [=] { operation(dict); },
            .check = [=] { check_dict(dict, before, after); }};
}
Trial read_dict(const std::function<void(const Dict&)>& operation) {
    return on_dict(operation, two);
}

/// As many entries as a new table has room for.
Entries full_table() {
    Entries entries;
    for (int i = 0; i < 4; ++i) entries.emplace_back("k" + std::to_string(i), "v");
    return entries;
}
Trial growth_of_dict() {
    Entries after = full_table();
    after.emplace_back("z", "9");
    // One by one, for a table as small as it can be.
    const Dict dict = manager().dict<std::string, std::string>();
    for (const auto& [key, value] : full_table()) dict[key] = value;
    return {.operation = [=] { dict["z"] = "9"; },
            .check = [=] { check_dict(dict, full_table(), after); }};
}

/// Entries have gone from the middle and from the end.
Trial insert_after_erasures() {
    const Dict dict = manager().dict<std::string, std::string>(full_table());
    dict.erase("k1");
    dict.erase("k3");
    const Entries before = dict.items();
    Entries after = before;
    after.emplace_back("z", "9");
    return {.operation = [=] { dict["z"] = "9"; },
            .check = [=] { check_dict(dict, before, after); }};
}

/// Another process reads all the time, and finds each key as it was before or as it is after.
Trial beside_a_reader(const std::function<void(const Dict&)>& operation, const Entries& after) {
    const Dict dict = manager().dict<std::string, std::string>(two);
    const auto read = [=] {
        const std::map<std::string, std::string> old(two.begin(), two.end());
        const std::map<std::string, std::string> young(after.begin(), after.end());
        const auto is_of = [](const auto& map, const auto& key, const auto& value) {
            const auto it = map.find(key);
            return it == map.end() ? !value : value == it->second;
        };
        do {
            for (const std::string key : {"a", "b", "c"}) {
                const auto value = dict.get(key);
                expect(is_of(old, key, value) || is_of(young, key, value), "another value");
            }
        } while (!stepkill::board().is_over);
    };
    return {.operation = [=] { operation(dict); },
            .check = [=] { check_dict(dict, two, after); },
            .bystanders = {read}};
}

/// Another process has died with the lock, between an entry and its count.
Trial change_after_a_death(const std::function<void(const Dict&)>& operation,
                           const Entries& after) {
    const Dict dict = manager().dict<std::string, std::string>(two);
    const auto dead = stepkill::killed_after([dict] {
        auto& state = static_cast<mp::detail::DictState&>(*dict.shared_handle().object());
        state.acquire();
        state.live() = 7;
    });
    return {.operation = [=] { operation(dict); },
            .check =
                [=] {
                    (void)dead;
                    check_dict(dict, two, after);
                }};
}

/// Keys and values that lie in the table itself.
Trial on_numbers(const std::function<void(const mp::DictProxy<int, double>&)>& operation,
                 std::size_t size_after) {
    const auto dict = manager().dict<int, double>({{1, 1.5}, {2, 2.5}});
    return {.operation = [=] { operation(dict); },
            .check =
                [=] {
                    std::size_t read = 0;
                    for (int key = 1; key <= 3; ++key) read += dict.contains(key);
                    const std::size_t size = dict.size();
                    expect(size == 2 || size == size_after, "another size");
                    expect(size == read, "who reads without the lock has found other entries");
                    expect(size == dict.items().size(), "size() was wrong");
                    dict[9] = 9;
                    expect(dict.at(9) == 9, "a new entry is not found");
                }};
}

// --- list ---

using List = mp::ListProxy<std::string>;
using Texts = std::vector<std::string>;

void check_list(const List& list, const Texts& before, const Texts& after) {
    const std::size_t size = list.size();
    const bool is_empty = list.empty();
    Texts read;  // one by one, which takes no lock
    for (std::size_t i = 0; i < size; ++i) read.push_back(list[static_cast<std::ptrdiff_t>(i)]);
    const Texts found = list.to_vector();
    expect(read == found, "who reads without the lock has found other items");
    expect(found == before || found == after, "neither the items of before nor those of after");
    expect(size == found.size() && is_empty == found.empty(), "size() or empty() was wrong");
    for (int i = 0; i < 10; ++i) list.append("x");
    for (int i = 0; i < 10; ++i) expect(list.pop() == "x", "another item than was appended");
    expect(list.to_vector() == found, "items that came and went left a trace");
}

const Texts three{"c", "a", "b"};

Trial on_list(const std::function<void(const List&)>& operation, const Texts& after,
              const Texts& before = three) {
    const List list = manager().list<std::string>(before);
    return {.operation = [=] { operation(list); },
            .check = [=] { check_list(list, before, after); }};
}
Trial read_list(const std::function<void(const List&)>& operation) {
    return on_list(operation, three);
}
Texts doubled(Texts texts) {
    texts.insert(texts.end(), three.begin(), three.end());
    return texts;
}
Trial growth_of_list() {
    const Texts six(6, "s");  // as many as a new table has room for
    Texts seven = six;
    seven.emplace_back("d");
    return on_list([](const List& list) { list.append("d"); }, seven, six);
}

// --- Namespace ---

Trial on_namespace(const std::function<void(const mp::NamespaceProxy&)>& operation, int x_after,
                   bool has_y_after) {
    const auto space = manager().Namespace();
    space.set("x", 1);
    return {.operation = [=] { operation(space); },
            .check =
                [=] {
                    const bool has_x = space.has("x");
                    const int x = has_x ? space.get<int>("x") : 0;
                    expect(x == 1 || x == x_after, "another value");
                    expect(has_y_after || !space.has("y"), "a name that nobody has set");
                    expect(space.names().size() == std::size_t{has_x} + space.has("y"),
                           "names() was wrong");
                    space.set("y", 4);
                    expect(space.get<int>("y") == 4, "a name does not change");
                }};
}

/// Containers are made or dropped; others go on.
template <class Make>
Trial life(Make make, bool is_dropped) {
    const Dict other = manager().dict<std::string, std::string>(two);
    const auto check = [=] {
        check_dict(other, two, two);
        check_list(manager().list<std::string>(three), three, three);
    };
    return is_dropped ? stepkill::drop_one(make, check) : stepkill::make_one(make, check);
}
auto make_dict() { return manager().dict<std::string, std::string>(); }
auto make_list() { return manager().list<std::string>({"a", "b"}); }
auto make_nested() {
    const auto dict = manager().dict<int, List>();
    dict[1] = make_list();
    return dict;
}

const Row dict_changes[] = {
    {"dict[k] = v, new",
     [] {
         return on_dict([](const Dict& d) { d["c"] = "3"; }, {{"a", "1"}, {"b", "2"}, {"c", "3"}});
     }},
    {"dict[k] = v, there",
     [] {
         return on_dict([](const Dict& d) { d["b"] = "9"; }, {{"a", "1"}, {"b", "9"}});
     }},
    {"dict[k] = v, the table is full", growth_of_dict},
    {"dict[k] = v, after erasures", insert_after_erasures},
    {"dict.set, empty",
     [] {
         return on_dict([](const Dict& d) { d.set("a", "1"); }, {{"a", "1"}}, {});
     }},
    {"dict.setdefault, new",
     [] {
         return on_dict([](const Dict& d) { (void)d.setdefault("c", "3"); },
                        {{"a", "1"}, {"b", "2"}, {"c", "3"}});
     }},
    {"dict.setdefault, there",
     [] { return read_dict([](const Dict& d) { (void)d.setdefault("a", "3"); }); }},
    {"dict.update_with",
     [] {
         return on_dict(
             [](const Dict& d) { d.update_with("a", [](std::string& text) { text += "1"; }); },
             {{"a", "11"}, {"b", "2"}});
     }},
    {"dict.update_with, new",
     [] {
         return on_dict(
             [](const Dict& d) {
                 d.update_with(
                     "c", [](std::string& t) { t += "1"; }, "3");
             },
             {{"a", "1"}, {"b", "2"}, {"c", "31"}});
     }},
    {"dict.erase, the last",
     [] {
         return on_dict([](const Dict& d) { d.erase("b"); }, {{"a", "1"}});
     }},
    {"dict.erase, not there", [] { return read_dict([](const Dict& d) { d.erase("z"); }); }},
    {"dict.pop, the first",
     [] {
         return on_dict([](const Dict& d) { (void)d.pop("a"); }, {{"b", "2"}});
     }},
    {"dict.pop, not there", [] { return read_dict([](const Dict& d) { (void)d.pop("z", ""); }); }},
    {"dict.popitem",
     [] {
         return on_dict([](const Dict& d) { (void)d.popitem(); }, {{"a", "1"}});
     }},
    {"dict.update",
     [] {
         return on_dict(
             [](const Dict& d) {
                 d.update({{"a", "8"}, {"c", "3"}});
             },
             {{"a", "8"}, {"b", "2"}, {"c", "3"}});
     }},
    {"dict.update, another dict",
     [] {
         const Dict other = manager().dict<std::string, std::string>({{"b", "9"}});
         return on_dict([other](const Dict& d) { d.update(other); }, {{"a", "1"}, {"b", "9"}});
     }},
    {"dict.clear", [] { return on_dict([](const Dict& d) { d.clear(); }, {}); }},
    {"dict[k] = v, after a death",
     [] {
         return change_after_a_death([](const Dict& d) { d["c"] = "3"; },
                                     {{"a", "1"}, {"b", "2"}, {"c", "3"}});
     }},
    {"dict.size, after a death",
     [] { return change_after_a_death([](const Dict& d) { (void)d.size(); }, two); }},
    {"dict, printed after a death",
     [] { return change_after_a_death([](const Dict& d) { (void)text_of(d); }, two); }},
    {"dict[k] = v, there, beside a reader",
     [] {
         return beside_a_reader([](const Dict& d) { d["b"] = "9"; }, {{"a", "1"}, {"b", "9"}});
     }},
    {"dict.erase, the last, beside a reader",
     [] {
         return beside_a_reader([](const Dict& d) { d.erase("b"); }, {{"a", "1"}});
     }},
    {"dict.update, beside a reader",
     [] {
         return beside_a_reader(
             [](const Dict& d) {
                 d.update({{"a", "8"}, {"c", "3"}});
             },
             {{"a", "8"}, {"b", "2"}, {"c", "3"}});
     }},
    {"dict.clear, beside a reader",
     [] { return beside_a_reader([](const Dict& d) { d.clear(); }, {}); }},
    {"dict of numbers, new", [] { return on_numbers([](const auto& d) { d[3] = 3.5; }, 3); }},
    {"dict of numbers, there", [] { return on_numbers([](const auto& d) { d[2] += 1; }, 2); }},
    {"dict of numbers, erase", [] { return on_numbers([](const auto& d) { d.erase(2); }, 1); }},
};

const Row dict_reads[] = {
    {"dict.at", [] { return read_dict([](const Dict& d) { (void)d.at("a"); }); }},
    {"dict.get", [] { return read_dict([](const Dict& d) { (void)d.get("z"); }); }},
    {"dict.contains", [] { return read_dict([](const Dict& d) { (void)d.contains("a"); }); }},
    {"dict.size", [] { return read_dict([](const Dict& d) { (void)d.size(); }); }},
    {"dict.items", [] { return read_dict([](const Dict& d) { (void)d.items(); }); }},
    {"dict.keys", [] { return read_dict([](const Dict& d) { (void)d.keys(); }); }},
    {"dict.values", [] { return read_dict([](const Dict& d) { (void)d.values(); }); }},
    {"dict.to_map", [] { return read_dict([](const Dict& d) { (void)d.to_map(); }); }},
    {"dict, printed", [] { return read_dict([](const Dict& d) { (void)text_of(d); }); }},
};

const Row list_changes[] = {
    {"list.append",
     [] {
         return on_list([](const List& l) { l.append("d"); }, {"c", "a", "b", "d"});
     }},
    {"list.append, the table is full", growth_of_list},
    {"list[i] = x",
     [] {
         return on_list([](const List& l) { l[1] = "x"; }, {"c", "x", "b"});
     }},
    {"list[i] += x",
     [] {
         return on_list([](const List& l) { l[1] += "x"; }, {"c", "ax", "b"});
     }},
    {"list.insert",
     [] {
         return on_list([](const List& l) { l.insert(1, "i"); }, {"c", "i", "a", "b"});
     }},
    {"list.pop",
     [] {
         return on_list([](const List& l) { (void)l.pop(); }, {"c", "a"});
     }},
    {"list.pop(0)",
     [] {
         return on_list([](const List& l) { (void)l.pop(0); }, {"a", "b"});
     }},
    {"list.erase",
     [] {
         return on_list([](const List& l) { l.erase(1); }, {"c", "b"});
     }},
    {"list.remove",
     [] {
         return on_list([](const List& l) { l.remove("a"); }, {"c", "b"});
     }},
    {"list.extend",
     [] {
         return on_list([](const List& l) { l.extend({"x", "y"}); }, {"c", "a", "b", "x", "y"});
     }},
    {"list += list", [] { return on_list([](const List& l) { l += l; }, doubled(three)); }},
    {"list.set_slice",
     [] {
         return on_list(
             [](const List& l) {
                 l.set_slice(0, 2, {"x", "y", "z"});
             },
             {"x", "y", "z", "b"});
     }},
    {"list.update_with",
     [] {
         return on_list(
             [](const List& l) { l.update_with(0, [](std::string& text) { text += "c"; }); },
             {"cc", "a", "b"});
     }},
    {"list.sort",
     [] {
         return on_list([](const List& l) { l.sort(); }, {"a", "b", "c"});
     }},
    {"list.reverse",
     [] {
         return on_list([](const List& l) { l.reverse(); }, {"b", "a", "c"});
     }},
    {"list.clear", [] { return on_list([](const List& l) { l.clear(); }, {}); }},
};

const Row list_reads[] = {
    {"list.at", [] { return read_list([](const List& l) { (void)l.at(0); }); }},
    {"list.size", [] { return read_list([](const List& l) { (void)l.size(); }); }},
    {"list.slice", [] { return read_list([](const List& l) { (void)l.slice(0, 2); }); }},
    {"list.count", [] { return read_list([](const List& l) { (void)l.count("a"); }); }},
    {"list.index", [] { return read_list([](const List& l) { (void)l.index("a"); }); }},
    {"list, walked",
     [] {
         return read_list([](const List& l) {
             for (const std::string& text : l) (void)text;
         });
     }},
    {"list.contains", [] { return read_list([](const List& l) { (void)l.contains("z"); }); }},
    {"list, printed", [] { return read_list([](const List& l) { (void)text_of(l); }); }},
};

const Row others[] = {
    {"Namespace.set, there",
     [] { return on_namespace([](const auto& n) { n.set("x", 2); }, 2, false); }},
    {"Namespace.set, new",
     [] { return on_namespace([](const auto& n) { n.set("y", 3); }, 1, true); }},
    {"Namespace.get",
     [] { return on_namespace([](const auto& n) { (void)n.template get<int>("x"); }, 1, false); }},
    {"Namespace.names",
     [] { return on_namespace([](const auto& n) { (void)n.names(); }, 1, false); }},
    {"Namespace.del", [] { return on_namespace([](const auto& n) { n.del("x"); }, 0, false); }},
    {"dict: made", [] { return life(make_dict, false); }},
    {"dict: dropped", [] { return life(make_dict, true); }},
    {"list: made, filled", [] { return life(make_list, false); }},
    {"list: dropped", [] { return life(make_list, true); }},
    {"dict of lists: dropped", [] { return life(make_nested, true); }},
};

}  // namespace

TEST_CASE("Who is killed in a change of a dict has changed it wholly or not", "[managers][steps]") {
    stepkill::kill_everywhere(dict_changes);
}
TEST_CASE("Who is killed in a look at a dict leaves it as it was", "[managers][steps]") {
    stepkill::kill_everywhere(dict_reads);
}
TEST_CASE("Who is killed in a change of a list has changed it wholly or not", "[managers][steps]") {
    stepkill::kill_everywhere(list_changes);
}
TEST_CASE("Who is killed in a look at a list leaves it as it was", "[managers][steps]") {
    stepkill::kill_everywhere(list_reads);
}
TEST_CASE("Who is killed in a namespace, or with new objects, leaves the others in order",
          "[managers][steps]") {
    stepkill::kill_everywhere(others);
}
