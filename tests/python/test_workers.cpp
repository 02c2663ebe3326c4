// python/function.hpp in other processes: pools, executors, processes and threads, under every
// start method; workers that crash, hang, leave and are killed. SPDX-License-Identifier: MIT
#include "tests/python/support.hpp"

#include <chrono>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

using Catch::Matchers::ContainsSubstring;
using support::Random;
using support::Tidy;

namespace {

std::vector<long> numbers(long count) {
    std::vector<long> numbers;
    for (long i = 0; i < count; ++i) numbers.push_back(i);
    return numbers;
}

std::vector<long> squares(long count) {
    std::vector<long> squares;
    for (long i = 0; i < count; ++i) squares.push_back(i * i);
    return squares;
}

void check_in_child(const mp::python::function<long(long)>& square) {
    mp::exit(square(7) == 49 ? 5 : 1);
}

/// A file of its own in /tmp.
class File {
  public:
    File() { ::close(::mkstemp(name_)); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { ::unlink(name_); }
    [[nodiscard]] std::string name() const { return name_; }
    [[nodiscard]] std::string text() const { return support::contents_of(name_); }

  private:
    char name_[32] = "/tmp/python-output-XXXXXX";
};

}  // namespace

TEMPLATE_TEST_CASE("A pool maps functions of Python", "[python]", START_METHODS) {
    if (!there_is_python()) return;
    const Tidy tidy;
    const auto square = in_python<long(long)>("square");
    mp::BasicPool<TestType> pool(3);
    REQUIRE(pool.map(square, numbers(500)) == squares(500));
    REQUIRE(pool.map(square, numbers(20), 1) == squares(20));
    REQUIRE(pool.apply(square, 12) == 144);
    REQUIRE(pool.apply_async(square, 5).get() == 25);
    std::vector<long> streamed;
    for (const long x : pool.imap(square, numbers(50), 7)) streamed.push_back(x);
    REQUIRE(streamed == squares(50));
    REQUIRE(pool.starmap(mp::python::function<double(double, int)>("math:ldexp"),
                         {{1.0, 3}, {0.5, 1}}) == std::vector{8.0, 1.0});
    REQUIRE(pool.apply(mp::partial(mp::python::function<double(double, int)>("math:ldexp"), 1.0),
                       4) == 16);
    using Table = std::map<std::string, std::vector<double>>;
    REQUIRE(pool.apply(mp::python::function<Table(std::string)>("json:loads"),
                       "{\"a\": [1, 2.5]}") == Table{{"a", {1, 2.5}}});
    const mp::RawArray<double> array(1000);
    pool.apply(in_python<void(mp::RawArray<double>, double)>("fill"), array, 1.25);
    REQUIRE(array.to_vector() == std::vector<double>(1000, 1.25));
}

TEMPLATE_TEST_CASE("Processes and executors call functions of Python", "[python]", START_METHODS) {
    if (!there_is_python()) return;
    const Tidy tidy;
    const auto square = in_python<long(long)>("square");
    mp::BasicProcess<TestType> direct(in_python<void(long)>("leave"), 6);
    direct.start();
    mp::BasicProcess<TestType> child(check_in_child, square);
    child.start();
    direct.join();
    child.join();
    CHECK(direct.exitcode() == 6);
    CHECK(child.exitcode() == 5);
    mp::BasicProcessPoolExecutor<TestType> executor(2);
    CHECK(executor.submit(square, 9).result() == 81);
}

TEMPLATE_TEST_CASE("Errors of Python arrive from workers", "[python]", START_METHODS) {
    if (!there_is_python()) return;
    const Tidy tidy;
    const auto fail = in_python<int(std::string, std::string)>("fail");
    mp::BasicPool<TestType> pool(2);
    CHECK_THROWS_AS(pool.apply(fail, "KeyError", "k"), mp::KeyError);
    CHECK_THROWS_AS(pool.apply(fail, "MemoryError", "m"), std::bad_alloc);
    try {
        pool.apply(fail, "ValueError", "bad");
        FAIL("nothing was thrown");
    } catch (const mp::ValueError& error) {
        CHECK_THAT(error.what(), ContainsSubstring("bad"));
        try {
            std::rethrow_if_nested(error);
            FAIL("nothing is nested");
        } catch (const mp::python::Error& nested) {
            CHECK(nested.type_name() == "ValueError");
            CHECK_THAT(nested.traceback(), ContainsSubstring("in fail"));
            CHECK(nested.pid() != ::getpid());
        }
    }
    try {
        pool.apply(fail, "Strange", "how odd");
        FAIL("nothing was thrown");
    } catch (const mp::python::Error& error) {
        CHECK(error.type_name() == "functions.Strange");
        CHECK(error.message() == "how odd");
        CHECK_THAT(error.traceback(), ContainsSubstring("Strange: how odd"));
        CHECK_THAT(error.process_name(), ContainsSubstring("PoolWorker"));
    }
    CHECK_THROWS_AS(pool.apply(mp::python::function<int(int)>("no_such_module:f"), 1),
                    mp::python::Error);
}

TEMPLATE_TEST_CASE("What ends a program of Python ends a task alone, and threads go on", "[python]",
                   START_METHODS) {
    if (!there_is_python()) return;
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    const mp::python::function<int()> pid("os:getpid");
    const int before = pool.apply(pid);
    const auto type_of_error = [&](const auto& function, const auto&... arguments) {
        try {
            pool.apply(function, arguments...);
        } catch (const mp::python::Error& error) {
            return error.type_name();
        }
        return std::string();
    };
    const auto fail = in_python<int(std::string, std::string)>("fail");
    CHECK(type_of_error(mp::python::function<int()>("leaving:anything")) == "SystemExit");
    CHECK(type_of_error(fail, "SystemExit", "4") == "SystemExit");
    CHECK(type_of_error(fail, "KeyboardInterrupt", "") == "KeyboardInterrupt");
    CHECK(type_of_error(fail, "Rooted", "x") == "functions.Rooted");
    CHECK(type_of_error(fail, "Quitting", "") == "functions.Quitting");
    CHECK_THROWS_AS(pool.apply(in_python<int()>("square")), mp::TypeError);
    CHECK_THROWS_AS(pool.apply(in_python<int(int, int)>("square"), 1, 2), mp::TypeError);
    const mp::RawArray<int> filled(1);
    pool.apply(in_python<void(mp::RawArray<int>, int)>("fill_later"), filled, 7);
    CHECK(support::eventually([&] { return std::atomic_ref(filled[0]).load() == 7; }, 100));
    CHECK(pool.apply(in_python<long(long)>("square"), 3) == 9);
    CHECK(pool.apply(pid) == before);
}

TEMPLATE_TEST_CASE("A crash of Python costs its worker, an endless loop its time", "[python]",
                   START_METHODS) {
    if (!there_is_python()) return;
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .task_timeout = support::sanitized ? 20. : 2.});
    const auto square = in_python<long(long)>("square");
    if (!support::sanitized) {  // which have handlers of their own
        try {
            pool.apply(in_python<void()>("crash"));
            FAIL("nothing was thrown");
        } catch (const mp::WorkerLost& error) {
            CHECK(error.exitcode() == -SIGSEGV);
        }
    }
    try {
        pool.apply(in_python<void(int)>("leave"), 3);
        FAIL("nothing was thrown");
    } catch (const mp::WorkerLost& error) {
        CHECK(error.exitcode() == 3);
    }
    CHECK_THROWS_AS(pool.apply(in_python<void()>("loop")), mp::TimeoutError);
    CHECK(pool.map(square, numbers(20)) == squares(20));
}

