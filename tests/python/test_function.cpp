// python/function.hpp in one process: names, errors, threads, forks.
// SPDX-License-Identifier: MIT
#include "tests/python/support.hpp"

#include <dlfcn.h>
#include <sys/wait.h>

#include <algorithm>
#include <latch>
#include <thread>
#include <unordered_set>

using Catch::Matchers::ContainsSubstring;
using support::Watchdog;

namespace {

/// Returns the python::Error that is nested in an error of another type.
template <class E, class Call>
std::string traceback_within(Call call) {
    try {
        call();
    } catch (const E& error) {
        try {
            std::rethrow_if_nested(error);
        } catch (const mp::python::Error& nested) {
            return nested.traceback();
        }
        return "nothing is nested";
    }
    return "nothing was thrown";
}

/// Forks as a program itself may, and returns the status of the child.
template <class Body>
int status_of_fork(Body body) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(body());
    int status = -1;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// What a program does that has a Python of its own. It ends with 0 if all is as it should be.
/// @param visibility of the names of libpython: RTLD_LOCAL, as for a plugin, or RTLD_GLOBAL
void have_own_python(int visibility) {
    const std::string library = mp::detail::pythons::find_python().library;
    void* const image = ::dlopen(library.c_str(), RTLD_NOW | visibility);
    const auto find = [&]<class Function>(const char* name, Function*) {
        return reinterpret_cast<Function*>(::dlsym(image, name));
    };
    using Nothing = void();
    using Number = int();
    const auto run = find("PyRun_SimpleString", static_cast<int (*)(const char*)>(nullptr));
    const auto has_lock = find("PyGILState_Check", static_cast<Number*>(nullptr));
    const auto square = in_python<int(int)>("square");
    std::vector<bool> right;

    find("Py_Initialize", static_cast<Nothing*>(nullptr))();  // and so this thread has the lock
    run("import sys; sys.of_host = 7");
    right.push_back(made<int>("__import__('sys').of_host") == 7);
    right.push_back(has_lock() == 1);
    right.push_back(run("sys.of_host += 1") == 0);
    right.push_back(status_of_fork([&] { return square(6); }) == 36);
    right.push_back(has_lock() == 1);

    void* const state = find("PyEval_SaveThread", static_cast<void* (*)()>(nullptr))();
    std::thread([&] { right.push_back(square(5) == 25); }).join();
    right.push_back(square(4) == 16);
    right.push_back(status_of_fork([&] { return square(6); }) == 36);
    find("PyEval_RestoreThread", static_cast<void (*)(void*)>(nullptr))(state);
    right.push_back(run("assert sys.of_host == 8") == 0);

    find("Py_FinalizeEx", static_cast<Number*>(nullptr))();
    right.push_back(support::throws<mp::RuntimeError>([&] { square(2); }));
    right.push_back(status_of_fork([] { return 3; }) == 3);
    mp::exit(
        std::find(right.begin(), right.end(), false) == right.end() && right.size() == 11
            ? 0
            : 100 + static_cast<int>(std::find(right.begin(), right.end(), false) - right.begin()));
}

}  // namespace

TEST_CASE("A function is called by module and name", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    REQUIRE(mp::python::function<double(std::vector<double>)>("statistics:fmean")({1, 2, 6}) == 3);
    REQUIRE(mp::python::function<std::string(int)>("builtins:hex")(255) == "0xff");
    REQUIRE(in_python<int(int)>("Counter.twice")(4) == 8);
    REQUIRE(in_python<std::string()>("Counter.name")() == "Counter");
    in_python<void(int)>("square")(3);  // the result is not asked for
    const auto square = in_python<long(long)>("square");
    REQUIRE(square.name() == "functions:square");
    REQUIRE(square == in_python<long(long)>("square"));
    REQUIRE(fmt::format("{}", square) == "<python function functions:square>");
}

TEST_CASE("A name that is not module:name is a ValueError at once", "[python]") {
    for (const char* name : {"", ":", "a", "a:", ":b", "a:b:c"}) {
        REQUIRE_THROWS_AS(mp::python::function<void()>(name), mp::ValueError);
    }
}

TEST_CASE("What is not there is told by Python's own error", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    const auto type_of_error = [](const std::string& name) {
        try {
            mp::python::function<void()> function(name);
            function();
        } catch (const mp::python::Error& error) {
            return error.type_name();
        }
        return std::string();
    };
    REQUIRE(type_of_error("no_such_module:f") == "ModuleNotFoundError");
    REQUIRE(type_of_error("functions:no_such_name") == "AttributeError");
    REQUIRE_THROWS_AS(mp::python::import("no_such_module"), mp::python::Error);
    REQUIRE_THROWS_AS(mp::python::function<void()>("functions:kept")(), mp::TypeError);
}

