// connection/byte_stream.hpp: large messages through a socket that nobody reads for a while.
// SPDX-License-Identifier: MIT
#include <signal.h>
#include <sys/socket.h>

#include <thread>

#include "tests/connection/support.hpp"

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

int send_buffer(int fd) {
    int value = 0;
    socklen_t length = sizeof value;
    ::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &length);
    return value;
}

/// Whether the system lets a socket have room for so many bytes: by its limit, or by a privilege.
bool may_have_room(int bytes) {
    const mp::detail::SocketPair ends = mp::detail::make_socket_pair(SOCK_STREAM);
    const int fd = ends.first.get();
    for (const int name : {SO_SNDBUF, SO_SNDBUFFORCE}) {
        ::setsockopt(fd, SOL_SOCKET, name, &bytes, sizeof bytes);
        if (send_buffer(fd) >= 2 * bytes) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("Both ends of a pipe may send a large message before they receive", "[connection]") {
    if (!may_have_room(4 * mib)) return;
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    const int before = send_buffer(a.fileno());
    for (unsigned round = 0; round < 3; ++round) {
        const std::string there = pattern(mib + round, round);
        const std::string back = pattern(3 * mib, round + 10);
        a.send(there);
        b.send_bytes(back);
        REQUIRE(b.recv<std::string>() == there);
        REQUIRE(a.recv_bytes() == back);
        // The room was for that message alone: a sender without a receiver piles up no more.
        REQUIRE(send_buffer(a.fileno()) == before);
    }
}

TEST_CASE("A large message waits for a late receiver, and goes on after signals", "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    struct sigaction ignore {
    }, old{};
    ignore.sa_handler = [](int) {};  // and no SA_RESTART
    ::sigaction(SIGUSR1, &ignore, &old);
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        const std::string text = pattern(9 * mib, duplex ? 1 : 2);  // more than any socket holds
        std::atomic<bool> has_sent = false;
        std::thread sender([&, end = &b] {
            end->send_bytes(text);
            has_sent = true;
        });
        for (int i = 0; i < 20; ++i) {
            ::usleep(2'000);
            ::pthread_kill(sender.native_handle(), SIGUSR1);
        }
        REQUIRE_FALSE(has_sent);
        const std::string got = a.recv_bytes();
        sender.join();
        REQUIRE(got == text);
    }
    ::sigaction(SIGUSR1, &old, nullptr);
}

TEST_CASE("A large message without a receiver ends with EPIPE when the other end closes",
          "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    std::thread closer([end = &a] {
        ::usleep(50'000);
        end->close();
    });
    const int error = support::errno_of([&, end = &b] { end->send_bytes(pattern(9 * mib)); });
    closer.join();
    REQUIRE(error == EPIPE);
}
