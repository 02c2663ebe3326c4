// connection/wait.hpp: waiting for connections, processes and descriptors at once.
// SPDX-License-Identifier: MIT
#include <sys/epoll.h>

#include <array>
#include <list>
#include <map>

#include "tests/connection/support.hpp"

namespace {

using mp::connection::Waitable;

void send_ten(mp::Connection end, int who) {
    for (int i = 0; i < 10; ++i) {
        ::usleep(1000);
        end.send(std::pair(who, i));
    }
}
void leave_after(double seconds) { ::usleep(static_cast<unsigned>(seconds * 1e6)); }

}  // namespace

TEMPLATE_TEST_CASE("wait tells which connections have a message, until all are at their end",
                   "[connection]", START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(120);
    std::list<mp::Connection> readers;
    std::vector<mp::BasicProcess<TestType>> processes;
    for (int i = 0; i < 4; ++i) {
        auto [read, write] = mp::Pipe(false);
        processes.emplace_back(send_ten, std::move(write), i);
        processes.back().start();
        readers.push_back(std::move(read));
    }
    std::map<int, std::vector<int>> received;
    while (!readers.empty()) {
        const auto ready = mp::connection::wait(readers);
        REQUIRE_FALSE(ready.empty());
        for (const Waitable& object : ready) {
            const auto reader = std::find(readers.begin(), readers.end(), object);
            REQUIRE(reader != readers.end());
            try {
                const auto [who, what] = reader->recv<std::pair<int, int>>();
                received[who].push_back(what);
            } catch (const mp::EOFError&) {
                readers.erase(reader);
            }
        }
    }
    REQUIRE(received.size() == 4);
    for (const auto& [who, what] : received) {
        REQUIRE(what == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    }
    for (auto& process : processes) process.join();
}

TEMPLATE_TEST_CASE("wait sees the end of a process, and takes objects of all kinds", "[connection]",
                   START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    auto [read, write] = mp::Pipe(false);
    mp::BasicProcess<TestType> process(leave_after, 0.1);
    process.start();
    REQUIRE(mp::connection::wait({a, process, read.fileno()}, 0).empty());
    auto ready = mp::connection::wait({a, process, read.fileno()});
    REQUIRE(ready.size() == 1);
    REQUIRE(ready[0] == process);
    REQUIRE(ready[0].fileno() == process.sentinel());
    b.send(1);
    write.send(2);
    ready = mp::connection::wait({process.sentinel(), a.fileno(), read.fileno()}, 10);
    REQUIRE(ready.size() == 3);
    REQUIRE(mp::connection::wait({Waitable(process), Waitable(a)}) ==
            std::vector<Waitable>{process, a});
    process.join();
    const auto children = mp::active_children();
    REQUIRE(mp::connection::wait(children).empty());
}

TEST_CASE("wait takes any range of what can be waited for", "[connection]") {
    const NothingLeft check;
    std::vector<mp::Connection> ends;
    for (int i = 0; i < 2; ++i) {
        auto [a, b] = mp::Pipe();
        ends.push_back(std::move(a));
        ends.push_back(std::move(b));
    }
    ends[0].send(1);
    REQUIRE(mp::connection::wait(ends) == std::vector<Waitable>{ends[1]});
    REQUIRE(mp::connection::wait(std::as_const(ends), 1).at(0) == ends[1]);
    REQUIRE(mp::connection::wait(std::vector<int>{ends[2].fileno(), ends[1].fileno()}).size() == 1);
    const std::array<Waitable, 2> array{ends[1], ends[3]};
    REQUIRE(mp::connection::wait(array, std::chrono::seconds(1)).size() == 1);
    std::vector<Waitable> waitables{ends[1], ends[0]};
    REQUIRE(mp::connection::wait(waitables).size() == 1);
    REQUIRE(mp::connection::wait(std::vector<Waitable>{ends[1]}).size() == 1);
    // Twice the same: both.
    REQUIRE(mp::connection::wait({ends[1], ends[1]}).size() == 2);
    REQUIRE(ends[1] == Waitable(ends[1].fileno()));
}

TEST_CASE("wait waits for the timeout, also of nothing", "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    const double start = support::now();
    REQUIRE(mp::connection::wait({a, b}, 0.2).empty());
    REQUIRE(support::now() - start >= 0.2);
    REQUIRE(mp::connection::wait({a, b}, -1).empty());
    REQUIRE(mp::connection::wait({}).empty());  // not for ever, as Python's
    const double of_nothing = support::now();
    REQUIRE(mp::connection::wait(std::vector<mp::Connection>{}, 0.2).empty());
    REQUIRE(support::now() - of_nothing >= 0.2);
    const support::SignalRain rain;
    const double later = support::now();
    REQUIRE(mp::connection::wait({a}, 0.2).empty());
    REQUIRE(support::now() - later >= 0.2);
}

TEST_CASE("wait takes the end of a stream for something to receive", "[connection]") {
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        b.close();
        REQUIRE(mp::connection::wait({a}).size() == 1);
    }
}

TEST_CASE("wait for what is closed is an error", "[connection]") {
    auto [a, b] = mp::Pipe();
    const Waitable waitable = a;
    const int fd = a.fileno();
    a.close();
    REQUIRE_THROWS_AS(mp::connection::wait({a}), mp::ValueError);
    REQUIRE_THROWS_AS(mp::connection::wait({waitable}), mp::ValueError);
    REQUIRE(errno_of([&] { (void)mp::connection::wait({fd}); }) == EBADF);
}

TEST_CASE("wait knows of a message left in a connection, however old the Waitable is",
          "[connection]") {
    auto [a, b] = mp::Pipe();
    const std::vector<Waitable> objects{a, b};
    b.send(1);
    REQUIRE_THROWS_AS(a.recv<char>(), mp::TypeError);
    REQUIRE(mp::connection::wait(objects) == std::vector<Waitable>{a});
    a.send(2);
    REQUIRE(mp::connection::wait(objects) == std::vector<Waitable>{a, b});
    REQUIRE(a.recv<int>() == 1);
    REQUIRE(mp::connection::wait(objects) == std::vector<Waitable>{b});
}

TEST_CASE("epoll on a connection's descriptor sees what there is to receive", "[connection]") {
    auto [a, b] = mp::Pipe(false);
    const mp::detail::Descriptor set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{EPOLLIN, {}};
    REQUIRE(::epoll_ctl(set.get(), EPOLL_CTL_ADD, a.fileno(), &event) == 0);
    const auto is_ready = [&] { return ::epoll_wait(set.get(), &event, 1, 0) == 1; };
    REQUIRE_FALSE(is_ready());
    b.send(1);
    b.send(std::string(100, 'x'));
    REQUIRE(is_ready());
    REQUIRE(a.recv<int>() == 1);
    REQUIRE(is_ready());
    (void)a.recv<std::string>();
    REQUIRE_FALSE(is_ready());
    b.close();
    REQUIRE(is_ready());
}

TEST_CASE("wait for a thousand connections", "[connection]") {
    const Watchdog watchdog(60);
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const int count = limit.rlim_cur < 2500 ? 300 : 1000;
    std::vector<mp::Connection> readers;
    std::vector<mp::Connection> writers;
    for (int i = 0; i < count; ++i) {
        auto [read, write] = mp::Pipe(false);
        readers.push_back(std::move(read));
        writers.push_back(std::move(write));
    }
    REQUIRE(mp::connection::wait(readers, 0).empty());
    for (mp::Connection& writer : writers) writer.send(1);
    REQUIRE(mp::connection::wait(readers).size() == readers.size());
}
