// sharedctypes.hpp under every start method: Value, Array, RawValue, RawArray, typecode.
// SPDX-License-Identifier: MIT
#include <multiprocessing/context.hpp>
#include <multiprocessing/detail/huge_pages.hpp>
#include <multiprocessing/detail/mapped_region.hpp>
#include <multiprocessing/pool.hpp>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <numeric>
#include <sstream>
#include <string>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

constexpr int rounds = support::sanitized ? 2'000 : 100'000;

struct Point {
    int x;
    int y;
    friend bool operator==(const Point&, const Point&) = default;
};
static_assert(std::ranges::random_access_range<mp::Array<int>>);
static_assert(std::ranges::sized_range<mp::Array<Point>>);
static_assert(std::sortable<mp::Array<int>::iterator>);
static_assert(std::ranges::contiguous_range<mp::RawArray<double>>);
static_assert(mp::picklable<mp::Value<Point>> && mp::picklable<mp::Array<Point>> &&
              mp::picklable<mp::RawValue<int>> && mp::picklable<mp::RawArray<int>>);

void add_to(mp::Value<int> value, int times) {
    for (int i = 0; i < times; ++i) value.value += 1;
}
void step_element(mp::Array<int> array, int times) {
    for (int i = 0; i < times; ++i) {
        ++array[i % 3];
        array[-1] -= 1;
    }
}

struct Everything {
    mp::Value<int> number{0};
    mp::Value<Point> point{{1, 2}};
    mp::Array<double> array{1.0, 2.0, 3.0};
    mp::RawValue<long> raw{5};
    mp::RawArray<char> text{'a', 'b'};
    std::vector<mp::Value<short>> more;
};
void double_all(const Everything& all) {
    all.number.value = 7;
    all.point->x *= 2;
    all.point->y *= 2;
    for (auto element : all.array) element *= 2;
    all.raw.value *= 2;
    all.text[0] = 'x';
    all.more.at(1).value *= 2;
}
mp::Value<int> make_value(mp::Value<int> seen) {
    seen.value += 1;
    return mp::Value<int>(seen.value * 10);
}
void die_with_lock(mp::Value<int> value, mp::Event held) {
    value.get_lock().acquire();
    held.set();
    support::sleep_on();
}
void write_frozen(mp::RawArray<int> array, int index) {
    const rlimit none{0, 0};  // no core file
    ::setrlimit(RLIMIT_CORE, &none);
    array[index] = 1;
}
void write_when_told(mp::RawArray<int> array, mp::Event ready, mp::Event frozen) {
    array[0] = 5;
    ready.set();
    frozen.wait();
    if (array[0] == 5) write_frozen(array, 0);
}
void hold_for(mp::Value<Point> point, mp::Event held, mp::Event release) {
    const std::scoped_lock guard(point.get_lock());
    point.get_obj() = {5, 0};
    held.set();
    release.wait();
    point.get_obj().y = 5;
}

}  // namespace

TEMPLATE_TEST_CASE("Value += from several processes loses none", "[sharedctypes]", START_METHODS) {
    const Watchdog watchdog(240);
    const bool own_lock = GENERATE(true, false);
    for (const int workers : {2, 4, 8}) {
        const mp::Value<int> value = own_lock ? mp::Value<int>(0) : mp::Value<int>(0, mp::Lock());
        std::list<Child<TestType>> children;
        for (int i = 0; i < workers; ++i) children.emplace_back(add_to, value, rounds);
        for (auto& child : children) REQUIRE(child.join() == 0);
        REQUIRE(value.value == workers * rounds);
    }
}

TEMPLATE_TEST_CASE("Array elements are changed in one step", "[sharedctypes]", START_METHODS) {
    const Watchdog watchdog(240);
    constexpr int times = rounds / 10;
    const mp::Array<int> array({0, 0, 0, 0});
    std::list<Child<TestType>> children;
    for (int i = 0; i < 4; ++i) children.emplace_back(step_element, array, times);
    for (auto& child : children) REQUIRE(child.join() == 0);
    REQUIRE(array[0] + array[1] + array[2] == 4 * times);
    REQUIRE(array[3] == -4 * times);
}

