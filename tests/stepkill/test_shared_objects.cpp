// Who is killed anywhere in an access to a shared object has changed it or not, or leaves it
// abandoned, so that the next one knows.
// SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <multiprocessing/shared_objects.hpp>

#include <memory>
#include <string>
#include <vector>

#include "tests/stepkill/stepper.hpp"

using mp::shared::string;
using stepkill::expect;
using stepkill::Row;
using stepkill::Trial;

namespace {

/// Takes the lock. @returns whether it was abandoned; then the object is a new one
template <class T>
bool lock_or_renew(const mp::Shared<T>& shared) {
    try {
        expect(shared.acquire(true, 1.5), "the lock cannot be had");
        return false;
    } catch (const mp::AbandonedError&) {
        shared.get_lock().recover();
        std::construct_at(&shared.get_obj());
        return true;
    }
}

/// An operation on an object of `before`, which makes it `after`.
template <class T, class Content>
Trial on_object(const std::function<void(const mp::Shared<T>&)>& operation, const Content& before,
                const Content& after) {
    const mp::Shared<T> shared(T(before.begin(), before.end()));
    return {.operation = [=] { operation(shared); },
            .check =
                [=] {
                    const bool is_new = lock_or_renew(shared);
                    const Content found(shared->begin(), shared->end());
                    expect(is_new ? found.empty() : found == before || found == after,
                           "neither the content of before nor that of after");
                    shared.release();
                    shared->clear();
                    shared->insert(shared->end(), *before.begin());
                    expect(shared->size() == 1, "it cannot be changed any more");
                }};
}

using Numbers = mp::shared::vector<int>;
Trial on_vector(const std::function<void(const mp::Shared<Numbers>&)>& operation,
                const std::vector<int>& after) {
    return on_object<Numbers, std::vector<int>>(operation, {1, 2, 3}, after);
}

using Counts = mp::shared::map<int, int>;
using Pairs = std::vector<std::pair<const int, int>>;
Trial on_map(const std::function<void(const mp::Shared<Counts>&)>& operation, const Pairs& after) {
    const mp::Shared<Counts> shared;
    shared->emplace(1, 10);
    shared->emplace(2, 20);
    const Pairs before{{1, 10}, {2, 20}};
    return {.operation = [=] { operation(shared); },
            .check =
                [=] {
                    const bool is_new = lock_or_renew(shared);
                    const Pairs found(shared->begin(), shared->end());
                    expect(is_new ? found.empty() : found == before || found == after,
                           "neither the content of before nor that of after");
                    shared.release();
                    shared.with([](auto& map) { map[7] = 70; });
                    expect(shared->at(7) == 70, "it cannot be changed any more");
                }};
}

using Table = mp::shared::unordered_map<int, int>;
Trial on_table(const std::function<void(const mp::Shared<Table>&)>& operation, std::size_t after) {
    const mp::Shared<Table> shared;
    for (int i = 0; i < 5; ++i) shared->emplace(i, i);
    return {.operation = [=] { operation(shared); },
            .check =
                [=] {
                    const bool is_new = lock_or_renew(shared);
                    const std::size_t size = shared->size();
                    expect(is_new ? size == 0 : size == 5 || size == after, "another size");
                    shared.release();
                    shared->emplace(70, 7);
                    expect(shared->at(70) == 7, "it cannot be changed any more");
                }};
}

Trial on_text() {
    const mp::Shared<string> shared("a text that does not fit into the object itself");
    return {.operation = [=] { shared->assign("another text, as long as the first one was"); },
            .check =
                [=] {
                    lock_or_renew(shared);
                    shared.release();
                    shared->assign("b");
                    expect(*shared.lock() == "b", "it cannot be changed any more");
                }};
}

Trial on_number(const std::function<void(const mp::Shared<long>&)>& operation) {
    const mp::Shared<long> shared(1L);
    return {.operation = [=] { operation(shared); },
            .check =
                [=] {
                    lock_or_renew(shared);
                    const long found = shared.get_obj();
                    expect(found == 0 || found == 1 || found == 2, "another number");
                    shared.release();
                    expect(shared.with([](long& number) { return number = 5; }) == 5, "no change");
                }};
}

Trial freeze() {
    const mp::Shared<Numbers> shared(Numbers{1, 2, 3});
    return {.operation =
                [=] {
                    shared.freeze();
                    (void)shared.frozen();
                },
            .check =
                [=] {
                    try {
                        shared.freeze();
                    } catch (const mp::AbandonedError&) {
                        shared.get_lock().recover();
                        shared.release();
                        shared.freeze();
                    }
                    expect(shared.frozen() == Numbers{1, 2, 3}, "other content");
                }};
}

/// Objects are made or dropped while another one lives.
template <class Make>
Trial life(Make make, bool is_dropped) {
    const mp::Shared<Numbers> other(Numbers{1, 2, 3});
    const auto check = [=] {
        const mp::Shared<mp::shared::list<string>> shared;
        for (int i = 0; i < 50; ++i) shared->emplace_back("a text of some length");
        expect(shared->size() == 50 && other->size() == 3, "an object has changed");
    };
    return is_dropped ? stepkill::drop_one(make, check) : stepkill::make_one(make, check);
}
auto make_vector() { return mp::Shared<Numbers>(Numbers{1, 2}); }
auto make_map() {
    const mp::Shared<mp::shared::map<int, string>> map;
    map->emplace(1, "a text of some length");
    map->emplace(2, "b");
    return map;
}

using Vector = mp::Shared<Numbers>;
using Map = mp::Shared<Counts>;

const Row rows[] = {
    {"Shared<vector>->push_back",
     [] {
         return on_vector([](const Vector& v) { v->push_back(4); }, {1, 2, 3, 4});
     }},
    {"Shared<vector>->pop_back",
     [] {
         return on_vector([](const Vector& v) { v->pop_back(); }, {1, 2});
     }},
    {"Shared<vector>->clear", [] { return on_vector([](const Vector& v) { v->clear(); }, {}); }},
    {"Shared<vector>.with",
     [] {
         return on_vector([](const Vector& v) { v.with([](auto& n) { n[0] = 9; }); }, {9, 2, 3});
     }},
    {"Shared<vector>.lock",
     [] {
         return on_vector(
             [](const Vector& v) {
                 auto guard = v.lock();
                 guard->at(1) = 9;
             },
             {1, 9, 3});
     }},
    {"Shared<vector>: read",
     [] {
         return on_vector([](const Vector& v) { (void)v->size(); }, {1, 2, 3});
     }},
    {"Shared<map>->emplace",
     [] {
         return on_map([](const Map& m) { m->emplace(3, 30); }, {{1, 10}, {2, 20}, {3, 30}});
     }},
    {"Shared<map>->erase",
     [] {
         return on_map([](const Map& m) { m->erase(1); }, {{2, 20}});
     }},
    {"Shared<map>->at = x",
     [] {
         return on_map([](const Map& m) { m->at(2) = 25; }, {{1, 10}, {2, 25}});
     }},
    {"Shared<unordered_map>->emplace",
     [] { return on_table([](const auto& t) { t->emplace(9, 9); }, 6); }},
    {"Shared<unordered_map>->erase",
     [] { return on_table([](const auto& t) { t->erase(3); }, 4); }},
    {"Shared<deque>->push_front",
     [] {
         return on_object<mp::shared::deque<int>, std::vector<int>>(
             [](const auto& d) { d->push_front(0); }, {1, 2, 3}, {0, 1, 2, 3});
     }},
    {"Shared<list>->push_back",
     [] {
         return on_object<mp::shared::list<int>, std::vector<int>>(
             [](const auto& l) { l->push_back(4); }, {1, 2, 3}, {1, 2, 3, 4});
     }},
    {"Shared<string>->assign", on_text},
    {"Shared<long>.with",
     [] { return on_number([](const auto& n) { n.with([](long& number) { number = 2; }); }); }},
    {"Shared<long>.acquire, release",
     [] {
         return on_number([](const auto& n) {
             n.acquire();
             n.get_obj() = 2;
             n.release();
         });
     }},
    {"Shared.freeze, frozen", freeze},
    {"Shared<vector>: made", [] { return life(make_vector, false); }},
    {"Shared<vector>: dropped", [] { return life(make_vector, true); }},
    {"Shared<map>: made, filled", [] { return life(make_map, false); }},
    {"Shared<map>: dropped", [] { return life(make_map, true); }},
};

}  // namespace

TEST_CASE("Who is killed in an access to a shared object leaves it whole, or abandoned",
          "[steps]") {
    stepkill::kill_everywhere(rows);
}
