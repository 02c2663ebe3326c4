// remote/authentication/{mac,challenge,handshake}.hpp, remote/connection/challenges.hpp: proofs
// that the other side holds the key, and those who have none. SPDX-License-Identifier: MIT
#include <atomic>

#include "tests/remote/support.hpp"

using mp::connection::answer_challenge;
using mp::connection::deliver_challenge;
using mp::detail::answer_to;
using mp::detail::Challenge;
using mp::detail::Side;

namespace {

std::string hex(std::string_view bytes) {
    std::string text;
    for (const char byte : bytes) {
        text += "0123456789abcdef"[static_cast<unsigned char>(byte) >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}
std::string hmac(std::string_view digest, std::string_view key, std::string_view message) {
    return mp::detail::hmac(*mp::detail::find_digest(digest), key, message);
}

/// A connection whose peer says always the same, as in CPython's OtherTest.
struct FakeConnection {
    std::vector<std::string> answers;
    std::vector<std::string> sent = {};
    std::size_t next = 0;
    std::string recv_bytes(std::size_t) { return answers[next++]; }
    void send_bytes(std::string_view bytes) { sent.emplace_back(bytes); }
};

/// A listener's socket and the peer of it, in one thread: its bytes wait in the socket.
struct Stage {
    Listener listener{{}, {.authkey = "key", .handshake_timeout = 60}};
    RawPeer peer{listener.address()};

    std::string error() {
        return text_of_error<mp::AuthenticationError>([&] { (void)listener.try_accept(0); });
    }
};

}  // namespace

TEST_CASE("HMAC: the values of RFC 2202 and RFC 4231, and of an empty key", "[remote]") {
    const std::string data = "what do ya want for nothing?";
    CHECK(hex(hmac("md5", "Jefe", data)) == "750c783e6ab0b503eaa86e310a5db738");
    CHECK(hex(hmac("sha256", "Jefe", data)) ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    CHECK(hex(hmac("md5", "", "")) == "74e6f7298a9c2d168935f58c001bad88");
    CHECK(hmac("sha384", "k", "m").size() == 48);
    CHECK(hmac("sha3_256", "k", "m").size() == 32);
    CHECK(hmac("sha3_384", "k", "m").size() == 48);
    CHECK(mp::detail::find_digest("sha1") == nullptr);
    CHECK(mp::detail::equal_in_constant_time("abc", "abc"));
    CHECK_FALSE(mp::detail::equal_in_constant_time("abc", "abd"));
    CHECK_FALSE(mp::detail::equal_in_constant_time("abc", "ab"));
}

TEST_CASE("Challenge: it is answered by the key alone, in the way of each version of Python",
          "[remote]") {
    for (const Side side : {Side::listener, Side::client}) {
        const Challenge challenge("key", side);
        const std::string message = challenge.message();
        REQUIRE(message.starts_with("#CHALLENGE#{sha256}"));
        REQUIRE(message.size() == 11 + 8 + 40);
        const std::string text = message.substr(11);
        challenge.check("{sha256}" + hmac("sha256", "key", text));
        challenge.check(hmac("md5", "key", text));  // before 3.12
        challenge.check("{sha3_384}" + hmac("sha3_384", "key", text));
        challenge.check(answer_to(message, "key", Side::listener));
        for (const std::string& wrong :
             {""s, "{}"s, "{sha256}"s, "{sha256"s, "{sha1}"s + std::string(20, 'x'),
              "{sha256}" + hmac("sha256", "other", text), hmac("md5", "other", text),
              "{sha256}" + hmac("sha256", "key", text.substr(8)),
              "{md5}" + hmac("sha256", "key", text), hmac("sha256", "key", text),
              "{sha256}" + hmac("sha256", "key", text) + "x", std::string(256, '\0')}) {
            CHECK_THROWS_AS(challenge.check(wrong), mp::AuthenticationError);
        }
    }
}

TEST_CASE("answer_to: an old challenge gets a bare MD5, a new one what it names", "[remote]") {
    const std::string old(20, 'n');
    CHECK(answer_to("#CHALLENGE#" + old, "key", Side::client) == hmac("md5", "key", old));
    for (const std::string name : {"md5", "sha256", "sha384", "sha3_256", "sha3_384"}) {
        const std::string text = "{" + name + "}" + std::string(40, 'n');
        CHECK(answer_to("#CHALLENGE#" + text, "key", Side::client) ==
              "{" + name + "}" + hmac(name, "key", text));
    }
    for (const std::string& wrong :
         {""s, "#CHALLENGE"s, "#WELCOME#"s, "#CHALLENGE#"s, "#CHALLENGE#" + std::string(19, 'n'),
          "#CHALLENGE#" + std::string(21, 'n'), "#CHALLENGE#{sha1}" + std::string(40, 'n')}) {
        CHECK_THROWS_AS(answer_to(wrong, "key", Side::client), mp::AuthenticationError);
    }
}

TEST_CASE("A client does not answer a challenge that is another client's of the same key",
          "[remote]") {
    const std::string message = Challenge("key", Side::client).message();
    CHECK_THROWS_WITH(answer_to(message, "key", Side::client),
                      Catch::Matchers::ContainsSubstring("reflected"));
    CHECK_NOTHROW(answer_to(message, "key", Side::listener));
    CHECK_NOTHROW(answer_to(message, "other", Side::client));
    CHECK_NOTHROW(answer_to(Challenge("key", Side::listener).message(), "key", Side::client));
    CHECK_FALSE(Challenge("key", Side::client).message() == message);
}

TEST_CASE("deliver_challenge and answer_challenge: what CPython's OtherTest says", "[remote]") {
    FakeConnection bogus{{"something bogus"}};
    CHECK_THROWS_AS(deliver_challenge(bogus, "some key"), mp::AuthenticationError);
    CHECK(bogus.sent.back() == "#FAILURE#");
    FakeConnection second{{"#CHALLENGE#{sha256}" + std::string(40, 'c'), "something bogus"}};
    CHECK_THROWS_AS(answer_challenge(second, "some key"), mp::AuthenticationError);
    FakeConnection first{{"something bogus"}};
    CHECK_THROWS_WITH(answer_challenge(first, "some key"),
                      Catch::Matchers::ContainsSubstring("did not send a challenge"));
}

TEST_CASE("deliver_challenge and answer_challenge: both ways over a connection", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    const auto [key, fails] = GENERATE(std::pair("key", false), std::pair("other", true));
    auto ends = support::python_pipe();
    std::atomic<bool> refused{false};
    std::thread peer([&, key = std::string(key), &end = ends.second] {
        refused = support::throws<mp::AuthenticationError>([&] {
            answer_challenge(end, key);
            deliver_challenge(end, key);
        });
    });
    const bool refuses = support::throws<mp::AuthenticationError>([&] {
        deliver_challenge(ends.first, "key");
        answer_challenge(ends.first, "key");
    });
    peer.join();
    CHECK(refuses == fails);
    CHECK(refused == fails);
}

TEST_CASE("A challenge longer than 256 bytes is not read", "[remote]") {
    const NothingLeft check;
    auto ends = support::python_pipe();
    ends.second.send_bytes(std::string(257, 'x'));
    CHECK(errno_of([&] { answer_challenge(ends.first, "key"); }) == EMSGSIZE);
    CHECK_FALSE(ends.first.readable());
}

TEST_CASE("Listener: whoever holds no key is refused, and told so", "[remote][attack]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    Stage stage;
    CHECK_FALSE(stage.listener.try_accept(0));
    const std::string challenge = stage.peer.message();
    stage.peer.send_message("{sha256}" + hmac("sha256", "wrong", challenge.substr(11)));
    CHECK(stage.error().find("has another authkey") != std::string::npos);
    CHECK(stage.peer.message() == "#FAILURE#");
    CHECK(stage.peer.bytes(1).empty());
}

TEST_CASE("Listener: before the proof nothing large is read, whatever its length says",
          "[remote][attack]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const std::string& header :
         {"\x00\x00\x01\x01"s, "\x7f\xff\xff\xff"s, "\x80\x00\x00\x00"s, "\xff\xff\xff\xfe"s,
          "\xff\xff\xff\xff\x00\x00\x00\x00\x80\x00\x00\x00"s,
          "\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\x00\x00"s,
          "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"s}) {
        Stage stage;
        stage.peer.send(header + std::string(1000, 'x'));
        CHECK_FALSE(stage.error().empty());
        CHECK(stage.listener.try_accept(0) == std::nullopt);
    }
}

TEST_CASE("Listener: a peer that is cut off at any byte of the handshake is refused",
          "[remote][attack]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    Listener listener({}, {.authkey = "key"});
    // What a client sends: its answer, its challenge, its verdict.
    const std::size_t all = 4 + 8 + 32 + 4 + 59 + 4 + 9;
    for (std::size_t limit = 0; limit <= all; ++limit) {
        RawPeer peer(listener.address());
        std::thread attacker([&] {
            std::size_t left = limit;
            const auto send = [&](const std::string& message) {
                const std::string bytes = RawPeer::framed(message);
                const std::size_t size = bytes.size() < left ? bytes.size() : left;
                left -= size;
                return size == 0 || peer.send(std::string_view(bytes).substr(0, size));
            };
            const std::string text = peer.message().substr(11);
            send("{sha256}" + hmac("sha256", "key", text));
            if (left > 0) (void)peer.message();
            send(Challenge("key", Side::client).message());
            if (left > 0) (void)peer.message();
            send("#WELCOME#");
            peer.close();
        });
        const std::string error =
            text_of_error<mp::AuthenticationError>([&] { (void)listener.accept(); });
        attacker.join();
        REQUIRE(error.empty() == (limit == all));
    }
}

TEST_CASE("Client: whoever reflects its challenge on another of its connections is refused",
          "[remote][attack]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    // The attacker has no key, and is where two clients connect.
    Listener trap({}, {.authkey = std::nullopt});
    std::atomic<int> refused{0};
    std::atomic<int> left_alone{0};
    const auto client = [&, address = trap.address()] {
        try {
            (void)Client(address, {.authkey = "key"});
        } catch (const mp::AuthenticationError&) {
            ++refused;
        } catch (const mp::EOFError&) {
            ++left_alone;
        }
    };
    std::thread first(client);
    mp::Connection one = trap.accept();
    std::thread second(client);
    mp::Connection two = trap.accept();
    one.send_bytes("#CHALLENGE#{sha256}" + std::string(40, 'x'));
    (void)one.recv_bytes();
    one.send_bytes("#WELCOME#");
    const std::string challenge = one.recv_bytes();
    two.send_bytes(challenge);  // a client without the mark would answer it here
    CHECK_THROWS_AS(two.recv_bytes(), mp::EOFError);
    one.close();
    two.close();
    first.join();
    second.join();
    CHECK((refused == 1 && left_alone == 1));
}

TEST_CASE("Client: a listener that leaves in the handshake is an EOFError", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const std::string& bytes : {""s, "\0"s, RawPeer::framed("#CHALLENGE#").substr(0, 9)}) {
        Listener listener({}, {.authkey = std::nullopt});
        std::thread server([&] {
            const mp::Connection end = listener.accept();
            (void)!::write(end.fileno(), bytes.data(), bytes.size());
        });
        CHECK_THROWS_AS(Client(listener.address(), {.authkey = "key"}), mp::EOFError);
        server.join();
    }
}

TEST_CASE("Client: a listener that sends anything but a challenge is refused", "[remote][attack]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const std::string& bytes :
         {"HTTP/1.1 400 Bad Request\r\n\r\n"s, RawPeer::framed(""), RawPeer::framed("#WELCOME#"),
          RawPeer::framed("#CHALLENGE#short"),
          "\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff"s}) {
        const mp::detail::Descriptor listening = mp::detail::listen_at({"localhost", 0}, 5);
        const Address address = mp::detail::bound_address(listening.get());
        std::thread server([&] {
            mp::detail::poll_readable(listening.get(), mp::Timeout());
            RawPeer peer(std::move(mp::detail::accept_from(listening.get()).fd));
            peer.send(bytes);
        });
        CHECK_THROWS_AS(Client(address, {.authkey = "key"}), mp::AuthenticationError);
        server.join();
    }
}