TEST_CASE("Value::value takes part in arithmetic, comparison and streams", "[sharedctypes]") {
    const mp::Value<int> v(5);
    REQUIRE(v.value == 5);
    REQUIRE(5 == v.value);
    REQUIRE(v.value < 6);
    REQUIRE(v.value != 6L);
    REQUIRE(v.value + 1 == 6);
    REQUIRE(-v.value == -5);
    REQUIRE(2 * v.value * v.value == 50);
    int x = v.value;
    REQUIRE((v.value = 3) == 3);
    REQUIRE((v.value += 4) == 7);
    REQUIRE((v.value -= 1) == 6);
    REQUIRE((v.value *= 4) == 24);
    REQUIRE((v.value /= 5) == 4);
    REQUIRE((v.value %= 3) == 1);
    REQUIRE((v.value <<= 4) == 16);
    REQUIRE((v.value >>= 1) == 8);
    REQUIRE((v.value |= 3) == 11);
    REQUIRE((v.value &= 6) == 2);
    REQUIRE((v.value ^= 7) == 5);
    REQUIRE(++v.value == 6);
    REQUIRE(v.value++ == 6);
    REQUIRE(v.value-- == 7);
    REQUIRE(--v.value == x);
    const mp::Value<double> d(0.5);
    d.value *= v.value;
    d.value += 1;
    REQUIRE(d.value == 3.5);
    v.value = static_cast<int>(d.value);
    const mp::Value<int> w(40);
    v.value = w.value;
    REQUIRE(v.value == w.value);
    REQUIRE_FALSE(v == w);
    std::ostringstream text;
    text << v.value << ' ' << d.value;
    REQUIRE(text.str() == "40 3.5");
    const mp::Value<short> small(32767);
    small.value += 1;
    REQUIRE(small.value == -32768);
    const mp::Value<bool> flag(false);
    flag.value = true;
    REQUIRE(flag.value);
    REQUIRE(std::max<int>(v.value, 3) == 40);
}

TEST_CASE("Value holds a struct, whose fields -> reaches", "[sharedctypes]") {
    const mp::Value<Point> p({1, 2});
    p->x = 3;
    p->y += 10;
    REQUIRE(p->x == 3);
    REQUIRE(p.value == Point{3, 12});
    REQUIRE_FALSE(p.value == Point{0, 0});
    const Point copy = p.value;
    REQUIRE(copy.y == 12);
    p.value = {7, 8};
    REQUIRE(p.get_obj().y == 8);
    p.get_obj().x = 9;
    REQUIRE(p->x == 9);
}

