// remote/connection/{listener,listener_state,handshake_peer}.hpp: connections that other programs
// make, in C++ and in Python. SPDX-License-Identifier: MIT
#include <algorithm>
#include <atomic>
#include <iterator>
#include <set>
#include <sstream>

#include "tests/remote/support.hpp"

namespace {

const mp::connection::ListenerOptions with_key{.authkey = "key"};

/// Connects, says `text`, and waits until it is told the same.
void greet(Address address, std::string text) {
    mp::Connection connection = Client(address, {.authkey = "key"});
    connection.send_bytes(text);
    if (connection.recv_bytes() != text) mp::exit(9);
}
/// Returns what this process has open: "socket:[1234]" and the like.
std::set<std::string> open_files() {
    std::set<std::string> files;
    for (const std::string& number : support::descriptors()) {
        char text[256];
        const ssize_t size = ::readlink(("/proc/self/fd/" + number).c_str(), text, sizeof text);
        if (size > 0) files.insert({text, static_cast<std::size_t>(size)});
    }
    return files;
}
/// Accepts one connection and answers it.
void serve_one(Listener& listener) {
    mp::Connection connection = listener.accept();
    connection.send_bytes(connection.recv_bytes());
}

}  // namespace

TEST_CASE("Listener: it prints as what it is", "[remote]") {
    const NothingLeft check;
    Listener listener(Address("\0multiprocessing-test"));
    std::ostringstream stream;
    stream << listener;
    listener.close();
    stream << listener;
    CHECK(stream.str() == "<Listener '\\x00multiprocessing-test'><Listener closed>");
}

TEMPLATE_TEST_CASE("Listener: processes of the same family connect with the family's key",
                   "[remote]", START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(120);
    Listener listener({}, {.authkey = "key", .backlog = 4});
    Child<TestType> first(greet, listener.address().path(), "one");
    Child<TestType> second(greet, listener.address().path(), "two");
    serve_one(listener);
    serve_one(listener);
    CHECK(first.join() == 0);
    CHECK(second.join() == 0);
}

TEST_CASE("Listener: over each kind of socket, and both ends close in either order", "[remote]") {
    // _TestListenerClient: test_listener_client, test_issue14725
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const Address& address : {Address(), Address("\0multiprocessing-test"),
                                   Address("127.0.0.1", 0), Address("", 0), Address("::1", 0)}) {
        if (address.host() == "::1" &&
            errno_of([&] { const Listener probe(address); }) == EADDRNOTAVAIL) {
            continue;  // a machine without IPv6
        }
        Listener listener(address, with_key);
        const Address where = listener.address();
        std::thread client([&] {
            mp::Connection connection = Client(where, {.authkey = "key"});
            connection.send_bytes("hello");
        });
        mp::Connection connection = listener.accept();
        CHECK(listener.last_accepted().is_tcp() == where.is_tcp());
        CHECK(connection.recv_bytes() == "hello");
        client.join();
        CHECK_THROWS_AS(connection.recv_bytes(), mp::EOFError);
        CHECK(connection.poll(0));
        listener.close();
        CHECK_THROWS_AS(listener.accept(), mp::ValueError);
    }
}

TEST_CASE("Listener: without authkey nobody proves anything", "[remote]") {
    // _TestListenerClient: test_issue14725, test_issue16955
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const char* const family : {"AF_UNIX", "AF_INET"}) {
        Listener listener({}, {.authkey = std::nullopt, .family = family});
        Client(listener.address(), {.authkey = std::nullopt}).send_bytes("sent and gone");
        mp::Connection connection = listener.accept();
        CHECK(connection.poll(10));
        CHECK(connection.recv_bytes() == "sent and gone");
        CHECK_THROWS_AS(connection.recv_bytes(), mp::EOFError);
    }
}

TEST_CASE("Listener: an empty key is a key", "[remote]") {
    // _TestListener: test_empty_authkey
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({}, {.authkey = ""});
    std::atomic<bool> refused{false};
    std::thread client([&] {
        (void)Client(listener.address(), {.authkey = ""});
        refused = support::throws<mp::AuthenticationError>(
            [&] { (void)Client(listener.address(), {.authkey = "x"}); });
    });
    CHECK(listener.accept().writable());
    CHECK_THROWS_AS(listener.accept(), mp::AuthenticationError);
    client.join();
    CHECK(refused);
}

TEST_CASE("Listener: random bytes are refused, and it goes on", "[remote][attack]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    support::Random random(11);
    Listener listener({}, {.authkey = "key", .backlog = 8, .handshake_timeout = 2});
    int refused = 0;
    constexpr int rounds = 400;
    for (int round = 0; round < rounds; ++round) {
        RawPeer peer(listener.address());
        std::string bytes(random() % 400, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random());
        // As a message of its size, so that also what follows the header is looked at.
        peer.send(round % 2 == 0 ? bytes : RawPeer::framed(bytes));
        if (round % 3 != 0) peer.close();
        refused += support::throws<mp::AuthenticationError>([&] { (void)listener.accept(); });
    }
    CHECK(refused == rounds);
    std::thread client([&] { greet(listener.address(), "after all"); });
    serve_one(listener);
    client.join();
}

