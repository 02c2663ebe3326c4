// dummy.hpp: the library's names on threads. SPDX-License-Identifier: MIT
// ALONE: it includes its program in namespaces of its own
#include <multiprocessing.hpp>
#include <multiprocessing/dummy.hpp>

#include <poll.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing::dummy;
using namespace std::chrono_literals;
using support::Watchdog;

namespace {

int square(int x) { return x * x; }
int add(int a, int b) { return a + b; }
void nothing() {}
void fail() { throw std::runtime_error("on purpose"); }
void leave(int status) { mp::exit(status); }
void wait_for(mp::Event event) { event.wait(); }

struct Consumer {
    mp::Queue<std::string> names;
    void run() { names.put(mp::current_process().name()); }
};

struct Mine : mp::Process {
    int result = 0;
    void run() override { result = 42; }
};

}  // namespace

// One program, for processes and for threads.
namespace on_processes {
namespace mp = multiprocessing;
#include "tests/dummy_program.hpp"
}  // namespace on_processes
namespace on_threads {
namespace mp = multiprocessing::dummy;
#include "tests/dummy_program.hpp"
}  // namespace on_threads

TEST_CASE("A program gives the same on threads as on processes", "[dummy]") {
    const Watchdog watchdog(60);
    const std::string expected = on_processes::program();
    REQUIRE_FALSE(expected.empty());
    REQUIRE(on_threads::program() == expected);
}

TEST_CASE("A dummy Process runs an object with run(), and is named after its class", "[dummy]") {
    const Watchdog watchdog(60);
    const mp::Queue<std::string> names;
    mp::Process process(Consumer{names});
    process.start();
    process.join();
    REQUIRE(names.get().starts_with("Consumer-"));
}

TEST_CASE("A dummy Process is a thread with an exit code", "[dummy]") {
    const Watchdog watchdog(60);
    mp::Event event;
    mp::Process process({.name = "worker", .daemon = true}, wait_for, event);
    REQUIRE(process.name() == "worker");
    REQUIRE(process.daemon());
    REQUIRE_FALSE(process.is_alive());
    REQUIRE(process.pid() == std::nullopt);
    REQUIRE_THROWS_AS(process.join(), mp::AssertionError);
    REQUIRE_THROWS_AS(process.terminate(), mp::AssertionError);
    REQUIRE_THROWS_AS(process.sentinel(), mp::ValueError);
    process.start();
    REQUIRE(process.is_alive());
    REQUIRE(process.ident() == process.pid());
    REQUIRE(*process.pid() != ::getpid());
    REQUIRE(process.exitcode() == std::nullopt);
    REQUIRE_FALSE(process.join(0.01));
    REQUIRE(mp::active_children().size() == 1);
    REQUIRE(mp::connection::wait({process}, 0).empty());
    REQUIRE_THROWS_AS(process.start(), mp::AssertionError);
    REQUIRE_THROWS_AS(process.set_daemon(false), mp::AssertionError);
    REQUIRE_THROWS_AS(process.close(), mp::ValueError);
    event.set();
    REQUIRE(mp::connection::wait({process}, 30).size() == 1);
    REQUIRE(process.join(30s));
    REQUIRE(process.exitcode() == 0);
    REQUIRE(mp::active_children().empty());
    process.terminate();
    process.close();
    REQUIRE_THROWS_AS(process.is_alive(), mp::ValueError);
}

TEST_CASE("A running thread refuses to be killed with an error that says why", "[dummy]") {
    const Watchdog watchdog(60);
    mp::Event event;
    mp::Process process(wait_for, event);
    process.start();
    REQUIRE_THROWS_AS(process.terminate(), mp::RuntimeError);
    REQUIRE_THROWS_AS(process.kill(), mp::RuntimeError);
    REQUIRE_THROWS_AS(process.interrupt(), mp::RuntimeError);
    REQUIRE_THROWS_AS(mp::active_children()[0].terminate(), mp::RuntimeError);
    event.set();
    process.join();
}

