// Many threads on one end, both directions at once, closing under a call, forks of a process with
// threads.
// SPDX-License-Identifier: MIT
#include <set>

#include "tests/connection/support.hpp"

TEST_CASE("Eight threads send on one end and eight receive on the other", "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(200);
    const int each = support::sanitized ? 300 : 2000;
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        std::vector<std::thread> threads;
        std::vector<std::vector<std::string>> received(8);
        for (unsigned i = 0; i < 8; ++i) {
            threads.emplace_back([&, i, end = &b] {
                for (int n = 0; n < each; ++n) {
                    // From within the cell to several of the kernel's buffers.
                    end->send(std::to_string(i) + ":" + std::to_string(n) + ":" +
                              std::string(static_cast<std::size_t>(n) * 37 % 9000, 'x'));
                }
            });
            threads.emplace_back([&, i, end = &a] {
                for (int n = 0; n < each; ++n) received[i].push_back(end->recv<std::string>());
            });
        }
        for (std::thread& thread : threads) thread.join();
        std::set<std::string> all;
        for (const auto& some : received) all.insert(some.begin(), some.end());
        REQUIRE(all.size() == 8u * static_cast<unsigned>(each));
        for (const std::string& text : all) {
            const auto colon = text.rfind(':');
            const int n = std::stoi(text.substr(text.find(':') + 1));
            REQUIRE(text.size() - colon - 1 == static_cast<std::size_t>(n) * 37 % 9000);
        }
        REQUIRE_FALSE(a.poll());
    }
}

TEST_CASE("Both ends send large messages at once while both receive", "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    auto [a, b] = mp::Pipe();
    const std::string bytes = pattern(1 << 20);
    const auto send = [&](mp::Connection& end) {
        for (int i = 0; i < 20; ++i) end.send_bytes(bytes);
    };
    std::atomic<int> whole{0};
    const auto receive = [&](mp::Connection& end) {
        for (int i = 0; i < 20; ++i) whole += end.recv_bytes() == bytes;
    };
    std::thread first([&, end = &a] { send(*end); });
    std::thread second([&, end = &b] { send(*end); });
    std::thread third([&, end = &a] { receive(*end); });
    receive(b);
    first.join();
    second.join();
    third.join();
    REQUIRE(whole == 40);
}

TEST_CASE("Connection.close under a call of another thread waits for that call's end",
          "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    const int fd = a.fileno();
    int received = 0;
    std::thread receiver([&, end = &a] { received = end->recv<int>(); });
    ::usleep(20'000);
    a.close();
    REQUIRE(a.closed());
    REQUIRE_THROWS_AS(a.recv<int>(), mp::ValueError);
    b.send(5);
    receiver.join();
    REQUIRE(received == 5);
    REQUIRE(::fcntl(fd, F_GETFD) < 0);
}

TEST_CASE("Connections closed by some threads while others use them lose no descriptor",
          "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    for (int round = 0; round < 300; ++round) {
        auto [a, b] = mp::Pipe();
        std::vector<std::thread> threads;
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([end = &a] {
                try {
                    for (;;) end->send(1);
                } catch (const mp::ValueError&) {
                } catch (const std::system_error&) {
                }
            });
            threads.emplace_back([end = &b] {
                try {
                    for (;;) (void)end->recv<int>();
                } catch (const mp::ValueError&) {
                } catch (const mp::EOFError&) {
                }
            });
        }
        threads.emplace_back([end = &a] { end->close(); });
        a.close();
        for (std::thread& thread : threads) thread.join();
    }
}

TEST_CASE("A fork while other threads are in calls leaves the child's connections usable",
          "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    auto [a, b] = mp::Pipe();
    std::atomic<bool> stop{false};
    // One waits in recv, with that direction locked, the other is in and out of send.
    std::thread receiver([&, end = &a] {
        while (end->recv<int>() != 0) {
        }
    });
    std::thread sender([&, end = &a] {
        while (!stop) {
            end->send(1);
            ::usleep(50);
        }
    });
    std::thread drain([&, end = &b] {
        while (end->recv<int>() != 0) {
        }
    });
    for (int round = 0; round < 20; ++round) {
        Child<mp::start_method::fork> child([end = &a] {
            end->send(2);
            end->close();
        });
        REQUIRE(child.join() == 0);
    }
    stop = true;
    sender.join();
    a.send(0);
    b.send(0);
    receiver.join();
    drain.join();
}