TEST_CASE("Exceptions arrive as their own types, with the traceback nested", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    const auto fail = in_python<int(std::string, std::string)>("fail");
    REQUIRE_THROWS_AS(fail("ValueError", "v"), mp::ValueError);
    REQUIRE_THROWS_AS(fail("TypeError", "t"), mp::TypeError);
    REQUIRE_THROWS_AS(fail("KeyError", "k"), mp::KeyError);
    REQUIRE_THROWS_AS(fail("IndexError", "i"), mp::IndexError);
    REQUIRE_THROWS_AS(fail("AssertionError", "a"), mp::AssertionError);
    REQUIRE_THROWS_AS(fail("RuntimeError", "r"), mp::RuntimeError);
    REQUIRE_THROWS_AS(fail("EOFError", "e"), mp::EOFError);
    REQUIRE_THROWS_AS(fail("ZeroDivisionError", "z"), mp::python::Error);
    REQUIRE_THROWS_WITH(made<int>("1 // 0"), ContainsSubstring("ZeroDivisionError"));
    REQUIRE_THROWS_AS(fail("MemoryError", "m"), std::bad_alloc);
    REQUIRE_THROWS_AS(fail("OverflowError", "o"), std::overflow_error);
    REQUIRE_THROWS_WITH(fail("KeyError", "k"), "k");
    const std::string traceback =
        traceback_within<mp::ValueError>([&] { fail("ValueError", "bad \xC3\xA4"); });
    CHECK_THAT(traceback, ContainsSubstring("in fail"));
    CHECK_THAT(traceback, ContainsSubstring("ValueError: bad \xC3\xA4"));
    try {
        made<int>("open('/no/such/file')");
        FAIL("nothing was thrown");
    } catch (const std::system_error& error) {
        CHECK(error.code().value() == ENOENT);
        CHECK_THAT(error.what(), ContainsSubstring("/no/such/file"));
    }
}

TEST_CASE("Other exceptions are python::Error with type, message and traceback", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    const auto fail = in_python<int(std::string, std::string)>("fail");
    try {
        fail("Strange", "how odd");
        FAIL("nothing was thrown");
    } catch (const mp::RemoteError& error) {
        CHECK(error.type_name() == "functions.Strange");
        CHECK(error.message() == "how odd");
        CHECK(error.pid() == ::getpid());
        CHECK_THAT(error.what(), ContainsSubstring("how odd"));
        CHECK_THAT(error.what(), ContainsSubstring("Traceback"));
        CHECK_THAT(dynamic_cast<const mp::python::Error&>(error).traceback(),
                   ContainsSubstring("in fail"));
    }
    for (const std::string type :
         {"ArithmeticError", "AttributeError", "KeyboardInterrupt", "NotImplementedError",
          "StopIteration", "SystemExit", "UnicodeError", "OSError"}) {
        try {
            fail(type, "x");
            FAIL_CHECK("nothing was thrown");
        } catch (const mp::python::Error& error) {
            CHECK(error.type_name() == type);
        }
    }
    try {
        fail("Speechless", "");
        FAIL("nothing was thrown");
    } catch (const mp::python::Error& error) {
        CHECK_THAT(error.message(), ContainsSubstring("__str__ failed"));
    }
    REQUIRE(in_python<int(int)>("square")(3) == 9);  // nothing of it is left
}

TEST_CASE("Threads call Python at once, and each keeps its state between calls", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    constexpr int rounds = 2000;
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            const auto square = in_python<int(int)>("square");
            const auto count = in_python<int()>("count_in_thread");
            for (int i = 1; i <= rounds; ++i) {
                wrong += square(i + t) != (i + t) * (i + t);
                wrong += count() != i;
                if (i % 100 == 0) {
                    wrong += !support::throws<mp::KeyError>([] { made<int>("{}['missing']"); });
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    REQUIRE(wrong == 0);
}

TEST_CASE("The first calls of many threads make one interpreter", "[python]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    // In a child that has no interpreter yet: a spawned one.
    mp::SpawnProcess child([] {
        std::latch start(8);
        std::atomic<int> right{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 8; ++t) {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                right += in_python<int(int)>("square")(5) == 25;
            });
        }
        for (std::thread& thread : threads) thread.join();
        mp::exit(right == 8 ? 0 : 1);
    });
    child.start();
    child.join();
    REQUIRE(child.exitcode() == 0);
}

TEST_CASE("A process forks while its threads run Python", "[python][fork]") {
    const Watchdog watchdog(240);
    if (!there_is_python()) return;
    const auto square = in_python<int(int)>("square");
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            while (!stop) in_python<int(double)>("spin")(0.005);
        });
    }
    std::atomic<int> wrong{0};
    // Two threads that fork, one of which has not called Python.
    for (int t = 0; t < 2; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 50; ++i) {
                if (t == 0) (void)square(i);
                const int status = status_of_fork([&] {
                    std::atomic<bool> right{false};
                    std::thread other([&] { right = square(3) == 9; });  // a new one of its own
                    other.join();
                    return right ? square(6) : 0;
                });
                wrong += status != 36;
            }
        });
    }
    for (std::size_t t = 3; t < 5; ++t) threads[t].join();
    stop = true;
    for (std::size_t t = 0; t < 3; ++t) threads[t].join();
    REQUIRE(wrong == 0);
}

TEST_CASE("Python forks by itself, and children fork again", "[python][fork]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    const auto fork_child = in_python<int()>("fork_child");
    for (int i = 0; i < 20; ++i) REQUIRE(fork_child() == 6);
    REQUIRE(status_of_fork([&] { return fork_child() + status_of_fork(fork_child); }) == 12);
    REQUIRE(made<int>("__import__('subprocess').call(['true'])") == 0);
}

TEST_CASE("A program that has a Python of its own calls functions in that", "[python][fork]") {
    const Watchdog watchdog(120);
    if (!there_is_python()) return;
    for (const int visibility : {RTLD_GLOBAL, RTLD_LOCAL}) {
        mp::SpawnProcess child(have_own_python, visibility);
        child.start();
        child.join();
        CHECK(child.exitcode() == 0);
    }
}
