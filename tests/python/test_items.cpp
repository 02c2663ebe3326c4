// What goes from C++ to a script and back as items of queues, dicts and lists: objects of all
// sizes, arrays as blocks of memory, and handles. SPDX-License-Identifier: MIT
#include "tests/python/support.hpp"

#include <multiprocessing/managers.hpp>
#include <multiprocessing/shared_objects.hpp>

#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using mp::pickle::object;
using support::next;
using support::Objects;
using support::started;
using support::Tidy;

TEST_CASE("Objects of all sizes go to a script and back", "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const Objects there;
    const Objects back;
    auto process = started("echo", there, back);
    for (const std::size_t size : {0u, 1u, 900u, 1000u, 1100u, 5000u, 70'000u, 3'000'000u}) {
        const object text(std::string(size, 'x'));
        there.put(text);
        CHECK(next(back) == text);
    }
    const object list(std::vector<std::pair<int, std::string>>(1000, {7, "seven"}));
    there.put(list);
    CHECK(next(back) == list);
    there.put(object());
    CHECK(process.join(100));
}

TEST_CASE("Large arrays of a script are blocks of the heap", "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const Objects queue;
    const Objects back;
    auto process = started("put_arrays", queue, back, 100'000);
    const object array = next(queue);
    const object table = next(queue);
    const object bytes = next(queue)[1];
    back.put(object());
    CHECK(process.join(100));
    const auto numbers = array.get<std::vector<double>>();
    REQUIRE(numbers.size() == 100'000);
    CHECK(numbers[99'999] == 99'999);
    CHECK_THROWS_AS(array.get<std::vector<int>>(), mp::TypeError);
    const auto same = array.get<mp::RawArray<double>>();
    CHECK(same == array.get<mp::RawArray<double>>());
    same[7] = -1;
    CHECK(array.get<std::vector<double>>()[7] == -1);
    CHECK(array.get<mp::RawArray<float>>()[7] == -1);  // a copy
    CHECK_THROWS_AS(array.get<mp::RawArray<int>>(), mp::TypeError);
    CHECK_THROWS_AS(table.get<mp::RawArray<float>>(), mp::TypeError);
    CHECK(table.get<std::vector<std::vector<float>>>()[1][0] == 50'000);
    CHECK(bytes.get<std::vector<std::byte>>() == std::vector<std::byte>(100'000, std::byte{7}));
    CHECK(mp::pickle::loads<std::vector<double>>(mp::pickle::dumps(array))[7] == -1);
}

TEST_CASE("An array that C++ sends on can be read by all, and written to by none",
          "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const Objects queue;
    const Objects back;
    auto source = started("put_arrays", queue, back, 10'000);
    const object array = next(queue);
    const Objects there;
    const Objects results;
    there.put(array);
    there.put(object::list({array})[0]);
    auto first = started("describe_array", there, results);
    auto second = started("describe_array", there, results);
    for (int i = 0; i < 2; ++i) {
        const object found = next(results);
        CHECK(found[0] == object(true));
        CHECK(found[1] == object::tuple({object(10'000)}));
        CHECK(found[3] == object(3.0));
    }
    back.put(object());
    CHECK((source.join(100) && first.join(100) && second.join(100)));
}

TEST_CASE("Handles go to a script and back as items", "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const Objects queue;
    const Objects results;
    const mp::Lock lock;
    const mp::Event event;
    const mp::RawArray<double> numbers(50'000);
    const mp::Value<int> value(4);
    const Objects inner;
    queue.put(object::tuple({object(lock), object(event), object(numbers),
                             object::list({object(inner), object(value)})}));
    auto process = started("exchange_objects", queue, results);
    const object reply = next(results);
    CHECK(next(inner) == object("inner"));
    CHECK(numbers[1] == 2.5);
    CHECK(value.get_obj() == 5);
    const auto made = reply.at(object("lock")).get<mp::Lock>();
    CHECK(reply.at(object("lock")).type_name() == "multiprocessing_cpp.Lock");
    CHECK(reply.at(object("same")) == object(inner));
    CHECK(reply.at(object("same")) != object(results));
    CHECK(reply.at(object("same")).get<Objects>() == inner);
    CHECK(reply.at(object("numbers")).get<mp::RawArray<double>>() == numbers);
    CHECK_THROWS_AS(reply.at(object("lock")).get<mp::RLock>(), mp::TypeError);
    CHECK_THROWS_AS(reply.at(object("lock")).get<int>(), mp::TypeError);
    CHECK_THROWS_AS(mp::pickle::dumps(reply), mp::TypeError);
    const auto array = next(results).get<mp::Array<int>>();
    CHECK(array.slice(0, 3) == std::vector<int>{1, 2, 3});
    made.acquire();
    event.set();
    CHECK(next(results) == object(true));
    made.release();
    CHECK(process.join(100));
    CHECK(process.exitcode() == 0);
}

TEST_CASE("Handles in a manager's dict and list are there for C++ and a script",
          "[python][process]") {
    const Tidy tidy;
    mp::Manager manager;
    const auto entries = manager.dict<std::string, object>();
    const mp::Lock lock;
    entries["lock"] = object(lock);
    CHECK(entries.at("lock").get<mp::Lock>() == lock);
    const auto items = manager.list<object>({object::list({object(lock)})});
    CHECK(items.at(0)[0].get<mp::Lock>() == lock);
}

TEST_CASE("A pickle that refers to what did not come with it is damaged", "[python][pickle]") {
    // protocol 5: the next buffer
    CHECK_THROWS_AS(mp::pickle::loads<object>(std::string_view("\x80\x05\x97.")), mp::ValueError);
    using std::literals::string_literals::operator""s;
    const auto lock = "\x80\x04\x8c\x13"
                      "multiprocessing_cpp\x8c\x06_taken\x93\x8c\x04Lock\x8c\x00K\x00\x87R."s;
    const auto read = mp::pickle::loads<object>(lock);
    CHECK_THROWS_AS(read.get<mp::Lock>(), mp::ValueError);
}

namespace {

std::size_t memory() { return mp::detail::heap().segment().memory(); }
constexpr std::size_t megabytes = std::size_t{1} << 20;

/// Puts a vector that then nobody else has. @returns how much memory there was before
std::size_t put_vector(const Objects& queue) {
    const std::size_t before = memory();
    queue.put(object(mp::Shared<mp::shared::vector<double>>(4 * megabytes, 1.5)));
    return before;
}

}  // namespace

TEST_CASE("A shared vector that a script has last is freed when it drops it", "[python][process]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const Objects queue;
    const Objects results;
    auto script = started("drop_items", queue, results);
    for (int i = 0; i < 3; ++i) {
        const std::size_t before = put_vector(queue);
        CHECK(next(results) == object(4 * megabytes));
        CHECK(memory() > before + 31 * megabytes);
        queue.put(object("go on"));
        CHECK(next(results) == object("dropped"));
        CHECK(memory() < before + megabytes);
    }
    queue.put(object());
    CHECK(script.join(100));
}

TEST_CASE("A shared vector that a killed script had last is freed", "[python][process][kill]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const Objects queue;
    const Objects results;
    const std::size_t before = memory();
    for (int i = 0; i < 3; ++i) {
        auto script = started("drop_items", queue, results);
        put_vector(queue);
        CHECK(next(results) == object(4 * megabytes));
        script.kill();
        CHECK(script.join(100));
        CHECK(support::heap_shrinks_to(before + megabytes));
    }
}

TEST_CASE("A program that has a shared map and is killed", "[.][guest]") {
    const mp::python::Arguments arguments;
    using Table = mp::shared::map<int, mp::shared::vector<double>>;
    const mp::Shared<Table> own;
    own->try_emplace(1, 4 * megabytes, 1.5);
    arguments.get<mp::Event>(0).set();
    ::pause();
}

TEST_CASE("What a script cannot destroy, a program of C++ does", "[python][process][kill]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    const Objects queue;
    const Objects results;
    const mp::Event is_there;
    const std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe"),
                                           "A program that has a shared map and is killed"};
    const std::size_t before = memory();
    auto script = started("bury_program", queue, results, command, is_there);
    CHECK(next(results) == object(-SIGKILL));
    // It was dropped by the script, which has buried its last owner.
    CHECK(memory() > before + 31 * megabytes);
    using Table = mp::shared::map<int, int>;
    static_cast<void>(mp::Shared<Table>());
    CHECK(support::heap_shrinks_to(before + megabytes));
    queue.put(object());
    CHECK(script.join(100));
}
