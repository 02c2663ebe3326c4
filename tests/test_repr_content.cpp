// What objects print of what they hold, and that all classes print. fmt/ranges.h comes after the
// library here, and before it in test_repr.cpp. SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <fmt/ranges.h>

#include <limits>
#include <sstream>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;

namespace {

struct Point {
    int x;
    int y;
};

template <class... Ts>
constexpr bool print = ((mp::detail::has_text<Ts> && fmt::is_formattable<Ts>::value) && ...);

static_assert(print<mp::Process, mp::SpawnProcess, mp::ForkServerProcess, mp::CurrentProcess,
                    mp::ParentProcess, mp::ActiveChild>);
static_assert(print<mp::Lock, mp::RLock, mp::AnyLock, mp::Semaphore, mp::BoundedSemaphore,
                    mp::Condition, mp::Event, mp::Barrier>);
static_assert(print<mp::Queue<Point>, mp::JoinableQueue<int>, mp::SimpleQueue<int>>);
static_assert(print<mp::Connection, mp::connection::Waitable>);
static_assert(print<mp::Value<int>, mp::Value<Point>, mp::RawValue<double>, mp::Array<int>,
                    mp::Array<Point>, mp::RawArray<char>>);
static_assert(print<mp::Pool, mp::ThreadPool, mp::BasicPool<mp::start_method::serial>,
                    mp::AsyncResult<int>, mp::ResultStream<int>, mp::ResultStream<void>,
                    mp::PoolStats, mp::WorkerStats, mp::TaskTime>);
static_assert(print<decltype(mp::progress(std::declval<std::vector<int>&>()))>);
static_assert(
    print<mp::ProcessPoolExecutor, mp::Future<void>, mp::Completed<int>, mp::DoneAndNotDone<int>>);
static_assert(print<mp::Manager, mp::DictProxy<std::string, int>, mp::DictProxy<int, Point>,
                    mp::ListProxy<mp::ListProxy<int>>, mp::NamespaceProxy>);
static_assert(print<mp::shared_memory::SharedMemory, mp::shared_memory::ShareableList,
                    mp::shared_memory::ShareableItem, mp::shared_memory::ShareableElement,
                    mp::SharedMemoryManager>);
static_assert(print<mp::ForkContext, mp::SpawnContext, mp::ForkServerContext, mp::SerialContext>);
static_assert(print<mp::Logger, mp::LogRecord, mp::util::Finalize>);
static_assert(
    print<mp::dummy::Process, mp::dummy::CurrentProcess, mp::dummy::ParentProcess,
          mp::dummy::ActiveChild, mp::dummy::Manager, mp::dummy::Pool, mp::dummy::ForkContext>);

/// What streams and fmt both say.
template <class T>
std::string repr(const T& object) {
    std::ostringstream stream;
    stream << object;
    CHECK(fmt::format("{}", object) == stream.str());
    return stream.str();
}

std::string python_repr(double number) { return mp::detail::float_repr(number); }

}  // namespace

TEST_CASE("Numbers are written as by Python", "[repr]") {
    CHECK(python_repr(0.1) == "0.1");
    CHECK(python_repr(-0.0) == "-0.0");
    CHECK(python_repr(1e15) == "1000000000000000.0");
    CHECK(python_repr(1e16) == "1e+16");
    CHECK(python_repr(1e-4) == "0.0001");
    CHECK(python_repr(9.9e-5) == "9.9e-05");
    CHECK(python_repr(1.7976931348623157e308) == "1.7976931348623157e+308");
    CHECK(python_repr(-std::numeric_limits<double>::infinity()) == "-inf");
    CHECK(python_repr(std::numeric_limits<double>::quiet_NaN()) == "nan");
}

TEST_CASE("Proxies print what they hold", "[repr]") {
    const support::Watchdog watchdog(60);
    mp::Manager manager;
    auto dict = manager.dict<std::string, std::vector<double>>();
    dict.set("it's", {1, 2.5});
    REQUIRE(repr(dict) == "{\"it's\": [1.0, 2.5]}");
    auto list = manager.list<mp::ListProxy<int>>();
    list.append(manager.list<int>({1, 2}));
    REQUIRE(repr(list) == "[[1, 2]]");
    REQUIRE(repr(list[0]) == "[1, 2]");
    REQUIRE(repr(manager.list<std::pair<bool, std::optional<int>>>({{true, std::nullopt}})) ==
            "[(True, None)]");
    REQUIRE(repr(manager.list<Point>({{1, 2}})) == "<ListProxy size=1>");
    auto space = manager.Namespace();
    space.set("name", "x");
    space.set("point", Point{1, 2});
    REQUIRE(repr(space).starts_with("Namespace(name='x', point=<"));
    const std::string many = repr(manager.list<int>(std::vector<int>(100'000)));
    REQUIRE(many.size() < 400);
    REQUIRE(many.ends_with("0, 0, ...]"));
    manager.shutdown();
    REQUIRE(repr(dict).ends_with("; its manager was shut down>"));
    REQUIRE(repr(list).starts_with("<ListProxy object, typeid 'list' at 0x"));
    REQUIRE(repr(space).starts_with("<NamespaceProxy object, typeid 'Namespace' at 0x"));
}

TEST_CASE("Printing does not wait for a lock", "[repr]") {
    const support::Watchdog watchdog(60);
    const mp::Manager manager;
    auto dict = manager.dict<int, int>({{1, 2}});
    dict.update_with(1, [&](int& value) {
        CHECK(repr(dict).ends_with("; in use>"));
        ++value;
    });
    REQUIRE(repr(dict) == "{1: 3}");
    const mp::Lock lock;
    const mp::Value<int> value(3, lock);
    const mp::Array<double> array({1, 0.5}, lock);
    mp::ForkProcess holder([&] {
        lock.acquire();
        ::_exit(0);
    });
    holder.start();
    holder.join();
    REQUIRE(repr(value) == "<Synchronized wrapper for int(3)>");
    REQUIRE(repr(array) == "<SynchronizedArray wrapper for [1.0, 0.5]>");
    REQUIRE(repr(mp::RawValue<bool>(true)) == "bool(True)");
    REQUIRE(repr(mp::Array<char>({'a', '\0'})) == "<SynchronizedString wrapper for b'a\\x00'>");
    REQUIRE(repr(mp::Array<Point>(2)) == "<SynchronizedArray size=2>");
}

TEST_CASE("The log takes every object", "[repr]") {
    static std::string logged;
    mp::get_logger().set_handler([](const mp::LogRecord& record) { logged = record.message; });
    mp::get_logger().warning("{} {}", mp::Queue<int>(2), mp::Value<int>(7).value);
    mp::get_logger().set_handler(nullptr);
    REQUIRE(logged == "<Queue size=0 maxsize=2>"
                      " 7");
}
