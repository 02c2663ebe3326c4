// Who is killed anywhere in an access to a value or an array leaves what was there before or after.
// SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <multiprocessing/sharedctypes.hpp>

#include <string>
#include <vector>

#include "tests/stepkill/stepper.hpp"

using stepkill::expect;
using stepkill::Row;
using stepkill::Trial;

namespace {

/// Makes the lock of a shared object usable again after its holder's death.
template <class Shared>
void recover(const Shared& shared) {
    try {
        expect(shared.acquire(true, 1.5), "the lock cannot be had");
    } catch (const mp::AbandonedError&) {
        shared.get_lock().recover();
    }
    shared.release();
}

/// An operation on a value of 6, which makes it `after`.
Trial on_value(const std::function<void(const mp::Value<long>&)>& operation, long after) {
    const mp::Value<long> value(6);
    return {.operation = [=] { operation(value); },
            .check =
                [=] {
                    recover(value);
                    const long found = value.value;
                    expect(found == 6 || found == after, fmt::format("the value is {}", found));
                    value.value += 1;
                    expect(value.value == found + 1, "+= does not add");
                }};
}

/// The same with a Lock of the program's as the guard.
Trial on_guarded_value() {
    const mp::Lock lock;
    const mp::Value<long> value(6, lock);
    return {.operation = [=] { value.value = 7; },
            .check =
                [=] {
                    recover(value);
                    expect(value.value == 6 || value.value == 7, "another value");
                    expect(!lock.locked(), "the lock is held by nobody");
                }};
}

struct Point {
    int x;
    int y;
};

/// A struct's fields change one by one: who holds the lock may leave any of them.
Trial on_field() {
    const mp::Value<Point> point(Point{1, 2});
    return {.operation = [=] { point->x = 3; },
            .check =
                [=] {
                    recover(point);
                    expect((point->x == 1 || point->x == 3) && point->y == 2, "another point");
                }};
}

using Numbers = mp::Array<int>;
using Content = std::vector<int>;

Trial on_array(const std::function<void(const Numbers&)>& operation, const Content& after) {
    const Content before{1, 2, 3};
    const Numbers array(before);
    return {.operation = [=] { operation(array); },
            .check =
                [=] {
                    recover(array);
                    const Content found = array.to_vector();
                    expect(found == before || found == after,
                           "neither the old elements nor the new");
                    array[0] = 10;
                    expect(array[0] == 10, "an element does not change");
                }};
}

/// Several elements change one by one: each is old or new.
Trial on_slice() {
    const Numbers array({1, 2, 3});
    return {.operation =
                [=] {
                    array.set_slice(0, 2, {7, 8});
                },
            .check =
                [=] {
                    recover(array);
                    const Content found = array.to_vector();
                    expect((found[0] == 1 || found[0] == 7) && (found[1] == 2 || found[1] == 8) &&
                               found[2] == 3,
                           "an element that is neither old nor new");
                }};
}

Trial on_text() {
    const mp::Array<char> text(8);
    text.set_value("before");
    return {.operation = [=] { text.set_value("after"); },
            .check =
                [=] {
                    recover(text);
                    (void)text.raw();
                    text.set_value("again");
                    expect(text.value() == "again", "the text does not change");
                }};
}

Trial on_raw() {
    const mp::RawValue<long> value(6);
    const mp::RawArray<int> array({1, 2, 3});
    return {.operation =
                [=] {
                    value.value = 7;
                    array[1] = 8;
                },
            .check =
                [=] {
                    expect(value.value == 6 || value.value == 7, "another value");
                    expect(array[0] == 1 && (array[1] == 2 || array[1] == 8) && array[2] == 3,
                           "another element");
                }};
}

Trial freeze() {
    const mp::RawArray<int> array(5'000);  // has pages of its own
    array[4'000] = 1;
    return {.operation = [=] { array.freeze(); },
            .check = [=] { expect(array[4'000] == 1 && array[0] == 0, "other elements"); }};
}

/// Objects are made or dropped; others go on making theirs.
template <class Make>
Trial life(Make make, bool is_dropped) {
    const mp::Value<long> other(6);
    const auto check = [=] {
        const mp::Array<int> array(20'000);
        for (const int element : array.get_obj()) expect(element == 0, "not zero");
        expect(other.value == 6, "another object has changed");
    };
    return is_dropped ? stepkill::drop_one(make, check) : stepkill::make_one(make, check);
}
mp::Value<long> make_value() { return mp::Value<long>(1); }
mp::Array<int> make_array() { return mp::Array<int>(100, mp::Lock()); }
mp::RawArray<int> make_raw_array() { return mp::RawArray<int>(20'000); }

using Value = mp::Value<long>;

const Row values[] = {
    {"Value: read", [] { return on_value([](const Value& v) { (void)v.value.load(); }, 6); }},
    {"Value = x", [] { return on_value([](const Value& v) { v.value = 9; }, 9); }},
    {"Value += x", [] { return on_value([](const Value& v) { v.value += 2; }, 8); }},
    {"Value -= x", [] { return on_value([](const Value& v) { v.value -= 2; }, 4); }},
    {"Value *= x", [] { return on_value([](const Value& v) { v.value *= 2; }, 12); }},
    {"Value /= x", [] { return on_value([](const Value& v) { v.value /= 2; }, 3); }},
    {"Value |= x", [] { return on_value([](const Value& v) { v.value |= 1; }, 7); }},
    {"Value <<= x", [] { return on_value([](const Value& v) { v.value <<= 1; }, 12); }},
    {"++Value", [] { return on_value([](const Value& v) { ++v.value; }, 7); }},
    {"Value--", [] { return on_value([](const Value& v) { v.value--; }, 5); }},
    {"Value = x, locked besides",
     [] {
         return on_value(
             [](const Value& v) {
                 v.acquire();
                 v.get_obj() = 9;
                 v.release();
             },
             9);
     }},
    {"Value = x, a Lock of its own", on_guarded_value},
    {"Value->field = x", on_field},
    {"RawValue = x, RawArray[i] = x", on_raw},
};

const Row arrays[] = {
    {"Array[i] = x",
     [] {
         return on_array([](const Numbers& a) { a[1] = 9; }, {1, 9, 3});
     }},
    {"Array[i] += x",
     [] {
         return on_array([](const Numbers& a) { a[1] += 5; }, {1, 7, 3});
     }},
    {"Array.to_vector",
     [] {
         return on_array([](const Numbers& a) { (void)a.to_vector(); }, {1, 2, 3});
     }},
    {"Array, walked",
     [] {
         return on_array(
             [](const Numbers& a) {
                 for (const int x : a) (void)x;
             },
             {1, 2, 3});
     }},
    {"Array.set_slice", on_slice},
    {"Array.set_value", on_text},
    {"RawArray.freeze", freeze},
    {"Value: made", [] { return life(make_value, false); }},
    {"Value: dropped", [] { return life(make_value, true); }},
    {"Array with a Lock: made", [] { return life(make_array, false); }},
    {"Array with a Lock: dropped", [] { return life(make_array, true); }},
    {"RawArray: made", [] { return life(make_raw_array, false); }},
    {"RawArray: dropped", [] { return life(make_raw_array, true); }},
};

}  // namespace

TEST_CASE("Who is killed in an access to a value leaves the old one or the new", "[steps]") {
    stepkill::kill_everywhere(values);
}
TEST_CASE("Who is killed in an access to an array leaves each element old or new", "[steps]") {
    stepkill::kill_everywhere(arrays);
}
