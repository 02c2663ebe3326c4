// connection/{python_frame,pickling,state}.hpp: what a connection that speaks CPython's wire does
// with bytes. SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <array>

#include "tests/remote/support.hpp"

namespace {

/// A connection, and the raw end of it.
struct Ends {
    Ends() {
        auto [a, b] = mp::detail::make_socket_pair(SOCK_STREAM);
        connection.emplace(mp::detail::python_connection(std::move(a)));
        raw.emplace(std::move(b));
    }
    std::optional<mp::Connection> connection;
    std::optional<RawPeer> raw;
};

void echo(mp::Connection connection) { connection.send_bytes(connection.recv_bytes()); }
void echo_of(mp::Queue<mp::Connection> queue) { echo(queue.get()); }

}  // namespace

TEST_CASE("The frames are CPython's, to the byte", "[remote]") {
    const NothingLeft check;
    Ends ends;
    ends.connection->send_bytes("hello");
    CHECK(ends.raw->bytes(9) == "\0\0\0\5hello"s);
    ends.connection->send_bytes("");
    CHECK(ends.raw->bytes(4) == "\0\0\0\0"s);
    ends.raw->send("\0\0\0\3abc\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\2de"s);
    CHECK(ends.connection->recv_bytes() == "abc");
    CHECK(ends.connection->recv_bytes().empty());
    CHECK(ends.connection->recv_bytes() == "de");
    CHECK_FALSE(ends.connection->poll(0));
    const auto header = [](std::uint64_t size) {
        const mp::detail::PythonHeader made(size);
        return std::string(reinterpret_cast<const char*>(made.bytes().data()), made.bytes().size());
    };
    CHECK(header(0x7fff'ffff) == "\x7f\xff\xff\xff"s);
    CHECK(header(0x8000'0000) == "\xff\xff\xff\xff\0\0\0\0\x80\0\0\0"s);
    CHECK(header(0x1'0000'0010) == "\xff\xff\xff\xff\0\0\0\1\0\0\0\x10"s);
}

TEST_CASE("A frame that comes byte by byte, or is cut off at any of them", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const std::string& bytes : {"\0\0\0\3abc"s, "\xff\xff\xff\xff\0\0\0\0\0\0\0\3abc"s}) {
        for (std::size_t size = 0; size <= bytes.size(); ++size) {
            Ends ends;
            std::thread sender([&] {
                for (std::size_t i = 0; i < size; ++i) ends.raw->send(bytes.substr(i, 1));
                ends.raw->close();
            });
            if (size == bytes.size()) {
                CHECK(ends.connection->recv_bytes() == "abc");
                CHECK_THROWS_AS(ends.connection->recv_bytes(), mp::EOFError);
            } else if (size == 0) {
                CHECK_THROWS_AS(ends.connection->recv_bytes(), mp::EOFError);
            } else {
                CHECK(errno_of([&] { (void)ends.connection->recv_bytes(); }) == ECONNRESET);
                CHECK_FALSE(ends.connection->readable());
            }
            sender.join();
        }
    }
}

TEST_CASE("A length that nothing can have ends the read side", "[remote][attack]") {
    const NothingLeft check;
    for (const std::string& header : {"\xff\xff\xff\xff\x10\0\0\0\0\0\0\0"s,
                                      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"s,
                                      "\x80\0\0\0"s, "\xff\xff\xff\xfe"s}) {
        Ends ends;
        ends.raw->send(header);
        CHECK_THROWS_AS(ends.connection->recv_bytes(), mp::ProcessError);
        CHECK_FALSE(ends.connection->readable());
        CHECK_THROWS_AS(ends.connection->recv_bytes(), mp::ValueError);
        ends.connection->send_bytes("still");
        CHECK(ends.raw->message() == "still");
    }
}

TEST_CASE("A length of a terabyte takes no memory before the bytes come", "[remote][attack]") {
    if (support::sanitized) return;  // their allocators refuse such a size with an abort
    const NothingLeft check;
    Ends ends;
    ends.raw->send("\xff\xff\xff\xff\0\0\x01\0\0\0\0\0"s + std::string(1000, 'x'));
    ends.raw->close();
    const std::size_t before = support::resident_bytes();
    // Whether the system grants the address space or not.
    CHECK((support::throws<std::bad_alloc>([&] { (void)ends.connection->recv_bytes(); }) ||
           !ends.connection->readable()));
    CHECK(support::resident_bytes() < before + (64 << 20));
    CHECK_FALSE(ends.connection->readable());
}

TEST_CASE("recv_bytes past maxlength loses the read side, as in Python", "[remote]") {
    const NothingLeft check;
    Ends ends;
    ends.raw->send_message("12345");
    ends.raw->send_message("123456");
    CHECK(ends.connection->recv_bytes(5) == "12345");
    CHECK(errno_of([&] { (void)ends.connection->recv_bytes(5); }) == EMSGSIZE);
    CHECK_FALSE(ends.connection->readable());
    CHECK(ends.connection->writable());
    CHECK_THROWS_AS(ends.connection->poll(0), mp::ValueError);
}

TEST_CASE("recv_bytes_into fills a buffer, or hands the message over by BufferTooShort",
          "[remote]") {
    const NothingLeft check;
    Ends ends;
    std::array<char, 8> buffer{};
    for (const char* const message : {"", "12345", "12345678", "123456789"}) {
        ends.raw->send_message(message);
    }
    CHECK(ends.connection->recv_bytes_into(buffer) == 0);
    CHECK(ends.connection->recv_bytes_into(buffer, 3) == 5);
    CHECK(std::string(buffer.data(), 8) == "\0\0\00012345"s);
    CHECK(ends.connection->recv_bytes_into(buffer) == 8);
    try {
        ends.connection->recv_bytes_into(buffer);
        FAIL("no BufferTooShort");
    } catch (const mp::BufferTooShort& error) {
        CHECK(error.message() == "123456789");
    }
    CHECK_THROWS_AS(ends.connection->recv_bytes_into(buffer, 9), mp::ValueError);
}

TEST_CASE("A peer that is gone: EPIPE for what is sent, EOFError for what is received",
          "[remote]") {
    const NothingLeft check;
    Ends ends;
    ends.connection->send_bytes("never read");
    ends.raw->close();  // with bytes unread: the system says ECONNRESET once
    CHECK_THROWS_AS(ends.connection->recv_bytes(), mp::EOFError);
    CHECK(errno_of([&] { ends.connection->send_bytes("x"); }) == EPIPE);
    ends.connection->close();
    CHECK_THROWS_AS(ends.connection->send_bytes("x"), mp::ValueError);
    CHECK_THROWS_AS(ends.connection->recv_bytes(), mp::ValueError);
    CHECK(ends.connection->closed());
}

TEMPLATE_TEST_CASE("A connection travels to other processes, and speaks the same there", "[remote]",
                   START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(120);
    Ends ends;
    {
        Child<TestType> child(echo, ends.connection->duplicate());
        ends.raw->send_message("to an argument");
        CHECK(ends.raw->message() == "to an argument");
        CHECK(child.join() == 0);
    }
    mp::Queue<mp::Connection> queue;
    Child<TestType> child(echo_of, queue);
    queue.put(std::move(*ends.connection));
    ends.raw->send_message("through a queue");
    CHECK(ends.raw->message() == "through a queue");
    CHECK(child.join() == 0);
    CHECK(ends.raw->bytes(1).empty());  // nobody holds the end any more
}

TEST_CASE("Threads that send and receive at one end do not mix their messages", "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    auto ends = support::python_pipe();
    constexpr int each = 300;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t, &end = ends.first] {
            for (int i = 0; i < each; ++i) {
                end.send_bytes(std::string(static_cast<std::size_t>(i * 131 % 70'000),
                                           static_cast<char>('a' + t)));
            }
        });
    }
    std::atomic<int> whole{0};
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, &end = ends.second] {
            for (int i = 0; i < each; ++i) {
                const std::string message = end.recv_bytes();
                whole += message.find_first_not_of(message.substr(0, 1)) == std::string::npos;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(whole == 4 * each);
}