TEST_CASE("An exception in a dummy Process is exit code 1, exit(n) is n", "[dummy]") {
    const Watchdog watchdog(60);
    mp::Process failing(fail);
    mp::Process leaving(leave, 263);
    failing.start();
    leaving.start();
    failing.join();
    leaving.join();
    REQUIRE(failing.exitcode() == 1);
    REQUIRE(leaving.exitcode() == 7);
}

TEST_CASE("A subclass of a dummy Process runs its own run", "[dummy]") {
    const Watchdog watchdog(60);
    Mine mine;
    mine.start();
    mine.join();
    REQUIRE(mine.result == 42);
}

TEST_CASE("Threads have the names and the kin of processes", "[dummy]") {
    const Watchdog watchdog(60);
    REQUIRE(mp::current_process().name() == "MainProcess");
    REQUIRE_FALSE(mp::current_process().exitcode());
    REQUIRE_FALSE(mp::parent_process());
    std::string seen;
    std::string inner_name;  // Catch2 takes assertions from one thread at a time
    mp::Process process({.name = "outer"}, [&] {
        seen = mp::current_process().name() + " of " + mp::parent_process()->name();
        mp::Process inner([&seen] {
            seen += ", " + mp::parent_process()->name();
            pollfd end_of_parent{mp::parent_process()->sentinel(), POLLIN, 0};
            if (::poll(&end_of_parent, 1, 0) == 0) seen += ", which runs";
        });
        inner_name = inner.name();
        inner.start();
        inner.join();
    });
    process.start();
    REQUIRE(process.authkey() == mp::current_process().authkey());
    process.join();
    REQUIRE(process.exitcode() == 0);
    REQUIRE(seen == "outer of MainProcess, outer, which runs");
    REQUIRE(inner_name.ends_with(":1"));
    REQUIRE(mp::active_children().empty());  // which forgets the ended one, and its sentinel
}

TEST_CASE("A dummy Process may go while its thread runs", "[dummy]") {
    const Watchdog watchdog(60);
    mp::Queue<int> queue;
    mp::Event event;
    {
        mp::Process process([queue, event]() mutable {
            event.wait();
            queue.put(3);
        });
        process.start();
    }
    event.set();
    REQUIRE(queue.get(true, 30) == 3);
    for (const auto& child : mp::active_children()) child.join();
}

TEST_CASE("A daemon has no children, also as a thread", "[dummy]") {
    const Watchdog watchdog(60);
    bool refused = false;
    mp::Process process({.daemon = true}, [&refused] {
        mp::Process inner(nothing);
        try {
            inner.start();
        } catch (const mp::AssertionError&) {
            refused = true;
        }
    });
    process.start();
    process.join();
    REQUIRE(refused);
}

TEST_CASE("The pools, managers and contexts of dummy are threads", "[dummy]") {
    const Watchdog watchdog(60);
    mp::Pool pool(mp::PoolOptions{.processes = 2, .maxtasksperchild = 3});
    int called = 0;
    REQUIRE(pool.map([&called](int x) { return x + called; }, {1, 2}) == std::vector{1, 2});
    REQUIRE(pool.starmap(add, {{1, 2}, {3, 4}}) == std::vector{3, 7});
    REQUIRE_THROWS_AS(mp::Pool(mp::PoolOptions{.retries = -1}), mp::ValueError);
    mp::Manager manager;
    auto inner = manager.Pool(1);
    REQUIRE(inner.apply(square, 3) == 9);
    constexpr auto context = mp::get_context<"spawn">();
    REQUIRE(context.get_start_method() == "spawn");
    auto process = context.Process({.name = "named"}, [&called] { called = 5; });
    process.start();
    process.join();
    REQUIRE(called == 5);
    auto small = context.Pool({.processes = 1});
    REQUIRE(small.apply(square, 2) == 4);
    auto lock = mp::get_context().Lock();
    REQUIRE(lock.acquire());
    lock.release();
}
