// remote/connection/client.hpp: connections to a Listener of another program, in Python above all.
// SPDX-License-Identifier: MIT
#include <atomic>

#include "tests/remote/support.hpp"

namespace {

/// Makes a Listener, says where it is, and runs the rest of the script.
PythonProgram listener_in(const std::string& python, std::string_view rest, const char* options) {
    return PythonProgram(python, "listener = Listener(" + std::string(options) +
                                     ")\n"
                                     "say_address(listener.address)\n" +
                                     std::string(rest));
}

}  // namespace

TEST_CASE("Client: every Python's Listener, over each kind of socket", "[remote]") {
    const NothingLeft check;
    for (const std::string& python : every_python()) {
        INFO(python);
        for (const char* options : {"authkey=b'key'", "('localhost', 0), authkey=b'key'"}) {
            const Watchdog watchdog(60);
            PythonProgram program = listener_in(python,
                                                "c = listener.accept()\n"
                                                "while True:\n"
                                                "    try: data = c.recv_bytes()\n"
                                                "    except EOFError: break\n"
                                                "    c.send_bytes(data[::-1])\n"
                                                "try: listener.accept()\n"
                                                "except AuthenticationError: say('refused')\n",
                                                options);
            const Address address = address_in(program.line());
            {
                mp::Connection connection = Client(address, {.authkey = "key"});
                for (const std::size_t size : {0u, 1u, 16380u, 16384u, 16385u, 300000u}) {
                    const std::string bytes = pattern(size);
                    connection.send_bytes(bytes);
                    REQUIRE(connection.recv_bytes() == std::string(bytes.rbegin(), bytes.rend()));
                }
            }
            CHECK_THROWS_AS(Client(address, {.authkey = "wrong"}), mp::AuthenticationError);
            CHECK(program.line() == "refused");
            CHECK(program.join() == 0);
        }
    }
}

TEST_CASE("Client: a Python Listener without authkey", "[remote]") {
    const NothingLeft check;
    for (const std::string& python : every_python()) {
        const Watchdog watchdog(60);
        PythonProgram program =
            listener_in(python, "c = listener.accept(); c.send_bytes(c.recv_bytes())\n", "");
        mp::Connection connection = Client(address_in(program.line()), {.authkey = std::nullopt});
        connection.send_bytes("plain");
        CHECK(connection.recv_bytes() == "plain");
        CHECK(program.join() == 0);
    }
}

TEST_CASE("Client: challenges of every Python by hand, in both roles", "[remote]") {
    const NothingLeft check;
    for (const std::string& python : every_python()) {
        const Watchdog watchdog(60);
        PythonProgram program = listener_in(python,
                                            "c = listener.accept()\n"
                                            "connection.answer_challenge(c, b'key')\n"
                                            "connection.deliver_challenge(c, b'key')\n"
                                            "try: connection.deliver_challenge(c, b'other')\n"
                                            "except AuthenticationError: say('refused')\n",
                                            "");
        mp::Connection end = Client(address_in(program.line()), {.authkey = std::nullopt});
        mp::connection::deliver_challenge(end, "key");
        mp::connection::answer_challenge(end, "key");
        CHECK_THROWS_AS(mp::connection::answer_challenge(end, "key"), mp::AuthenticationError);
        CHECK(program.line() == "refused");
        CHECK(program.join() == 0);
    }
}

TEST_CASE("Client: it waits for a listener that accepts later, but not beyond its timeout",
          "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({}, {.authkey = "key"});
    const double start = support::now();
    CHECK_THROWS_AS(Client(listener.address(), {.authkey = "key", .handshake_timeout = 0.1}),
                    mp::TimeoutError);
    CHECK(support::now() - start >= 0.1);
    std::atomic<bool> connected{false};
    std::thread client([&] {
        (void)Client(listener.address(), {.authkey = "key"});
        connected = true;
    });
    ::usleep(100'000);
    CHECK_FALSE(connected);
    while (!connected) {
        try {
            (void)listener.try_accept(0.01);
        } catch (const mp::AuthenticationError&) {  // of the one that went away
        }
    }
    client.join();
}

TEST_CASE("Client: a listener whose queue is full is a TimeoutError too", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({}, {.authkey = "key", .backlog = 0});
    std::vector<RawPeer> waiting;
    waiting.emplace_back(listener.address());  // Linux takes one more than the backlog
    CHECK_THROWS_AS(Client(listener.address(), {.authkey = "key", .handshake_timeout = 0.1}),
                    mp::TimeoutError);
}

TEST_CASE("Client: signals do not disturb it", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({}, {.authkey = "key"});
    std::thread server([&] {
        for (int i = 0; i < 20; ++i) {
            ::usleep(5'000);
            mp::Connection connection = listener.accept();
            connection.send_bytes(connection.recv_bytes());
        }
    });
    {
        const support::SignalRain rain;
        for (int i = 0; i < 20; ++i) {
            mp::Connection connection = Client(listener.address(), {.authkey = "key"});
            connection.send_bytes(std::string(500'000, 'x'));
            REQUIRE(connection.recv_bytes().size() == 500'000);
        }
    }
    server.join();
}
