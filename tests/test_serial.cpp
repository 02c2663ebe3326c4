// get_context<"serial">(): everything runs in the caller, at once and in order.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>
#include <multiprocessing/detail/pidfd.hpp>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/nothing_left.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using support::NothingLeft;
using support::Watchdog;

namespace {

constexpr auto serial = mp::get_context<"serial">();

int square(int x) { return x * x; }
int multiply(int a, int b) { return a * b; }
int fail_at_3(int x) {
    if (x == 3) throw std::out_of_range("three");
    return x;
}
void exit_with(int status) { mp::exit(status); }
void throw_error() { throw std::runtime_error("boom"); }

struct Subclass : mp::BasicProcess<mp::start_method::serial> {
    int ran = 0;
    void run() override { ++ran; }
};

}  // namespace

TEST_CASE("A serial process has run when start returns", "[serial]") {
    const Watchdog watchdog(60);
    const NothingLeft nothing_left;
    std::string name;
    std::thread::id thread;
    auto process = serial.Process({.name = "worker"}, [&] {
        name = mp::current_process().name();
        thread = std::this_thread::get_id();
        CHECK(mp::parent_process()->pid() == ::getpid());
    });
    REQUIRE_FALSE(process.is_alive());
    process.start();
    REQUIRE(name == "worker");
    REQUIRE(thread == std::this_thread::get_id());
    REQUIRE_FALSE(process.is_alive());
    REQUIRE(process.join());
    REQUIRE(process.exitcode() == 0);
    REQUIRE(process.pid() == ::getpid());
    REQUIRE(mp::detail::poll_readable(process.sentinel(), mp::Timeout(0)));
    process.terminate();  // it has ended: nothing happens, least of all to this process
    process.kill();
    REQUIRE(mp::current_process().name() == "MainProcess");
    REQUIRE(mp::active_children().empty());
    process.close();
}

TEST_CASE("A serial process ends as a process does", "[serial]") {
    const Watchdog watchdog(60);
    const NothingLeft nothing_left;
    auto leaving = serial.Process(exit_with, 300);
    leaving.start();
    REQUIRE(leaving.exitcode() == 44);
    auto failing = serial.Process(throw_error);
    failing.start();
    REQUIRE(failing.exitcode() == 1);
    REQUIRE_THROWS_AS(failing.start(), mp::AssertionError);
    Subclass subclass;
    subclass.start();
    REQUIRE(subclass.ran == 1);
    auto daemon = serial.Process({.daemon = true}, [] {
        auto child = serial.Process(throw_error);
        child.start();
    });
    daemon.start();  // daemons have no children
    REQUIRE(daemon.exitcode() == 1);
}

TEST_CASE("A serial process waits for its own children", "[serial]") {
    const Watchdog watchdog(60);
    const NothingLeft nothing_left;
    mp::Value<int> done(0);
    auto process = serial.Process([&] {
        mp::ForkProcess child([&] {
            ::usleep(20'000);
            done.value = 1;
        });
        child.start();
    });
    process.start();
    REQUIRE(static_cast<int>(done.value) == 1);
}

TEST_CASE("A serial pool gives what a pool gives", "[serial]") {
    const Watchdog watchdog(60);
    const NothingLeft nothing_left;
    auto pool = serial.Pool(4);
    REQUIRE(pool.map(square, std::vector{1, 2, 3}) == std::vector{1, 4, 9});
    REQUIRE(pool.map(square, {4, 5}, 1) == std::vector{16, 25});
    REQUIRE(pool.map(square, std::vector<int>{}).empty());
    REQUIRE(pool.starmap(multiply, {{2, 3}, {4, 5}}) == std::vector{6, 20});
    REQUIRE(pool.apply(multiply, 6, 7) == 42);
    REQUIRE(pool.map_async(square, {1, 2}).get() == std::vector{1, 4});
    auto result = pool.apply_async(square, 8);
    REQUIRE(result.ready());
    REQUIRE(result.successful());
    REQUIRE(result.get() == 64);
    REQUIRE_THROWS_WITH(pool.map(fail_at_3, {1, 2, 3, 4}), "three");
    REQUIRE_THROWS_AS(pool.map(square, {1}, 0), mp::ValueError);
    REQUIRE_THROWS_AS(pool.join(), mp::ValueError);
    pool.close();
    REQUIRE_THROWS_WITH(pool.apply(square, 1), "Pool not running");
    pool.join();
}

TEST_CASE("A serial pool runs its tasks in order, in the caller", "[serial]") {
    const Watchdog watchdog(60);
    std::vector<int> order;
    auto pool = serial.Pool(mp::PoolOptions{.processes = 3}, [&] { order.push_back(-1); });
    const auto caller = std::this_thread::get_id();
    const auto note = [&](int x) {
        if (std::this_thread::get_id() != caller) order.push_back(-2);
        order.push_back(x);
        return x;
    };
    pool.map(note, {1, 2, 3}, 1);
    pool.apply_async({.callback = [&](int x) { order.push_back(10 * x); }}, note, 4);
    REQUIRE(order == std::vector{-1, 1, 2, 3, 4, 40});
}

TEST_CASE("A serial pool reads an endless input as its results are taken", "[serial]") {
    const Watchdog watchdog(60);
    int read = 0;
    auto pool = serial.Pool(2);
    {
        auto endless = std::views::iota(1) | std::views::transform([&](int x) {
                           ++read;
                           return x;
                       });
        auto stream = pool.imap(square, endless);
        REQUIRE(stream.next() == 1);
        REQUIRE(stream.next() == 4);
        REQUIRE(read <= 3);
        auto failing = pool.imap_unordered(fail_at_3, std::vector{2, 3, 4});
        REQUIRE(failing.next() == 2);
        REQUIRE_THROWS_WITH(failing.next(), "three");
        REQUIRE(failing.next() == 4);
        REQUIRE(failing.next() == std::nullopt);
    }
    pool.terminate();
    pool.join();
}

TEST_CASE("A serial pool reports errors of callbacks and initializers", "[serial]") {
    const Watchdog watchdog(60);
    auto pool = serial.Pool(1);
    std::string seen;
    auto result = pool.apply_async({.error_callback =
                                        [&](const std::exception_ptr& error) {
                                            try {
                                                std::rethrow_exception(error);
                                            } catch (const std::exception& e) {
                                                seen = e.what();
                                            }
                                        }},
                                   fail_at_3, 3);
    REQUIRE(seen == "three");
    REQUIRE_FALSE(result.successful());
    pool.apply_async({.callback = [](int) { throw std::runtime_error("in a callback"); }}, square,
                     1);
    auto broken = serial.Pool(2, throw_error);
    REQUIRE_THROWS_AS(broken.apply(square, 1), mp::BrokenProcessPool);
    // A task may end its own pool.
    auto ending = serial.Pool(1);
    REQUIRE_THROWS_AS(ending.map(
                          [&](int x) {
                              ending.terminate();
                              return x;
                          },
                          {1, 2}, 1),
                      mp::CancelledError);
}

TEST_CASE("The serial context is one, but no start method", "[serial]") {
    REQUIRE(serial.get_start_method() == "serial");
    for (const auto method : mp::get_all_start_methods()) CHECK(method != "serial");
    auto queue = serial.Queue<int>();
    auto producer = serial.Process([](mp::Queue<int> to) { to.put(5); }, queue);
    producer.start();
    REQUIRE(queue.get() == 5);
}