TEMPLATE_TEST_CASE("Value's accesses wait for who has its lock", "[sharedctypes]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Value<Point> point({0, 0});
    const mp::Event held;
    const mp::Event release;
    Child<TestType> child(hold_for, point, held, release);
    held.wait();
    REQUIRE_FALSE(point.acquire(false));
    std::thread releaser([&] {
        ::usleep(50'000);
        release.set();
    });
    REQUIRE(point.value == Point{5, 5});
    releaser.join();
    point.acquire();
    REQUIRE(point->y == 5);  // its lock is an RLock
    point.release();
}

TEST_CASE("Value uses the lock that it is given, and returns it", "[sharedctypes]") {
    const mp::Lock lock;
    const mp::RLock recursive;
    const mp::Value<int> by_lock(1, lock);
    const mp::Value<int> by_recursive(1, recursive);
    const mp::Array<int> array(3, lock);
    const mp::Array<int> listed({1, 2}, recursive);
    const mp::Array<int> copied(std::vector<int>{1, 2}, lock);
    REQUIRE(by_lock.get_lock() == lock);
    REQUIRE(by_recursive.get_lock() == recursive);
    REQUIRE(array.get_lock() == lock);
    REQUIRE(listed.get_lock() == recursive);
    REQUIRE(copied.get_lock() == lock);
    REQUIRE_FALSE(mp::Value<int>(0).get_lock() == mp::Value<int>(0).get_lock());
    const mp::Value<int> own(0);
    const mp::RLock kept = own.get_lock();
    REQUIRE(own.get_lock() == kept);
    REQUIRE_THROWS_AS(mp::Lock(own.get_lock()), mp::TypeError);
    {
        const std::scoped_lock guard(own.get_lock());
        own.value += 1;
        std::thread([&] { CHECK_FALSE(kept.acquire(false)); }).join();
    }
    REQUIRE_FALSE(kept.locked());
    lock.acquire();
    REQUIRE_FALSE(by_lock.acquire(false));
    by_lock.get_obj() = 2;
    lock.release();
    REQUIRE(by_lock.value == 2);
}

TEST_CASE("A lock that a Value was given, or gave, lives as long as any of them",
          "[sharedctypes]") {
    const mp::Value<int> value = [] { return mp::Value<int>(3, mp::Lock()); }();
    value.value += 1;
    const mp::AnyLock kept = [] { return mp::Value<int>(3).get_lock(); }();
    const std::scoped_lock guard(kept);
    REQUIRE(kept.locked());
}

TEMPLATE_TEST_CASE("Shared objects travel in structs and containers", "[sharedctypes]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    Everything all;
    all.more.resize(2, mp::Value<short>(4));
    all.more[1] = mp::Value<short>(6);
    Child<TestType> child(double_all, all);
    REQUIRE(child.join() == 0);
    REQUIRE(all.number.value == 7);
    REQUIRE(all.point.value == Point{2, 4});
    REQUIRE(all.array.to_vector() == std::vector{2.0, 4.0, 6.0});
    REQUIRE(all.raw.value == 10);
    REQUIRE(all.text.to_vector() == std::vector{'x', 'b'});
    REQUIRE(all.more[0].value == 4);
    REQUIRE(all.more[1].value == 12);
}

TEMPLATE_TEST_CASE("Shared objects are arguments and results of a pool, made after its workers",
                   "[sharedctypes]", START_METHODS) {
    const Watchdog watchdog(60);
    mp::BasicPool<TestType> pool(2);
    const mp::Value<int> seen(0);
    std::vector<mp::Value<int>> made = pool.map(make_value, std::vector(8, seen));
    REQUIRE(seen.value == 8);
    int sum = 0;
    for (const auto& value : made) sum += value.value;
    REQUIRE(sum >= 360);
    made[0].value = pool.apply(make_value, seen).value;
    REQUIRE(made[0].value == 90);
}

TEMPLATE_TEST_CASE("Value whose lock's holder was killed is an AbandonedError until recovered",
                   "[sharedctypes][abandoned]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::Value<int> value(1);
    const mp::Event held;
    Child<TestType> child(die_with_lock, value, held);
    held.wait();
    child.kill();
    int x = 0;
    REQUIRE_THROWS_AS(x = value.value, mp::AbandonedError);
    REQUIRE_THROWS_AS(value.value = 2, mp::AbandonedError);
    REQUIRE_THROWS_AS(value.value += 2, mp::AbandonedError);
    REQUIRE(value.get_obj() == 1);
    REQUIRE(value.get_lock().recover());
    value.value = 2;  // it is an RLock, and ours
    value.release();
    REQUIRE(value.value == 2 + x);
}

TEST_CASE("Array is made of a size, a list or a range", "[sharedctypes]") {
    REQUIRE(mp::Array<int>(3).to_vector() == std::vector{0, 0, 0});
    REQUIRE(mp::Array<int>({1, 2, 3}).to_vector() == std::vector{1, 2, 3});
    REQUIRE(mp::Array<int>(std::views::iota(0, 4)).to_vector() == std::vector{0, 1, 2, 3});
    REQUIRE(mp::Array<double>(std::list<int>{1, 2}).to_vector() == std::vector{1.0, 2.0});
    REQUIRE(mp::Array<int>(0).empty());
    REQUIRE(mp::Array<int>({}).size() == 0);
    REQUIRE(mp::Array<int>(std::size_t{5}).size() == 5);
    REQUIRE_THROWS_AS(mp::Array<int>(-1), mp::ValueError);
    REQUIRE_THROWS_AS(mp::RawArray<int>(-1), mp::ValueError);
    REQUIRE_THROWS_AS(mp::Array<double>(std::size_t{1} << 61), std::bad_alloc);
    const mp::Array<Point> points({{1, 2}, {3, 4}});
    REQUIRE(points[1] == Point{3, 4});
    REQUIRE(mp::RawArray<Point>(2)[1] == Point{0, 0});
    const mp::Array<int> copy(mp::Array<int>({4, 5}).to_vector());
    REQUIRE(copy[-1] == 5);
}

TEST_CASE("Array is indexed and sliced as in Python", "[sharedctypes]") {
    const mp::Array<int> a({0, 10, 20, 30, 40});
    REQUIRE(a.size() == 5);
    a[1] = a[2] + 1;
    REQUIRE(a[1] == 21);
    a[0] = a[1];
    REQUIRE(a[0] == 21);
    a[0] = 0;
    a[1] = 10;
    REQUIRE(a[-1] == 40);
    REQUIRE(a[-5] == 0);
    for (const int index : {5, -6, 1000}) {
        REQUIRE_THROWS_AS(a[index], mp::IndexError);
        REQUIRE_THROWS_AS(mp::RawArray<int>(5)[index], mp::IndexError);
    }
    REQUIRE(a.slice(1, 3) == std::vector{10, 20});
    REQUIRE(a.slice(-2, 100) == std::vector{30, 40});
    REQUIRE(a.slice(-100, 1) == std::vector{0});
    REQUIRE(a.slice(3, 1).empty());
    REQUIRE(a.slice(7, 9).empty());
    REQUIRE(a.slice(3) == std::vector{30, 40});
    REQUIRE(a.slice() == a.to_vector());
    a.set_slice(1, 3, {11, 21});
    REQUIRE(a.to_vector() == std::vector{0, 11, 21, 30, 40});
    REQUIRE_THROWS_WITH(a.set_slice(1, 3, {1}), "Can only assign sequence of same size");
    REQUIRE_THROWS_AS(a.set_slice(1, 3, std::vector{1, 2, 3}), mp::ValueError);
    a.set_slice(0, 2, a.slice(3, 5));
    REQUIRE(a.to_vector() == std::vector{30, 40, 21, 30, 40});
    REQUIRE(mp::RawArray<int>({1, 2, 3}).slice(-2, 3) == std::vector{2, 3});
}

TEST_CASE("Array is a range that algorithms read and write", "[sharedctypes]") {
    const mp::Array<int> a({3, 1, 2});
    std::ranges::sort(a);
    REQUIRE(a.to_vector() == std::vector{1, 2, 3});
    std::sort(a.begin(), a.end(), std::greater<>());
    REQUIRE(a.to_vector() == std::vector{3, 2, 1});
    std::ranges::reverse(a);
    REQUIRE(std::accumulate(a.begin(), a.end(), 0) == 6);
    REQUIRE(std::ranges::equal(a, std::vector{1, 2, 3}));
    std::ranges::fill(a, 4);
    for (auto element : a) element += 1;
    int sum = 0;
    for (const int element : a) sum += element;
    REQUIRE(sum == 15);
    REQUIRE(std::ranges::count(a, 5) == 3);
    std::ostringstream text;
    text << a[0];
    REQUIRE(text.str() == "5");
    REQUIRE(a.end() - a.begin() == 3);
    REQUIRE(a.begin()[2] == 5);
    std::ranges::iota_view<int, int> source(0, 3);
    std::ranges::copy(source, a.begin());
    REQUIRE((a | std::views::transform([](int x) { return 2 * x; }))[2] == 4);
    for (int& x : a.get_obj()) ++x;
    REQUIRE(a[2] == 3);
    const mp::RawArray<int> raw({3, 1, 2});
    std::ranges::sort(raw);
    REQUIRE(std::ranges::equal(raw, std::vector{1, 2, 3}));
}

TEST_CASE("A large array takes the pages that are touched, and gives them back", "[sharedctypes]") {
    const std::size_t before = mp::detail::heap().segment().memory();
    const auto used = [&] { return mp::detail::heap().segment().memory() - before; };
    {
        const mp::Array<double> a(std::size_t{100} << 20);
        REQUIRE(used() < (1 << 20));
        REQUIRE(a[a.size() / 2] == 0);
        std::ranges::fill(a.get_obj().first(1 << 20), 1.0);
        REQUIRE(used() >= (8 << 20));
        REQUIRE(used() < (10 << 20));
        const mp::Array<double> second = a;
    }
    REQUIRE(used() < (1 << 20));
}

TEST_CASE("Array of char has a value that ends at its NUL", "[sharedctypes]") {
    const mp::Array<char> a(5);
    REQUIRE(a.value().empty());
    a.set_value("abc");
    REQUIRE(a.value() == "abc");
    REQUIRE(a.raw() == std::string("abc\0\0", 5));
    a.set_value("hello");
    REQUIRE(a.value() == "hello");
    a.set_value("x");
    REQUIRE(a.value() == "x");
    REQUIRE(a.raw() == std::string("x\0llo", 5));
    REQUIRE_THROWS_WITH(a.set_value("too long"), "byte string too long");
}

TEST_CASE("RawValue is the object itself", "[sharedctypes]") {
    const mp::RawValue<int> raw(3);
    raw.value += 2;
    mp::RawValue<int> copy = raw;
    REQUIRE(copy.value == 5);
    copy.value = 6;
    REQUIRE(raw.value == 6);
    copy = mp::RawValue<int>(1);
    REQUIRE(copy.value == 1);
    REQUIRE(raw.value == 6);
    REQUIRE_FALSE(copy == raw);
    REQUIRE(mp::RawValue<Point>().value == Point{0, 0});
    static_assert(std::is_same_v<decltype(raw.value), int&>);
}

TEMPLATE_TEST_CASE("RawArray.freeze makes its elements read-only in every process",
                   "[sharedctypes]", START_METHODS) {
    const Watchdog watchdog(60);
    const mp::RawArray<int> array(100'000);
    const mp::Event ready;
    const mp::Event frozen;
    Child<TestType> early(write_when_told, array, ready, frozen);
    ready.wait();
    array[99'999] = 7;
    array.freeze();
    array.freeze();
    frozen.set();
    REQUIRE(early.join() == -SIGSEGV);
    for (const int index : {0, 50'000, -1}) {
        Child<TestType> late(write_frozen, array, index);
        REQUIRE(late.join() == -SIGSEGV);
    }
    REQUIRE(array[0] == 5);
    REQUIRE(array[-1] == 7);
    REQUIRE(array.to_vector().size() == 100'000);
}

TEST_CASE("RawArray gives its pages back writable when it was frozen", "[sharedctypes]") {
    const auto mappings = support::mapping_count();
    for (int i = 0; i < 20; ++i) {
        mp::RawArray<double> array(std::vector(50'000, 1.5));
        array.freeze();
        REQUIRE(support::mapping_count() > mappings);
        const mp::RawArray<double> copy = array;
        REQUIRE(copy[3] == 1.5);
        array = mp::RawArray<double>({1.0});
        array[0] = 2;
        REQUIRE(copy.slice(0, 2) == std::vector{1.5, 1.5});
    }
    // A mapping that stayed would stay each time; a sanitizer's allocator takes one now and then.
    REQUIRE(support::mapping_count() < mappings + 10);
    const mp::RawArray<int> small({1, 2});  // shares its page with others
    small.freeze();
    REQUIRE(small.to_vector() == std::vector{1, 2});
}

namespace {

constexpr std::size_t huge = mp::detail::huge_page_size;

/// Returns whether this kernel makes a huge page of shared memory when it is asked to.
bool kernel_has_huge_pages() {
    const mp::detail::Descriptor file(::memfd_create("test", MFD_CLOEXEC));
    REQUIRE(::ftruncate(file.get(), huge) == 0);
    const auto region = mp::detail::map_sparse_file(file.get(), huge);
    *static_cast<char*>(region.get_address()) = 1;
    return ::madvise(region.get_address(), huge, 25 /* MADV_COLLAPSE */) == 0;
}

void add_up(const mp::RawArray<long>& array, const mp::Value<long>& sum) {
    sum.value = std::accumulate(array.begin(), array.end(), 0L);
    for (long& element : array) element = 2;
}

}  // namespace

TEMPLATE_TEST_CASE("An array may lie in huge pages", "[sharedctypes]", START_METHODS) {
    const Watchdog watchdog(60);
    if (!kernel_has_huge_pages()) WARN("this kernel gives no huge pages on demand");
    const std::size_t before = support::huge_bytes_at(mp::detail::heap().at(0));
    const std::size_t bytes = 8 * huge;
    const mp::RawArray<long> array({.huge_pages = true}, bytes / sizeof(long));
    REQUIRE(std::ranges::all_of(array, [](long element) { return element == 0; }));
    if (kernel_has_huge_pages())
        REQUIRE(support::huge_bytes_at(array.data()) >= before + bytes - 2 * huge);
    std::ranges::fill(array, 1);
    const mp::Value<long> sum(0);
    Child<TestType> reader(add_up, array, sum);
    REQUIRE(reader.join() == 0);
    REQUIRE(sum.value == static_cast<long>(array.size()));
    REQUIRE(std::ranges::all_of(array, [](long element) { return element == 2; }));
    array.freeze();
    REQUIRE(array[-1] == 2);
}

TEST_CASE("An array's huge pages are given back", "[sharedctypes]") {
    const Watchdog watchdog(60);
    const mp::detail::Segment& segment = mp::detail::heap().segment();
    const std::size_t before = segment.memory();
    for (std::size_t i = 0; i < 20; ++i) {
        const mp::Array<char> array({.huge_pages = true}, 32 * huge + i);
        array[-1] = 'x';
        REQUIRE(array[5] == 0);
        const mp::Lock lock;
        const mp::Array<int> guarded({.huge_pages = true}, std::vector{1, 2, 3}, lock);
        REQUIRE(guarded.to_vector() == std::vector{1, 2, 3});
        REQUIRE(guarded.get_lock() == lock);
    }
    // Some free pages are kept.
    REQUIRE(segment.memory() <= before + (12 << 20));
}

TEST_CASE("Small arrays and empty ones may ask for huge pages in vain", "[sharedctypes]") {
    REQUIRE(mp::RawArray<int>({.huge_pages = true}, 0).empty());
    REQUIRE(mp::RawArray<int>({.huge_pages = true}, std::vector{1, 2})[-1] == 2);
    REQUIRE(mp::Array<int>({.huge_pages = true}, 3, mp::RLock()).to_vector() == std::vector(3, 0));
    REQUIRE_THROWS_AS(mp::RawArray<int>({.huge_pages = true}, -1), mp::ValueError);
    REQUIRE_THROWS_AS(mp::RawArray<long>({.huge_pages = true}, SIZE_MAX / 8), std::bad_alloc);
}

TEST_CASE("An over-aligned type is aligned in shared memory", "[sharedctypes]") {
    struct alignas(32) Wide {
        char bytes[40];
    };
    const mp::Value<Wide> value;
    const mp::Array<Wide> array(3);
    const mp::RawArray<Wide> raw(3);
    const mp::RawArray<Wide> large(3'000);
    for (Wide* place : {&value.get_obj(), array.get_obj().data(), &array.get_obj()[1], raw.data(),
                        large.data()}) {
        REQUIRE(reinterpret_cast<std::uintptr_t>(place) % 32 == 0);
    }
}

TEST_CASE("typecode gives the types of Python's codes", "[sharedctypes]") {
    static_assert(std::is_same_v<mp::typecode<'c'>, char>);
    static_assert(std::is_same_v<mp::typecode<'u'>, wchar_t>);
    static_assert(std::is_same_v<mp::typecode<'b'>, signed char>);
    static_assert(std::is_same_v<mp::typecode<'B'>, unsigned char>);
    static_assert(std::is_same_v<mp::typecode<'h'>, short>);
    static_assert(std::is_same_v<mp::typecode<'H'>, unsigned short>);
    static_assert(std::is_same_v<mp::typecode<'i'>, int>);
    static_assert(std::is_same_v<mp::typecode<'I'>, unsigned>);
    static_assert(std::is_same_v<mp::typecode<'l'>, long>);
    static_assert(std::is_same_v<mp::typecode<'L'>, unsigned long>);
    static_assert(std::is_same_v<mp::typecode<'q'>, long long>);
    static_assert(std::is_same_v<mp::typecode<'Q'>, unsigned long long>);
    static_assert(std::is_same_v<mp::typecode<'f'>, float>);
    static_assert(std::is_same_v<mp::typecode<'d'>, double>);
    const mp::Value<mp::typecode<'d'>> v(0.0);
    v.value += 0.5;
    REQUIRE(v.value == 0.5);
}

TEST_CASE("A context makes what processes share", "[sharedctypes][context]") {
    const auto check = [](auto context) {
        const auto lock = context.RLock();
        const std::scoped_lock guard(lock);
        REQUIRE(context.Lock().acquire());
        REQUIRE(context.Semaphore(3).get_value() == 3);
        REQUIRE(context.BoundedSemaphore().get_value() == 1);
        REQUIRE(context.Condition(lock).get_lock() == lock);
        REQUIRE(context.Condition().acquire());
        REQUIRE_FALSE(context.Event().is_set());
        REQUIRE(context.Barrier(1).wait() == 0);
        REQUIRE(context
                    .Barrier(
                        2, [] {}, 0.5)
                    .parties() == 2);
        const auto value = context.template Value<int>(4, lock);
        value.value += 1;
        REQUIRE(value.value == 5);
        REQUIRE(context.template Value<Point>({1, 2}).value == Point{1, 2});
        REQUIRE(context.template RawValue<double>(0.5).value == 0.5);
        REQUIRE(context.template Array<int>({1, 2})[1] == 2);
        REQUIRE(context.template Array<int>({1, 2}, lock).get_lock() == lock);
        REQUIRE(context.template Array<int>(5).size() == 5);
        REQUIRE(context.template RawArray<int>({1, 2}).size() == 2);
        REQUIRE(context.template RawArray<int>(5).size() == 5);
    };
    check(mp::get_context<"fork">());
    check(mp::get_context<"spawn">());
}