TEST_CASE("Listener: fifty silent peers do not hold up the next", "[remote][attack]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({}, {.authkey = "key", .backlog = 100, .handshake_timeout = 600});
    std::vector<RawPeer> silent;
    for (int i = 0; i < 50; ++i) silent.emplace_back(listener.address());
    for (RawPeer& peer : silent) peer.send("\x00"s);  // and one byte, that leads nowhere
    std::thread client([&] { greet(listener.address(), "fifty-first"); });
    serve_one(listener);
    client.join();
}

TEST_CASE("Listener: more silent peers than it looks after hold up the next until their time is "
          "over",
          "[remote][attack]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    Listener listener({}, {.authkey = "key", .backlog = 400, .handshake_timeout = 1});
    std::vector<RawPeer> silent;
    for (int i = 0; i < 300; ++i) silent.emplace_back(listener.address());
    std::atomic<bool> served{false};
    std::thread client([&] {
        greet(listener.address(), "last");
        served = true;
    });
    int refused = 0;
    while (!served) {
        try {
            if (auto connection = listener.try_accept(0.01)) {
                connection->send_bytes(connection->recv_bytes());
                REQUIRE(support::eventually([&] { return served.load(); }));
            }
        } catch (const mp::AuthenticationError&) {
            ++refused;
        }
    }
    client.join();
    CHECK(refused >= 45);  // there is room for 256 of the 301
}

TEST_CASE("Listener: a peer that stays silent is refused after handshake_timeout", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({}, {.authkey = "key", .handshake_timeout = 0.2});
    const RawPeer peer(listener.address());
    const double start = support::now();
    CHECK_THROWS_WITH(listener.accept(), Catch::Matchers::ContainsSubstring("silent for too long"));
    CHECK(support::now() - start >= 0.2);
    CHECK(listener.try_accept(0.01) == std::nullopt);
}

TEST_CASE("Listener: the time in which nobody accepts does not count", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({}, {.authkey = "key", .handshake_timeout = 1});
    const RawPeer peer(listener.address());
    REQUIRE_FALSE(listener.try_accept(0));  // sends the challenge
    ::usleep(1'200'000);
    CHECK_FALSE(listener.try_accept(0));  // its second has hardly begun
    CHECK_THROWS_AS(listener.accept(), mp::AuthenticationError);
}

TEST_CASE("Listener: wait tells when there is something to accept, and when a handshake goes on",
          "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({}, with_key);
    auto [a, b] = support::python_pipe();
    CHECK(mp::connection::wait({listener}, 0).empty());
    std::thread client([&] { greet(listener.address(), "waited for"); });
    std::optional<mp::Connection> connection;
    while (!connection) {
        const auto ready = mp::connection::wait({mp::connection::Waitable(listener), a}, 30);
        REQUIRE((ready.size() == 1 && ready[0] == listener));
        connection = listener.try_accept(0);
    }
    b.send_bytes("x");
    CHECK(mp::connection::wait({mp::connection::Waitable(listener), a}, 30).at(0) == a);
    connection->send_bytes(connection->recv_bytes());
    client.join();
}

TEST_CASE("Listener: a close in another thread ends accept", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({}, with_key);
    std::atomic<int> ended{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            if (support::throws<mp::ValueError>([&] { (void)listener.accept(); })) ++ended;
        });
    }
    ::usleep(20'000);
    listener.close();
    for (std::thread& thread : threads) thread.join();
    CHECK(ended == 3);
}

TEST_CASE("Listener: threads and forked processes accept at the same one, each connection once",
          "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    constexpr int count = 40;
    Listener listener({}, {.authkey = "key", .backlog = 64});
    std::vector<std::unique_ptr<Child<mp::start_method::fork>>> servers;
    for (int i = 0; i < 3; ++i) {
        servers.push_back(std::make_unique<Child<mp::start_method::fork>>([&] {
            for (;;) serve_one(listener);
        }));
    }
    std::vector<std::thread> clients;
    for (int i = 0; i < 4; ++i) {
        clients.emplace_back([&, i] {
            for (int k = 0; k < count / 4; ++k) {
                greet(listener.address(), std::to_string(i * 100 + k));
            }
        });
    }
    for (std::thread& client : clients) client.join();
    for (auto& server : servers) server->kill();
    CHECK(std::filesystem::exists(listener.address().path()));  // they have not removed it
}

