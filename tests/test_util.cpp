// util.hpp: Finalize runs once and in order, register_after_fork in forked children.
// SPDX-License-Identifier: MIT
#include <multiprocessing/process.hpp>
#include <multiprocessing/util.hpp>

#include <cstring>
#include <string>

#include "tests/catch.hpp"
#include "tests/nothing_left.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using support::in_heap;
using support::InHeap;
using support::NothingLeft;
using support::Watchdog;

#define START_METHODS mp::start_method::fork, mp::start_method::spawn, mp::start_method::forkserver

namespace {

struct Notes {
    char text[64];
};
void note(std::uint64_t notes, const char* word) {
    std::strncat(in_heap<Notes>(notes).text, word, 16);
}

void wait_a_moment(std::uint64_t notes) {
    ::usleep(20'000);
    note(notes, "child ");
}

template <class StartMethod>
void register_finalizers(std::uint64_t notes) {
    static mp::BasicProcess<StartMethod> child(wait_a_moment, notes);
    const auto add = [&](int priority, const char* word) {
        mp::util::Finalize([=] { note(notes, word); }, {.exitpriority = priority});
    };
    add(-5, "-5 ");
    add(0, "0 ");
    add(10, "10a ");
    add(10, "10b ");
    mp::util::Finalize([] { throw std::runtime_error("reported"); }, {.exitpriority = 5});
    mp::util::Finalize([=] { note(notes, "cancelled "); }, {.exitpriority = 3}).cancel();
    child.start();
}

void nothing() {}

}  // namespace

TEMPLATE_TEST_CASE("Finalize runs at the end of a process, by priority", "[util]", START_METHODS) {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const InHeap<Notes> notes;
    mp::BasicProcess<TestType> process(register_finalizers<TestType>, notes.offset());
    process.start();
    process.join();
    CHECK(process.exitcode() == 0);
    CHECK(std::string(notes->text) == "10b 10a 0 child -5 ");
}

TEST_CASE("Finalize without a priority runs when it is called or ends, once", "[util]") {
    int calls = 0;
    {
        mp::util::Finalize finalize([&] { ++calls; });
        CHECK(finalize.still_active());
        CHECK(finalize());
        CHECK_FALSE(finalize());
        CHECK_FALSE(finalize.still_active());
    }
    CHECK(calls == 1);
    {
        const mp::util::Finalize guard([&] { ++calls; });
    }
    CHECK(calls == 2);
    {
        mp::util::Finalize cancelled([&] { ++calls; });
        cancelled.cancel();
        CHECK_FALSE(cancelled());
    }
    {
        const mp::util::Finalize throwing([] { throw std::runtime_error("reported"); });
    }
    mp::util::Finalize throwing([] { throw std::runtime_error("passed on"); });
    CHECK_THROWS_AS(throwing(), std::runtime_error);
    CHECK(calls == 2);
    CHECK_THROWS_AS(mp::util::Finalize(nullptr), mp::ValueError);
}

TEST_CASE("Finalize does nothing in a forked copy", "[util]") {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const InHeap<Notes> notes;
    mp::util::Finalize finalize([&] { note(notes.offset(), "ran "); }, {.exitpriority = 1});
    mp::ForkProcess process([&] {
        if (finalize.still_active() || finalize()) mp::exit(3);
    });
    process.start();
    process.join();
    CHECK(process.exitcode() == 0);
    CHECK(std::string(notes->text).empty());
    finalize.cancel();
}

TEST_CASE("register_after_fork runs in forked children, in order", "[util]") {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const InHeap<Notes> notes;
    mp::ForkProcess parent([&] {
        const std::uint64_t place = notes.offset();
        mp::util::register_after_fork([=] { note(place, "a "); });
        mp::util::register_after_fork([] { throw std::runtime_error("reported"); });
        mp::util::register_after_fork([] { throw 42; });
        mp::util::register_after_fork([=] { note(place, "b "); });
        mp::ForkProcess forked([=] { note(place, "run "); });
        forked.start();
        forked.join();
        mp::SpawnProcess spawned(nothing);
        spawned.start();
        spawned.join();
    });
    parent.start();
    parent.join();
    CHECK(std::string(notes->text) == "a b run ");
    CHECK_THROWS_AS(mp::util::register_after_fork(nullptr), mp::ValueError);
}
