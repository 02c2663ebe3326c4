// python::Process: programs of Python as processes of the family. SPDX-License-Identifier: MIT
#include "tests/python/support.hpp"

#include <multiprocessing/managers.hpp>
#include <multiprocessing/shared_memory.hpp>
#include <multiprocessing/shared_objects.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>
#include <utility>

using mp::pickle::object;
using support::next;
using support::Objects;
using support::Random;
using support::started;
using support::Tidy;

namespace {

/// Runs in a process of its own.
void echo_there(const Objects& there, const Objects& back) {
    auto process = started("echo", there, back);
    process.join();
    mp::exit(process.exitcode().value_or(99));
}

}  // namespace

TEST_CASE("A script gets objects under Python's names, and values", "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const Objects queue;
    mp::Manager manager;
    auto process = started(
        "describe", queue, Objects(), mp::SimpleQueue<object>(), mp::JoinableQueue<object>(),
        mp::Lock(), mp::RLock(), mp::Semaphore(2), mp::BoundedSemaphore(2), mp::Condition(),
        mp::Event(), mp::Barrier(2), mp::Value<int>(1), mp::Array<char>(3), mp::Array<float>(3),
        manager.dict<std::string, object>(), manager.list<object>(), mp::AnyLock(mp::RLock()), 3,
        2.5, "text", std::vector<int>{1, 2}, std::map<std::string, bool>{{"a", true}}, nullptr);
    CHECK(next(queue).get<std::vector<std::string>>() ==
          std::vector<std::string>{"Queue",
                                   "SimpleQueue",
                                   "JoinableQueue",
                                   "Lock",
                                   "RLock",
                                   "Semaphore",
                                   "BoundedSemaphore",
                                   "Condition",
                                   "Event",
                                   "Barrier",
                                   "Synchronized",
                                   "SynchronizedString",
                                   "SynchronizedArray",
                                   "DictProxy",
                                   "ListProxy",
                                   "RLock",
                                   "int",
                                   "float",
                                   "str",
                                   "list",
                                   "dict",
                                   "NoneType"});
    CHECK(process.join(100));
    CHECK(process.exitcode() == 0);
}

TEST_CASE("C++ and a script change the same objects", "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const Objects queue;
    const mp::JoinableQueue<object> joinable;
    const mp::SimpleQueue<object> simple;
    mp::Value<short> value(41);
    const mp::Array<double> array({1.25, 0});
    const mp::RawArray<unsigned char> raw(5000);
    mp::Manager manager;
    const auto entries = manager.dict<std::string, object>({{"cpp", object(1)}});
    const auto items = manager.list<object>({object(1), object("two")});
    const mp::Event event;
    const mp::Semaphore semaphore(0);
    joinable.put(object(1));
    simple.put(object(std::vector<std::string>{"a"}));
    auto process = started("change_all", queue, joinable, simple, value, array, raw, entries, items,
                           event, semaphore);
    CHECK(next(queue) == object("changed"));
    CHECK(process.join(100));
    CHECK(joinable.get() == object(2));
    joinable.task_done();
    joinable.join(100);
    const object reply = simple.get();
    CHECK(reply.type_name() == "tuple");
    CHECK(reply[0] == object(std::vector<std::string>{"a"}));
    CHECK(reply[1].type_name() == "bytes");
    CHECK(reply[3] == object(1.5));
    CHECK(value.value == 42);
    CHECK(array[1] == 1.75);
    CHECK(raw[2] == 7);
    CHECK(entries.at("cpp") == object(2));
    CHECK(entries.at("python").at(object("list")) == object(std::vector<int>{1, 2}));
    CHECK(items.to_vector() == std::vector<object>{object("two"), object(1)});
    CHECK(event.is_set());
    CHECK(semaphore.acquire(false));
}

TEMPLATE_TEST_CASE("A child of each start method has scripts of its own", "[python][process]",
                   START_METHODS) {
    if (!there_is_module()) return;
    const Tidy tidy;
    const Objects there;
    const Objects back;
    mp::BasicProcess<TestType> child(echo_there, there, back);
    child.start();
    there.put(object("hello"));
    CHECK(next(back) == object("hello"));
    there.put(object());
    CHECK(child.join(100));
    CHECK(child.exitcode() == 0);
}