TEST_CASE("Listener: a process that is forked while a thread is in accept can use it, and leave it",
          "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    Listener listener({"localhost", 0}, {.authkey = "key", .backlog = 64});
    std::atomic<bool> done{false};
    std::atomic<bool> peers_have_left{false};
    std::thread server([&] {
        while (!peers_have_left) {
            try {
                (void)listener.try_accept(0.01);
            } catch (const std::exception&) {  // a peer that has left
            }
        }
    });
    std::vector<std::thread> peers;
    for (int i = 0; i < 2; ++i) {
        peers.emplace_back([&] {  // they come, say nothing and leave, or say the right thing
            for (int round = 0; !done; ++round) {
                try {
                    if (round % 2 == 0) {
                        (void)mp::detail::connect_to(listener.address(), mp::Timeout(5));
                    } else {
                        (void)Client(listener.address(), {.authkey = "key"});
                    }
                } catch (const std::exception&) {
                }
            }
        });
    }
    int failed = 0;
    for (int round = 0; round < (support::sanitized ? 50 : 600); ++round) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(20);
            const Address last = listener.last_accepted();
            bool works = last.empty() || (last.is_tcp() && !last.host().empty());
            if (round % 2 == 0) {
                try {
                    (void)listener.try_accept(0);
                } catch (const std::exception&) {
                }
            }
            listener.close();
            works = works && listener.closed();
            ::_exit(works ? 0 : 1);
        }
        int status = -1;
        ::waitpid(child, &status, 0);
        failed += status != 0 ? 1 : 0;
    }
    done = true;
    for (std::thread& peer : peers) peer.join();
    peers_have_left = true;
    server.join();
    CHECK(failed == 0);
}

TEST_CASE("Listener: a forked process keeps no socket of its parent's handshakes", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({"localhost", 0}, with_key);
    const mp::detail::Descriptor peer = mp::detail::connect_to(listener.address(), mp::Timeout(5));
    const std::set<std::string> before = open_files();
    REQUIRE_FALSE(listener.try_accept(0.1));  // the peer says nothing: it is in the handshake
    std::set<std::string> sockets;
    std::ranges::set_difference(open_files(), before, std::inserter(sockets, sockets.end()));
    REQUIRE(sockets.size() == 1);
    const pid_t child = ::fork();
    if (child == 0) {
        (void)listener.try_accept(0);
        ::_exit(open_files().contains(*sockets.begin()) ? 1 : 0);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
}

TEST_CASE("Listener: a process that is killed in the handshake costs one refusal", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    Listener listener({}, {.authkey = "key", .backlog = 64});
    support::Random random(7);
    for (int round = 0; round < (support::sanitized ? 20 : 100); ++round) {
        Child<mp::start_method::fork> victim([&] {
            for (;;) (void)Client(listener.address(), {.authkey = "key"});
        });
        std::thread killer([&, delay = random() % 3000] {
            ::usleep(delay);
            victim.kill();
        });
        for (int i = 0; i < 20; ++i) {
            try {
                (void)listener.try_accept(0.001);
            } catch (const mp::AuthenticationError&) {
            }
        }
        killer.join();
    }
    // Those that are left in the queue.
    for (bool idle = false; !idle;) {
        try {
            idle = !listener.try_accept(0.05).has_value();
        } catch (const mp::AuthenticationError&) {
        }
    }
    std::thread client([&] { greet(listener.address(), "after all"); });
    serve_one(listener);
    client.join();
}

TEST_CASE("Listener: out of descriptors accept fails, and later goes on", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({}, with_key);
    std::thread client([&] { greet(listener.address(), "later"); });
    REQUIRE(mp::connection::wait({listener}, 30).size() == 1);
    {
        const support::FewDescriptors few(0);
        CHECK(errno_of([&] { (void)listener.accept(); }) == EMFILE);
    }
    serve_one(listener);
    client.join();
}

TEST_CASE("Listener: signals do not end accept", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Listener listener({}, with_key);
    const support::SignalRain rain;
    std::thread client([&] {
        ::usleep(50'000);
        greet(listener.address(), std::string(1'000'000, 'x'));
    });
    serve_one(listener);
    client.join();
}

TEST_CASE("Listener: every Python's Client, with the right key and a wrong one", "[remote]") {
    const NothingLeft check;
    for (const std::string& python : every_python()) {
        INFO(python);
        const Watchdog watchdog(60);
        for (const Address& address : {Address(), Address("localhost", 0)}) {
            Listener listener(address, with_key);
            const Address where = listener.address();
            PythonProgram program(
                python,
                "address = arguments[0] if len(arguments) == 1 else (arguments[0], "
                "int(arguments[1]))\n"
                "connection_ = Client(address, authkey=b'key')\n"
                "for n in (0, 1, 16380, 16381, 16384, 16385, 300000):\n"
                "    connection_.send_bytes(b'x' * n)\n"
                "    assert connection_.recv_bytes() == b'y' * n\n"
                "connection_.close()\n"
                "try: Client(address, authkey=b'wrong')\n"
                "except AuthenticationError: say('refused')\n",
                where.is_tcp() ? std::vector{where.host(), std::to_string(where.port())}
                               : std::vector{where.path()});
            mp::Connection connection = listener.accept();
            for (const std::size_t size : {0u, 1u, 16380u, 16381u, 16384u, 16385u, 300000u}) {
                REQUIRE(connection.recv_bytes() == std::string(size, 'x'));
                connection.send_bytes(std::string(size, 'y'));
            }
            CHECK_THROWS_AS(connection.recv_bytes(), mp::EOFError);
            CHECK_THROWS_AS(listener.accept(), mp::AuthenticationError);
            CHECK(program.line() == "refused");
            CHECK(program.join() == 0);
        }
    }
}