TEMPLATE_TEST_CASE("What Python prints is not lost", "[python]", START_METHODS) {
    if (!there_is_python()) return;
    const Tidy tidy;
    const File file;
    {
        mp::BasicPool<TestType> pool({.processes = 1, .stdout_file = file.name()});
        pool.apply(in_python<void(int)>("talk"), 1);
        CHECK(file.text() == "line of 1\nrest of 1;");
        CHECK_THROWS_AS(pool.apply(in_python<void(int)>("talk_and_leave"), 2), mp::WorkerLost);
        pool.apply(in_python<void(int)>("talk"), 3);
    }
    CHECK(file.text() == "line of 1\nrest of 1;last line of 2\nline of 3\nrest of 3;");
}

TEMPLATE_TEST_CASE("A pool's initializer imports a module", "[python]", START_METHODS) {
    if (!there_is_python()) return;
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2, mp::python::import, "colorsys");
    CHECK(pool.apply(in_python<bool(std::string)>("make"),
                     "'colorsys' in __import__('sys').modules"));
    mp::BasicPool<TestType> broken(1, mp::python::import, "no_such_module");
    CHECK_THROWS_AS(broken.apply(in_python<long(long)>("square"), 1), mp::BrokenProcessPool);
}

TEMPLATE_TEST_CASE("Ctrl-C and the end of a pool stop Python, and nothing is printed", "[python]",
                   START_METHODS) {
    if (!there_is_python()) return;
    const Tidy tidy;
    const File errors;
    {
        mp::BasicPool<TestType> pool({.processes = 2, .stderr_file = errors.name()});
        REQUIRE(pool.map(in_python<long(long)>("square"), numbers(10), 1) == squares(10));
        auto result = pool.map_async(in_python<long(double)>("spin"), std::vector(4, 0.2));
        for (const auto& worker : mp::active_children()) ::kill(worker.pid(), SIGINT);
        for (const long rounds : result.get()) CHECK(rounds > 0);  // Ctrl-C is the parent's

        const mp::RawArray<int> begun(1);
        (void)pool.apply_async(in_python<void(mp::RawArray<int>, int)>("fill_and_spin"), begun, 1);
        CHECK(support::eventually([&] { return std::atomic_ref(begun[0]).load() == 1; }, 100));
        pool.terminate();
        pool.join();
    }
    CHECK(errors.text() == "");
    for (const int signal : {SIGINT, SIGTERM}) {
        const mp::RawArray<int> begun(1);
        mp::BasicProcess<TestType> child(in_python<void(mp::RawArray<int>, int)>("fill_and_spin"),
                                         begun, 1);
        child.start();
        CHECK(support::eventually([&] { return std::atomic_ref(begun[0]).load() == 1; }, 100));
        ::kill(child.pid().value(), signal);
        child.join();
        CHECK(child.exitcode() == -signal);
    }
}