TEST_CASE("How a script ends is its process's exit code", "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const auto exitcode_of = [](mp::python::Process process) {
        CHECK(process.join(100));
        return process.exitcode();
    };
    CHECK(exitcode_of(started("leave", 3)) == 3);
    CHECK(exitcode_of(started("leave_at_once", 4)) == 4);
    CHECK(exitcode_of(started("leave_by_import")) == 5);
    const Objects results;
    CHECK(exitcode_of(started("end_with_threads", results)) == 0);
    CHECK(next(results) == object("thread"));
    CHECK(next(results) == object("at the end"));
    const auto folder = std::filesystem::path(support::module_folder);
    mp::python::Process failing({.stderr_file = folder / "errors-{pid}"}, support::worker, "fail",
                                "why");
    failing.start();
    const auto errors = folder / ("errors-" + std::to_string(*failing.pid()));
    CHECK(exitcode_of(std::move(failing)) == 1);
    std::ifstream file(errors);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    CHECK(text.find("ValueError: why") != std::string::npos);
    std::filesystem::remove(errors);
    mp::python::Process absent({.stderr_file = "/dev/null"}, "/there/is/none.py");
    absent.start();
    CHECK(exitcode_of(std::move(absent)) == 2);  // what python3 says of it
}

TEST_CASE("A daemon script ends with a signal, a wait for an item with Ctrl-C",
          "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const mp::Event event;
    const Objects queue;
    mp::python::Process process({.name = "snake", .daemon = true, .stderr_file = "/dev/null"},
                                support::worker, "wait", event, queue);
    CHECK(process.name() == "snake");
    CHECK(process.exitcode() == std::nullopt);
    process.start();
    CHECK_THROWS_AS(process.start(), mp::AssertionError);
    REQUIRE(event.wait(100));
    CHECK(process.is_alive());
    process.interrupt();
    CHECK(process.join(100));
    CHECK(process.exitcode() == -SIGINT);
}

TEST_CASE("A lock that a killed script held is abandoned in both languages",
          "[python][process][kill]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const mp::Lock lock;
    const mp::Event event;
    const Objects results;
    auto holder = started("hold", lock, event);
    REQUIRE(event.wait(100));
    holder.kill();
    CHECK_THROWS_AS(lock.acquire(true, 100), mp::AbandonedError);
    auto finder = started("find_abandoned", lock, results);
    CHECK(next(results) == object("AbandonedError"));
    CHECK(finder.join(100));
    CHECK(lock.acquire(true, 100));
    lock.release();
    CHECK(holder.join(100));
}

TEST_CASE("Scripts that are killed at any moment harm nobody", "[python][process][kill]") {
    if (!there_is_module()) return;
    const char* const wish = std::getenv("MULTIPROCESSING_TEST_KILLS");
    const int wanted = wish != nullptr ? std::atoi(wish) : 8;
    const Tidy tidy(1 + static_cast<unsigned>(wanted) / 20);
    const mp::Lock lock;
    const mp::Value<std::int64_t> value(0);
    const Objects tasks(8);
    const Objects results;
    mp::Manager manager;
    const auto entries = manager.dict<std::string, object>();
    const auto start = [&] { return started("guarded", lock, value, tasks, results, entries); };
    std::vector<mp::python::Process> scripts;
    for (int i = 0; i < 3; ++i) scripts.push_back(start());
    Random random(5);
    std::int64_t last = -1;
    for (int kills = 0, item = 0; kills < wanted; ++kills) {
        // Until some of them work; then one is killed in the middle of something.
        for (int i = 0; i < 20; ++i) {
            tasks.put(object(item++), true, 100);
            const auto number = next(results)[1].get<std::int64_t>();
            CHECK(number < item);
            last = (std::max)(last, number);
        }
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        auto& victim = scripts[random() % scripts.size()];
        victim.kill();
        CHECK(victim.join(100));
        // What the victim took, and what it did not put any more, is lost: one item at most.
        while (tasks.try_get()) {
        }
        while (results.try_get()) {
        }
        victim = start();
    }
    for (auto& script : scripts) {
        script.kill();
        CHECK(script.join(100));
    }
    CHECK(last >= 0);
    CHECK(entries.size() <= 1);
    for (const mp::AnyLock& each : {mp::AnyLock(lock), value.get_lock()}) {
        each.recover();
        each.release();
    }
    CHECK(value.get_obj() > 0);
}

TEST_CASE("C++ and a script have a namespace in common", "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    mp::Manager manager;
    const auto space = manager.Namespace();
    space.set("rate", 0.5);
    space.set("name", "first");
    space.set("numbers", std::vector<int>{1, 2});
    space.set("value", object(std::vector<std::string>{"any"}));
    space.set("odd", std::map<int, int>{});
    const Objects results;
    auto process = started("use_namespace", space, results);
    const object seen = next(results);
    CHECK(seen[0] == object(0.5));
    CHECK(seen[1] == object("first"));
    CHECK(seen[2] == object(std::vector<int>{1, 2}));
    CHECK(seen[3] == object(std::vector<std::string>{"any"}));
    CHECK(next(results) == object(true));
    CHECK(space.get<object>("name").at(object("new")) == object("first"));
    CHECK(process.join(100));
    CHECK(process.exitcode() == 0);
}

