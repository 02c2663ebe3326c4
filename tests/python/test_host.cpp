// python::Host: programs of Python that others start join the family. SPDX-License-Identifier: MIT
// ALONE: it needs multiprocessing::remote
#include "tests/python/support.hpp"

#include <multiprocessing/python/host.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

using mp::pickle::object;
using support::next;
using support::Objects;
using support::Random;
using support::Tidy;

namespace {

const std::string script = support::folder + "/guest.py";

/// A program that the library knows nothing of.
class Program {
  public:
    Program(const mp::python::Host& host, const std::string& key, const std::string& function) {
        const std::string python = mp::detail::pythons::find_interpreter();
        const std::string& address = host.address().path();
        pid_ = ::fork();
        if (pid_ == 0) {
            ::execl(python.c_str(), python.c_str(), script.c_str(), address.c_str(), key.c_str(),
                    function.c_str(), static_cast<char*>(nullptr));
            ::_exit(99);
        }
    }
    Program(Program&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
    Program& operator=(Program&& other) noexcept {
        std::swap(pid_, other.pid_);
        return *this;
    }
    ~Program() {
        if (pid_ > 0) kill();
    }

    [[nodiscard]] pid_t pid() const { return pid_; }
    int join() {
        int status = 0;
        ::waitpid(std::exchange(pid_, -1), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    int kill() {
        ::kill(pid_, SIGKILL);
        return join();
    }

  private:
    pid_t pid_;
};

/// What the guests of a case share.
struct Shared {
    Objects tasks{};
    Objects results{};
    mp::Lock lock{};
    mp::Value<std::int64_t> value{0};
    mp::python::Host host{{}, {.authkey = "secret"}, tasks, results, lock, value};
};

}  // namespace

TEST_CASE("A program of Python that others have started joins the family", "[python][host]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    Shared shared;
    Program guests[] = {Program(shared.host, "secret", "work"),
                        Program(shared.host, "secret", "work")};
    for (int i = 1; i <= 100; ++i) shared.tasks.put(object(i));
    for (int i = 1; i <= 100; ++i) {
        const auto pid = next(shared.results)[0].get<pid_t>();
        CHECK((pid == guests[0].pid() || pid == guests[1].pid()));
    }
    CHECK(shared.value.value == 5050);
    for (int i = 0; i < 2; ++i) shared.tasks.put(object());
    for (Program& guest : guests) CHECK(guest.join() == 0);
}

TEST_CASE("A guest has children of its own, and makes objects", "[python][host]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    Shared shared;
    Program parent(shared.host, "secret", "children");
    for (int i = 0; i < 2; ++i) {
        shared.tasks.put(object(i + 1));
        CHECK(next(shared.results)[1] == object(i + 1));
        shared.tasks.put(object());
    }
    CHECK(parent.join() == 0);
    Program maker(shared.host, "secret", "make");
    const auto made = next(shared.results).get<Objects>();
    made.put(object("there"));
    CHECK(next(shared.results) == object("there"));
    CHECK(next(shared.results) == object("again"));
    CHECK(maker.join() == 0);
}

TEST_CASE("Who does not hold the key does not join, and holds nobody up", "[python][host]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    Shared shared;
    std::vector<mp::detail::Descriptor> silent;
    for (int i = 0; i < 20; ++i) {
        silent.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, shared.host.address().path().c_str(),
                     sizeof(address.sun_path) - 1);
        REQUIRE(::connect(silent.back().get(), reinterpret_cast<const sockaddr*>(&address),
                          sizeof(address)) == 0);
    }
    CHECK(Program(shared.host, "guess", "work").join() == 9);
    Program guest(shared.host, "secret", "work");
    shared.tasks.put(object(1));
    CHECK(next(shared.results)[1] == object(1));
    shared.tasks.put(object());
    CHECK(guest.join() == 0);
    CHECK_THROWS_AS(mp::python::Host({"localhost", 0}, {.authkey = "secret"}), mp::ValueError);
}

TEST_CASE("What a guest held is given back when it is killed", "[python][host][kill]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    Shared shared;
    const std::size_t before = mp::detail::heap().segment().memory();
    {
        const mp::RawArray<std::byte> large(std::vector<std::byte>(std::size_t{64} << 20));
        shared.tasks.put(
            object(mp::RawArray<unsigned char>::from_shared_handle(large.shared_handle())));
    }
    Program guest(shared.host, "secret", "hold");
    CHECK(next(shared.results) == object("held"));
    CHECK(mp::detail::heap().segment().memory() >= before + (std::size_t{64} << 20));
    CHECK(guest.kill() == -SIGKILL);
    CHECK_THROWS_AS(shared.lock.acquire(true, 100), mp::AbandonedError);
    CHECK(support::heap_shrinks_to(before + (std::size_t{8} << 20)));
    shared.lock.recover();
    shared.lock.release();
}

TEST_CASE("A guest stays when the host is closed, and is buried all the same",
          "[python][host][kill]") {
    if (!there_is_module()) return;
    const Tidy tidy;
    Shared shared;
    Program guest(shared.host, "secret", "work");
    shared.tasks.put(object(1));
    CHECK(next(shared.results)[1] == object(1));
    const std::string path = shared.host.address().path();
    shared.host.close();
    CHECK(support::eventually([&] { return !std::filesystem::exists(path); }));
    shared.tasks.put(object(2));
    CHECK(next(shared.results)[1] == object(2));
    CHECK(guest.kill() == -SIGKILL);
    CHECK_THROWS_AS(shared.host.address(), mp::ValueError);
}

TEST_CASE("Guests that are killed at any moment harm nobody", "[python][host][kill]") {
    if (!there_is_module()) return;
    const char* const wish = std::getenv("MULTIPROCESSING_TEST_KILLS");
    const int wanted = wish != nullptr ? std::atoi(wish) : 6;
    const Tidy tidy(1 + static_cast<unsigned>(wanted) / 20);
    Shared shared;
    const auto start = [&] { return Program(shared.host, "secret", "use_for_ever"); };
    std::vector<Program> guests;
    for (int i = 0; i < 3; ++i) guests.push_back(start());
    Random random(7);
    std::size_t most = 0;
    for (int kills = 0; kills < wanted; ++kills) {
        // One is killed in the middle of something, or before it has joined.
        for (int i = 0; i < 20; ++i) {
            shared.tasks.put(object(i), true, 100);
            static_cast<void>(next(shared.results));
        }
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
        Program& victim = guests[random() % guests.size()];
        CHECK(victim.kill() == -SIGKILL);
        while (shared.tasks.try_get()) {
        }
        while (shared.results.try_get()) {
        }
        most = (std::max)(most, mp::detail::heap().segment().memory());
        victim = start();
    }
    for (Program& guest : guests) CHECK(guest.kill() == -SIGKILL);
    for (const mp::AnyLock& each : {mp::AnyLock(shared.lock), shared.value.get_lock()}) {
        each.recover();
        each.release();
    }
    CHECK(shared.value.get_obj() > 0);
    CHECK(most < std::size_t{1} << 30);
}