/// Kills the fork server; the next child starts another one.
void kill_fork_server() {
    if (support::fork_servers() == 0) return;
    mp::detail::Family& family = mp::detail::heap().family();
    const auto id = mp::detail::Family::unpack(mp::detail::fork_server_state().server.load());
    ::kill(mp::detail::ProcessRecord::pid_of(family[id].state.load()), SIGKILL);
    CHECK(support::eventually([] { return support::fork_servers() == 0; }, 100));
}

TEST_CASE("The fork server imports a module before it forks", "[python]") {
    if (!there_is_python()) return;
    const Tidy tidy;
    mp::set_forkserver_preload(mp::python::import, "colorsys");
    kill_fork_server();
    {
        mp::BasicPool<mp::start_method::forkserver> pool(2);
        const auto is_imported = in_python<bool(std::string)>("make");
        CHECK(pool.apply(is_imported, "'colorsys' in __import__('sys').modules"));
        CHECK(pool.map(in_python<long(long)>("square"), numbers(20), 1) == squares(20));
    }
    mp::set_forkserver_preload([] {});
    kill_fork_server();
}

TEMPLATE_TEST_CASE("Python's own pools run in a worker", "[python]", START_METHODS) {
    if (!there_is_python()) return;
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    const mp::python::function<std::vector<long>(std::vector<long>)> map("functions:fork_pool");
    CHECK(pool.apply(map, numbers(20)) == squares(20));
    CHECK(pool.apply(in_python<int()>("fork_child")) == 6);
}

TEST_CASE("A ThreadPool calls functions of Python, also while it starts processes", "[python]") {
    if (!there_is_python()) return;
    const Tidy tidy;
    const auto square = in_python<long(long)>("square");
    mp::ThreadPool threads(8);
    auto result = threads.map_async(square, numbers(20'000), mp::AsyncOptions<std::vector<long>>{});
    for (int i = 0; i < 5; ++i) {
        mp::BasicPool<mp::start_method::fork> pool(2);
        CHECK(pool.map(square, numbers(100)) == squares(100));
    }
    CHECK(result.get() == squares(20'000));
    CHECK_THROWS_AS(
        threads.apply(in_python<int(std::string, std::string)>("fail"), "KeyError", "k"),
        mp::KeyError);
}