TEST_CASE("A script changes blocks of memory, arrays and shared vectors where they are",
          "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const mp::shared_memory::SharedMemory block({.create = true, .size = 10'000});
    const mp::Shared<mp::shared::vector<double>> vector(std::initializer_list<double>{1, 2, 3});
    const mp::Shared<mp::shared::vector<std::uint8_t>> frozen(
        std::initializer_list<std::uint8_t>{4, 5});
    frozen.freeze();
    const mp::RawArray<int> array(20'000);
    const Objects results;
    block.buf()[0] = std::byte{1};
    auto process = started("change_memory", block, vector, frozen, array, results);
    const object seen = next(results);
    CHECK(process.join(100));
    CHECK(process.exitcode() == 0);
    CHECK(seen[0].get<std::size_t>() >= 10'000);
    CHECK(seen[1].get<std::vector<std::byte>>() ==
          std::vector{std::byte{1}, std::byte{7}, std::byte{0}});
    CHECK(seen[2] == object(std::vector<int>{4, 5}));
    CHECK(seen[3] == object(3));
    CHECK(seen[4] == object(2));
    CHECK(block.buf()[1] == std::byte{7});
    CHECK(vector.with([](auto& v) { return v[2]; }) == 4);
    CHECK(array[1] == 5);
    block.unlink();
}

TEST_CASE("A program that is given memory", "[.][guest]") {
    const mp::python::Arguments arguments;
    const auto block = arguments.get<mp::shared_memory::SharedMemory>(0);
    const auto vector = arguments.get<mp::Shared<mp::shared::vector<double>>>(1);
    const auto array = arguments.get<mp::RawArray<int>>(2);
    CHECK_THROWS_AS(arguments.get<mp::Shared<mp::shared::vector<int>>>(1), mp::TypeError);
    block.buf()[2] = std::byte{9};
    vector.with([](auto& v) { v[0] = 9; });
    array[2] = 9;
    std::_Exit(7);
}

TEST_CASE("Python passes memory on to a program of C++", "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const mp::shared_memory::SharedMemory block({.create = true, .size = 100});
    const mp::Shared<mp::shared::vector<double>> vector(std::initializer_list<double>{1, 2, 3});
    const mp::RawArray<int> array(5);
    const std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe"),
                                           "A program that is given memory"};
    auto process = started("pass_on", command, block, vector, array);
    CHECK(process.join(100));
    CHECK(process.exitcode() == 7);
    CHECK(block.buf()[2] == std::byte{9});
    CHECK(vector.with([](auto& v) { return v[0]; }) == 9);
    CHECK(array[2] == 9);
    block.unlink();
}

TEST_CASE("A program that Python has started", "[.][guest]") {
    const mp::python::Arguments arguments;
    auto value = arguments.get<mp::Value<int>>(1);
    value.value += arguments.get<int>(2);
    CHECK_THROWS_AS(arguments.get<mp::Lock>(0), mp::TypeError);
    CHECK_THROWS_AS(arguments.get<int>(3), mp::IndexError);
    arguments.get<Objects>(0).put(object(::getpid()));
    std::_Exit(arguments.size() == 3 ? 7 : 1);
}

TEST_CASE("Python starts a program of C++ and shares objects with it", "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const Objects queue;
    const Objects results;
    const mp::Value<int> value(40);
    const std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe"),
                                           "A program that Python has started"};
    auto process = started("start_program", results, command, queue, value, 2);
    CHECK(next(results).is_none());
    CHECK(next(results) == next(queue));
    const object ending = next(results);
    CHECK(ending[1] == object(7));
    CHECK(ending[2] == object(false));
    CHECK(ending[0].get<std::string>().starts_with("Program-"));
    CHECK(value.get_obj() == 42);
    CHECK(process.join(100));
}

TEST_CASE("An argument that is another object is a TypeError", "[python][process]") {
    using mp::detail::pythons::argument_of;
    using mp::detail::pythons::value_of;
    const auto queue = argument_of(Objects());
    CHECK(value_of<Objects>(queue).empty());
    CHECK_THROWS_AS(value_of<mp::SimpleQueue<object>>(queue), mp::TypeError);
    CHECK_THROWS_AS(value_of<mp::Lock>(queue), mp::TypeError);
    CHECK_THROWS_AS(value_of<int>(queue), mp::TypeError);
    CHECK_THROWS_AS(value_of<mp::Value<float>>(argument_of(mp::Value<double>())), mp::TypeError);
    CHECK_THROWS_AS(value_of<mp::RLock>(argument_of(mp::AnyLock(mp::Lock()))), mp::TypeError);
    CHECK_THROWS_AS(value_of<Objects>(argument_of(3)), mp::TypeError);
    CHECK(value_of<int>(argument_of(3)) == 3);
    CHECK(mp::python::Arguments().size() == 0);
    CHECK_THROWS_AS(mp::python::Arguments().get<int>(0), mp::IndexError);
}
