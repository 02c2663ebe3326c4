// SharedMemoryManager: what it removes, when, and in which process. SPDX-License-Identifier: MIT
// CTEST: RUN_SERIAL ON
#include <multiprocessing/detail/named_memory.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/shared_memory.hpp>

#include <cstdlib>
#include <optional>
#include <ranges>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/shared_memory/support.hpp"

namespace {

void keep_manager(mp::Queue<std::string> names) {
    static mp::SharedMemoryManager manager;  // no destructor runs: the child leaves by _exit
    names.put(manager.SharedMemory(10).name());
}
void leave_copy(mp::SharedMemoryManager* copy, mp::Queue<std::string> errors) {
    try {
        (void)copy->SharedMemory(1);
    } catch (const mp::ValueError& error) {
        errors.put(error.what());
    }
    try {
        copy->shutdown();
    } catch (const mp::ValueError& error) {
        errors.put(error.what());
    }
    copy->~SharedMemoryManager();
}

/// The program run anew by a test, before main: makes blocks, prints their names, and ends in the
/// way that the environment says.
struct Ending {
    Ending() {
        const char* const way = std::getenv("TEST_SHARED_MEMORY_END");
        if (way == nullptr) return;
        const std::string_view end = way;
        std::optional<mp::SharedMemoryManager> local;
        if (end == "exit with a local") local.emplace();
        static mp::SharedMemoryManager global;
        mp::SharedMemoryManager& manager = local ? *local : global;
        std::printf("%s\n", manager.SharedMemory(10).name().c_str());
        std::printf("%s\n", manager.ShareableList({1, "text"}).shm().name().c_str());
        std::fflush(stdout);
        if (end == "kill") ::raise(SIGKILL);
        if (end == "exit in a fork") {
            const pid_t pid = ::fork();
            if (pid == 0) std::exit(0);
            ::waitpid(pid, nullptr, 0);
            ::_exit(0);
        }
        std::exit(7);
    }
} const ending;

std::vector<std::string> names_after(const std::string& way, int status) {
    const support::Outcome outcome =
        support::run({"/proc/self/exe"}, {"TEST_SHARED_MEMORY_END=" + way});
    CHECK(outcome.status == status);
    std::istringstream lines(outcome.output);
    std::vector<std::string> names;
    for (std::string name; std::getline(lines, name);) names.push_back(name);
    REQUIRE(names.size() == 2);
    return names;
}

}  // namespace

TEST_CASE("SharedMemoryManager removes what it made at shutdown and at the end of its scope",
          "[shm]") {
    mp::detail::heap();
    NothingLeft nothing_left;
    std::vector<std::string> names;
    {
        mp::SharedMemoryManager manager;
        const auto note = [&](const std::string& name) {
            names.push_back(nothing_left.made(name));
            REQUIRE(is_there(name));
        };
        for (int size = 32; size < 128; size += 16) note(manager.SharedMemory(size).name());
        for (int n = 0; n < 5; ++n) {
            note(manager.ShareableList(std::views::iota(0, n)).shm().name());
        }
        const ShareableList list = manager.ShareableList({1, "text", std::nullopt});
        note(list.shm().name());
        const SharedMemory block = manager.SharedMemory(9);
        note(block.name());
        REQUIRE(ShareableList(ListName{list.shm().name()}).size() == 3);
        REQUIRE(SharedMemory({.name = block.name()}).size() == 9);
        block.unlink();  // is no error later
        REQUIRE_THROWS_AS(manager.SharedMemory(0), mp::ValueError);
        REQUIRE(error_of([&] { (void)manager.SharedMemory(INT64_MAX); }) != 0);

        manager.shutdown();
        for (const std::string& name : names) REQUIRE_FALSE(is_there(name));
        REQUIRE(list.get<std::string>(1) == "text");  // who has it keeps it
        REQUIRE(error_of([&] { SharedMemory({.name = names.front()}); }) == ENOENT);
        REQUIRE_THROWS_AS(manager.SharedMemory(9), mp::ValueError);
        REQUIRE_THROWS_AS(manager.ShareableList({1}), mp::ValueError);
        manager.shutdown();
    }
    {
        mp::SharedMemoryManager first;
        names.push_back(nothing_left.made(first.SharedMemory(128).name()));
        mp::SharedMemoryManager second(std::move(first));
        names.push_back(nothing_left.made(second.SharedMemory(128).name()));
        REQUIRE_THROWS_AS(first.SharedMemory(1), mp::ValueError);
        first.shutdown();
        REQUIRE(is_there(names.back()));
        mp::SharedMemoryManager third;
        names.push_back(nothing_left.made(third.SharedMemory(128).name()));
        third = std::move(second);
        REQUIRE_FALSE(is_there(names.back()));
        names.pop_back();
        REQUIRE(is_there(names.back()));
    }
    for (const std::string& name : names) REQUIRE_FALSE(is_there(name));
}

TEST_CASE("A forked copy of a SharedMemoryManager removes nothing", "[shm]") {
    const Watchdog watchdog(60);
    warm_up<mp::start_method::fork>();
    NothingLeft nothing_left;
    mp::SharedMemoryManager manager;
    const std::string name = nothing_left.made(manager.SharedMemory(9).name());
    const mp::Queue<std::string> errors;
    Child<mp::start_method::fork> child(leave_copy, &manager, errors);
    REQUIRE(child.join() == 0);
    REQUIRE(errors.qsize() == 2);
    REQUIRE_THAT(errors.get(), Catch::Matchers::ContainsSubstring("belongs to the process"));
    REQUIRE(is_there(name));
    REQUIRE(in_fork([&] {
                manager.~SharedMemoryManager();
                return 0;
            }) == 0);
    REQUIRE(is_there(name));
}

TEMPLATE_TEST_CASE("A child removes the blocks of its managers when it ends", "[shm]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    warm_up<TestType>();
    NothingLeft nothing_left;
    const mp::Queue<std::string> names;
    Child<TestType> child(keep_manager, names);
    const std::string name = nothing_left.made(names.get());
    REQUIRE(child.join() == 0);
    REQUIRE_FALSE(is_there(name));
}

TEST_CASE("exit removes the blocks of managers, in the process that made them", "[shm]") {
    const Watchdog watchdog(60);
    NothingLeft nothing_left;
    for (const char* way : {"exit with a static", "exit with a local"}) {
        for (const std::string& name : names_after(way, 7 << 8)) {
            CAPTURE(way);
            CHECK_FALSE(is_there(nothing_left.made(name)));
        }
    }
    // Here only the copy's exit came, or nothing at all: what is documented to remain does.
    for (const auto& [way, status] : {std::pair("exit in a fork", 0), std::pair("kill", SIGKILL)}) {
        for (const std::string& name : names_after(way, status)) {
            CAPTURE(way);
            CHECK(is_there(name));
            mp::detail::unlink_named_memory(name);
        }
    }
}
