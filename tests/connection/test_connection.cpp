// connection/{connection,state,pipe,format}.hpp: what users see of two ends in one process, and of
// an end in another. SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <multiprocessing/context.hpp>

#include <array>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <variant>

#include "tests/connection/support.hpp"

namespace {

struct Plain {
    int number;
    double more[3];
    bool operator==(const Plain&) const = default;
};
struct Rich {
    std::string name;
    std::map<std::string, std::vector<int>> table;
    std::optional<Plain> plain;
    bool operator==(const Rich&) const = default;
};
enum class Color : std::uint8_t { red, green };

int twice(int x) { return 2 * x; }

template <class T>
void goes_through(mp::Connection& from, mp::Connection& to, const T& object) {
    from.send(object);
    REQUIRE(to.recv<T>() == object);
}

/// Receives bytes and sends them back, until it gets none.
void echo(mp::Connection end) {
    for (;;) {
        const std::string bytes = end.recv_bytes();
        if (bytes.empty()) return;
        end.send_bytes(bytes);
    }
}
void send_and_end(mp::Connection end) {
    end.send(std::string("one"));
    end.send(2);
}
void receive_one(mp::Connection end) { (void)end.recv<int>(); }
void wait_and_send(mp::Connection end, double seconds) {
    ::usleep(static_cast<unsigned>(seconds * 1e6));
    end.send(1);
}

}  // namespace

TEST_CASE("Connection: objects of all kinds arrive as they were sent", "[connection]") {
    const NothingLeft check;
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        goes_through(b, a, 42);
        goes_through(b, a, Color::green);
        goes_through(b, a, Plain{1, {2, 3, 4}});
        goes_through(b, a, std::string("text"));
        goes_through(b, a, std::vector<std::string>{"a", std::string(500, 'b')});
        goes_through(b, a, Rich{"r", {{"x", {1, 2}}, {"y", {}}}, Plain{5, {}}});
        goes_through(b, a, std::variant<int, std::string>("v"));
        goes_through(b, a, std::vector<bool>{true, false});
        goes_through(b, a, std::pair<int, std::list<int>>{1, {2, 3}});
        goes_through(b, a, &twice);
        b.send(std::make_unique<int>(6));
        REQUIRE(*a.recv<std::unique_ptr<int>>() == 6);
    }
}

TEST_CASE("Connection: literals, arrays and braced lists arrive as what can be kept",
          "[connection]") {
    const NothingLeft check;
    auto [a, b] = mp::Pipe();
    a.send("text");
    REQUIRE(b.recv<std::string>() == "text");
    const char* const text = "more";
    a.send(text);
    REQUIRE(b.recv<std::string>() == "more");
    const int numbers[2][3] = {{1, 2, 3}, {4, 5, 6}};
    a.send(numbers);
    REQUIRE(b.recv<std::array<std::array<int, 3>, 2>>()[1][2] == 6);
    std::string strings[2] = {"a", "b"};
    a.send(strings);
    REQUIRE(b.recv<std::array<std::string, 2>>()[1] == "b");
    a.send({1, 2, 3});
    REQUIRE(b.recv<std::vector<int>>() == std::vector{1, 2, 3});
    a.send<double>(1);
    REQUIRE(b.recv<double>() == 1.0);
    a.send(twice);
    REQUIRE(b.recv<int (*)(int)>()(4) == 8);
    std::string kept = "kept";
    a.send(kept);
    a.send<std::string>(kept);
    REQUIRE(b.recv<const std::string>() == kept);
    REQUIRE(b.recv<std::string>() == kept);
}

TEST_CASE("Connection: messages of every size around the cell and the pipe's pages arrive whole",
          "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        std::vector<std::size_t> sizes(200);
        for (std::size_t i = 0; i < sizes.size(); ++i) sizes[i] = i;
        for (const std::size_t size :
             std::initializer_list<std::size_t>{4000, 65535, 65536, 65537, 300'000, 3'000'000}) {
            sizes.push_back(size);
        }
        std::thread sender([&, end = &b] {
            for (const std::size_t size : sizes) {
                const std::string bytes = pattern(size, 1);
                end->send_bytes(bytes);
                end->send(bytes);
                end->send(std::vector<std::uint16_t>(size, 0xabcd));
                end->send(std::vector<std::array<char, 3>>(size, {'a', 'b', 'c'}));
                end->send(std::vector<std::string>{bytes, bytes});
            }
        });
        for (const std::size_t size : sizes) {
            const std::string bytes = pattern(size, 1);
            REQUIRE(a.recv_bytes() == bytes);
            REQUIRE(a.recv<std::string>() == bytes);
            REQUIRE(a.recv<std::vector<std::uint16_t>>() ==
                    std::vector<std::uint16_t>(size, 0xabcd));
            using Triple = std::array<char, 3>;
            REQUIRE(a.recv<std::vector<Triple>>() == std::vector<Triple>(size, {'a', 'b', 'c'}));
            REQUIRE(a.recv<std::vector<std::string>>() == std::vector{bytes, bytes});
        }
        sender.join();
    }
}

TEST_CASE("Connection: a simplex pipe goes one way and a duplex one both", "[connection]") {
    const NothingLeft check;
    auto [read, write] = mp::Pipe(false);
    REQUIRE((read.readable() && !read.writable() && !write.readable() && write.writable()));
    REQUIRE_THROWS_WITH(read.send(1), "connection is read-only");
    REQUIRE_THROWS_AS(read.send_bytes("x"), mp::ValueError);
    REQUIRE_THROWS_WITH(write.recv<int>(), "connection is write-only");
    REQUIRE_THROWS_AS(write.recv_bytes(), mp::ValueError);
    REQUIRE_THROWS_AS(write.poll(), mp::ValueError);
    auto [a, b] = mp::connection::Pipe();
    static_assert(std::is_same_v<decltype(a), mp::connection::Connection>);
    REQUIRE((a.readable() && a.writable() && b.readable() && b.writable()));
    a.send(1);
    b.send(2);
    REQUIRE(a.recv<int>() == 2);
    REQUIRE(b.recv<int>() == 1);
}

TEST_CASE("Connection: descriptors close on exec", "[connection]") {
    for (const bool duplex : {true, false}) {
        const auto [a, b] = mp::Pipe(duplex);
        REQUIRE((::fcntl(a.fileno(), F_GETFD) & FD_CLOEXEC) != 0);
        REQUIRE((::fcntl(b.fileno(), F_GETFD) & FD_CLOEXEC) != 0);
    }
}

TEST_CASE("Connection.recv of another type is a TypeError that names both, and the message stays",
          "[connection]") {
    const NothingLeft check;
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        b.send(42);
        b.send_bytes("bytes");
        b.send(std::vector<double>(1000, 1.5));
        REQUIRE_THROWS_WITH(a.recv<char>(), "recv of char: the message is an object of type int: "
                                            "it stays, for recv of that type");
        REQUIRE_THROWS_AS(a.recv<std::string>(), mp::TypeError);
        REQUIRE_THROWS_WITH(a.recv_bytes(),
                            Catch::Matchers::ContainsSubstring("object of type int"));
        std::byte buffer[10];
        REQUIRE_THROWS_AS(a.recv_bytes_into(buffer), mp::TypeError);
        REQUIRE(a.poll());
        REQUIRE(mp::connection::wait({a}, 0).size() == 1);
        REQUIRE(a.recv<int>() == 42);
        REQUIRE_THROWS_WITH(a.recv<int>(), Catch::Matchers::ContainsSubstring("is bytes"));
        REQUIRE_THROWS_AS(a.recv<std::vector<double>>(), mp::TypeError);
        REQUIRE(a.recv_bytes() == "bytes");
        REQUIRE_THROWS_WITH(a.recv<std::string>(),
                            Catch::Matchers::ContainsSubstring("recv of std::string: ") &&
                                Catch::Matchers::ContainsSubstring("std::vector<double>"));
        REQUIRE_THROWS_AS(a.recv<std::vector<float>>(), mp::TypeError);
        REQUIRE(a.recv<std::vector<double>>().size() == 1000);
        REQUIRE_FALSE(a.poll());
    }
}

TEST_CASE("Connection.poll and wait see a message that was left, with nothing in the pipe",
          "[connection]") {
    const NothingLeft check;
    auto [a, b] = mp::Pipe(false);
    b.send(1);
    REQUIRE_THROWS_AS(a.recv<double>(), mp::TypeError);
    REQUIRE(a.poll());
    REQUIRE(a.poll(std::nullopt));
    REQUIRE(mp::connection::wait({a}).size() == 1);
    REQUIRE_THROWS_AS(a.duplicate(), mp::ValueError);
    auto [c, d] = mp::Pipe();
    REQUIRE_THROWS_AS(c.send(a), mp::ValueError);
    const mp::Connection moved = std::move(a);
    REQUIRE(mp::connection::wait({moved}, 0).size() == 1);
}

TEST_CASE("Connection.recv throws EOFError once the other end is closed and all is received",
          "[connection]") {
    const NothingLeft check;
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        b.send(1);
        b.close();
        REQUIRE(a.poll());
        REQUIRE(a.recv<int>() == 1);
        REQUIRE(a.poll());
        REQUIRE_THROWS_AS(a.recv<int>(), mp::EOFError);
        REQUIRE_THROWS_AS(a.recv_bytes(), mp::EOFError);
        std::byte buffer[1];
        REQUIRE_THROWS_AS(a.recv_bytes_into(buffer), mp::EOFError);
    }
}

TEST_CASE("Connection.recv throws EOFError also when the other end left messages unread",
          "[connection]") {
    // The kernel then says ECONNRESET instead of an end of file.
    auto [a, b] = mp::Pipe();
    a.send(1);
    b.close();
    REQUIRE(a.poll());
    REQUIRE_THROWS_AS(a.recv<int>(), mp::EOFError);
    REQUIRE(errno_of([&, end = &a] { end->send(1); }) == EPIPE);
}

TEST_CASE("Connection.send to a closed end is EPIPE", "[connection]") {
    const NothingLeft check;
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        a.close();
        const auto send = [end = &b](const auto& object) {
            return errno_of([&] { end->send(object); });
        };
        REQUIRE(send(1) == EPIPE);
        REQUIRE(send(std::vector<int>(100'000)) == EPIPE);
        REQUIRE(send(std::list<std::string>(10, "a")) == EPIPE);
        REQUIRE(errno_of([end = &b] { end->send_bytes("x"); }) == EPIPE);
    }
}

TEST_CASE("Connection.send that waits ends with EPIPE when the other end closes", "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        std::thread closer([end = &a] {
            std::byte some[1000];
            (void)!::read(end->fileno(), some, sizeof some);
            end->close();
        });
        REQUIRE(errno_of([end = &b] { end->send_bytes(std::string(10'000'000, 'x')); }) == EPIPE);
        closer.join();
    }
}

TEST_CASE("Connection.close may be repeated, and every later use is a ValueError", "[connection]") {
    const NothingLeft check;
    auto [a, b] = mp::Pipe();
    REQUIRE_FALSE(a.closed());
    a.close();
    a.close();
    REQUIRE(a.closed());
    REQUIRE_THROWS_WITH(a.send(1), "handle is closed");
    REQUIRE_THROWS_AS(a.recv<int>(), mp::ValueError);
    REQUIRE_THROWS_AS(a.send_bytes("x"), mp::ValueError);
    REQUIRE_THROWS_AS(a.recv_bytes(), mp::ValueError);
    std::byte buffer[1];
    REQUIRE_THROWS_AS(a.recv_bytes_into(buffer), mp::ValueError);
    REQUIRE_THROWS_AS(a.poll(), mp::ValueError);
    REQUIRE_THROWS_AS(a.fileno(), mp::ValueError);
    REQUIRE_THROWS_AS(a.duplicate(), mp::ValueError);
    REQUIRE_THROWS_AS(b.send(a), mp::ValueError);
    REQUIRE_THROWS_AS(mp::connection::wait({a}), mp::ValueError);
    mp::Connection moved = std::move(b);
    REQUIRE(b.closed());
    REQUIRE_FALSE((b.readable() || b.writable()));
    REQUIRE_THROWS_AS(b.fileno(), mp::ValueError);
    REQUIRE_THROWS_AS(b.send(1), mp::ValueError);
    b.close();
    auto [c, d] = mp::Pipe();
    const int fd = moved.fileno();
    moved = std::move(c);
    REQUIRE(::fcntl(fd, F_GETFD) < 0);
    d.send(1);
    REQUIRE(moved.recv<int>() == 1);
    static_assert(!std::is_copy_constructible_v<mp::Connection>);
    static_assert(!std::is_default_constructible_v<mp::Connection>);
    static_assert(std::is_nothrow_move_assignable_v<mp::Connection>);
}

TEST_CASE("Connection.recv_bytes past maxlength loses the read side", "[connection]") {
    const NothingLeft check;
    auto [read, write] = mp::Pipe(false);
    write.send_bytes("12345");
    write.send_bytes("123456");
    REQUIRE(read.recv_bytes(5) == "12345");
    try {
        read.recv_bytes(5);
        FAIL();
    } catch (const std::system_error& error) {
        REQUIRE(error.code().value() == EMSGSIZE);
        REQUIRE_THAT(error.what(), Catch::Matchers::ContainsSubstring("bad message length"));
    }
    REQUIRE(read.closed());
    REQUIRE_THROWS_AS(read.recv_bytes(), mp::ValueError);

    auto [a, b] = mp::Pipe();
    b.send_bytes("123456");
    REQUIRE(errno_of([end = &a] { end->recv_bytes(0); }) == EMSGSIZE);
    REQUIRE_FALSE(a.closed());
    REQUIRE_FALSE(a.readable());
    REQUIRE_THROWS_WITH(a.recv_bytes(), "connection is write-only");
    a.send(3);
    REQUIRE(b.recv<int>() == 3);
}

TEST_CASE("Connection.recv_bytes_into fills the buffer from the offset on", "[connection]") {
    const NothingLeft check;
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        std::vector<std::byte> buffer(10, std::byte{'.'});
        const auto text = [&] {
            return std::string(reinterpret_cast<const char*>(buffer.data()), buffer.size());
        };
        b.send_bytes("hello");
        REQUIRE(a.recv_bytes_into(buffer) == 5);
        REQUIRE(text() == "hello.....");
        b.send_bytes("abc");
        REQUIRE(a.recv_bytes_into(buffer, 7) == 3);
        REQUIRE(text() == "hello..abc");
        b.send_bytes("");
        REQUIRE(a.recv_bytes_into(buffer, 10) == 0);
        REQUIRE_THROWS_WITH(a.recv_bytes_into(buffer, 11), "offset too large");
        char chars[8] = {};
        b.send_bytes("xyz");
        REQUIRE(a.recv_bytes_into(chars) == 3);
        REQUIRE(std::string(chars) == "xyz");
        std::string text_buffer(5, '.');
        b.send_bytes("xyz");
        REQUIRE(a.recv_bytes_into(text_buffer, 1) == 3);
        REQUIRE(text_buffer == ".xyz.");
        std::array<int, 4> numbers{};
        b.send_bytes(std::vector<int>{5, 6});
        REQUIRE(a.recv_bytes_into(numbers, sizeof(int)) == 2 * sizeof(int));
        REQUIRE(numbers == std::array{0, 5, 6, 0});
        REQUIRE_FALSE(a.poll());
    }
}

TEST_CASE("Connection.recv_bytes_into a buffer too small throws with the message", "[connection]") {
    const NothingLeft check;
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        for (const std::size_t size : std::initializer_list<std::size_t>{11, 50'000}) {
            const std::string bytes = pattern(size);
            b.send_bytes(bytes);
            b.send(7);
            std::byte buffer[10] = {};
            try {
                a.recv_bytes_into(buffer);
                FAIL();
            } catch (const mp::BufferTooShort& error) {
                REQUIRE(error.message() == bytes);
            }
            REQUIRE(a.recv<int>() == 7);  // in step with the sender
        }
        REQUIRE_FALSE(a.closed());
    }
}

TEST_CASE("Connection.send_bytes takes any plain buffer, or a part of one", "[connection]") {
    const NothingLeft check;
    auto [a, b] = mp::Pipe();
    const std::string_view text = "abcdef";
    a.send_bytes(text);
    a.send_bytes(std::string(text), 2);
    a.send_bytes(text, 2, 3);
    a.send_bytes(text, 6);
    a.send_bytes("abc", 0, 0);
    REQUIRE(b.recv_bytes() == "abcdef");
    REQUIRE(b.recv_bytes() == "cdef");
    REQUIRE(b.recv_bytes() == "cde");
    REQUIRE(b.recv_bytes().empty());
    REQUIRE(b.recv_bytes().empty());
    REQUIRE_THROWS_AS(a.send_bytes(text, 7), mp::ValueError);
    REQUIRE_THROWS_AS(a.send_bytes(text, 6, 1), mp::ValueError);
    REQUIRE_THROWS_AS(a.send_bytes(text, 2, std::string::npos), mp::ValueError);
    a.send_bytes(std::vector<std::byte>(3, std::byte{'x'}));
    a.send_bytes(std::array<char, 2>{'y', 'z'});
    const std::vector<int> numbers{1, 2};
    a.send_bytes(numbers, 4);
    a.send_bytes(std::as_bytes(std::span(numbers)).first(4));
    REQUIRE(b.recv_bytes() == "xxx");
    REQUIRE(b.recv_bytes() == "yz");
    REQUIRE(b.recv_bytes() == std::string("\2\0\0\0", 4));
    REQUIRE(b.recv_bytes() == std::string("\1\0\0\0", 4));
}

TEMPLATE_TEST_CASE("Connection.poll waits for a message, at most for the timeout", "[connection]",
                   START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    REQUIRE_FALSE(a.poll());
    REQUIRE_FALSE(a.poll(-1));
    const double start = support::now();
    REQUIRE_FALSE(a.poll(0.1));
    REQUIRE(support::now() - start >= 0.1);
    Child<TestType> child(wait_and_send, b, 0.05);
    REQUIRE(a.poll(std::chrono::seconds(50)));
    REQUIRE(a.recv<int>() == 1);
    REQUIRE_FALSE(a.poll());
    REQUIRE(child.join() == 0);
    b.close();
    REQUIRE(a.poll(std::nullopt));
}

// CPython's _TestPoll: the system's own buffers know no messages.
TEST_CASE("Connection.poll is true for each message, the empty one too, and merges none",
          "[connection]") {
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        b.send_bytes("");
        b.send_bytes("");
        REQUIRE(a.poll());
        REQUIRE(a.recv_bytes().empty());
        REQUIRE(a.poll());
        REQUIRE(a.recv_bytes().empty());
        REQUIRE_FALSE(a.poll());
        for (const char* text : {"a", "b", "cd"}) b.send_bytes(text);
        REQUIRE(a.recv_bytes() == "a");
        REQUIRE(a.poll());
        REQUIRE(a.poll());
        REQUIRE(a.recv_bytes() == "b");
        REQUIRE(a.recv_bytes() == "cd");
        REQUIRE_FALSE(a.poll());
    }
}

TEST_CASE("Connection.poll goes on after signals", "[connection]") {
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    const support::SignalRain rain;
    const double start = support::now();
    REQUIRE_FALSE(a.poll(0.2));
    REQUIRE(support::now() - start >= 0.2);
}

TEMPLATE_TEST_CASE("Connection: bytes go to a child and come back", "[connection]", START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(120);
    auto [a, b] = mp::Pipe();
    mp::BasicProcess<TestType> process(echo, std::move(b));
    process.start();
    REQUIRE(b.closed());
    for (const std::size_t size : std::initializer_list<std::size_t>{1, 64, 65, 70'000, 10 << 20}) {
        const std::string bytes = pattern(size);
        a.send_bytes(bytes);
        REQUIRE(a.recv_bytes() == bytes);
    }
    a.send_bytes("");
    process.join();
    REQUIRE(process.exitcode() == 0);
    REQUIRE_THROWS_AS(a.recv_bytes(), mp::EOFError);
}

TEMPLATE_TEST_CASE(
    "Connection: the end is seen when the child that alone has the other end is gone",
    "[connection]", START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        mp::BasicProcess<TestType> process(send_and_end, std::move(b));
        process.start();
        REQUIRE(a.recv<std::string>() == "one");
        REQUIRE(a.recv<int>() == 2);
        REQUIRE_THROWS_AS(a.recv<int>(), mp::EOFError);
        process.join();
    }
}

TEMPLATE_TEST_CASE("Connection: a variable given to a process is duplicated", "[connection]",
                   START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    mp::BasicProcess<TestType> process(send_and_end, b);
    process.start();
    process.join();
    REQUIRE_FALSE(b.closed());
    REQUIRE(a.recv<std::string>() == "one");
    REQUIRE(a.recv<int>() == 2);
    REQUIRE_FALSE(a.poll(0.01));
    b.send(3);
    REQUIRE(a.recv<int>() == 3);
    b.close();
    REQUIRE_THROWS_AS(a.recv<int>(), mp::EOFError);
}

TEMPLATE_TEST_CASE("Connection: a child that waits sees the end when this process closes its own",
                   "[connection]", mp::start_method::spawn) {
    // Under fork the child has a copy of both ends, as in Python.
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    mp::BasicProcess<TestType> process(receive_one, std::move(b));
    process.start();
    a.close();
    process.join();
    REQUIRE(process.exitcode() == 1);  // EOFError
}

TEST_CASE("Connection: handles of the family go through, and live as long as they are held",
          "[connection]") {
    const NothingLeft check;
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        mp::Event event;
        const auto holders = [&] { return event.shared_handle().object()->references.load(); };
        b.send(event);
        b.send(std::vector<mp::Event>(20, event));  // its table of handles does not fit the cell
        b.send(std::pair(std::string(59, 'x'), event));
        REQUIRE(holders() == 23);
        const auto received = a.recv<mp::Event>();
        REQUIRE(received == event);
        REQUIRE(holders() == 23);
        REQUIRE(a.recv<std::vector<mp::Event>>().at(19) == event);
        REQUIRE(a.recv<std::pair<std::string, mp::Event>>().second == event);
        REQUIRE(holders() == 2);
        a.close();
        REQUIRE(errno_of([&, end = &b] { end->send(event); }) == EPIPE);
        REQUIRE(holders() == 2);
    }
}

TEST_CASE("Connection: a message that cannot be archived is not sent", "[connection]") {
    const NothingLeft check;
    auto [a, b] = mp::Pipe();
    std::variant<std::string, int> broken;
    struct Thrower {
        operator std::string() { throw 1; }
    };
    REQUIRE_THROWS_AS(broken.emplace<std::string>(Thrower()), int);
    if (broken.valueless_by_exception()) REQUIRE_THROWS_AS(a.send(broken), mp::ValueError);
    a.send(5);
    REQUIRE(b.recv<int>() == 5);
}

TEST_CASE("Connection: fmt prints its descriptor and what it is good for", "[connection]") {
    auto [a, b] = mp::Pipe();
    auto [read, write] = mp::Pipe(false);
    REQUIRE(fmt::format("{}", a) == fmt::format("<Connection fd={}>", a.fileno()));
    REQUIRE(fmt::format("{}", read) == fmt::format("<Connection fd={} read-only>", read.fileno()));
    REQUIRE(fmt::format("{}", write) ==
            fmt::format("<Connection fd={} write-only>", write.fileno()));
    b.close();
    REQUIRE(fmt::format("{}", b) == "<Connection closed>");
}

TEST_CASE("Context.Pipe makes pipes", "[connection]") {
    auto [a, b] = mp::get_context<"spawn">().Pipe();
    a.send(1);
    REQUIRE(b.recv<int>() == 1);
    auto [read, write] = mp::get_context().Pipe(false);
    REQUIRE_FALSE(read.writable());
}

TEST_CASE("Pipe without descriptors left is EMFILE and leaves nothing open", "[connection]") {
    const NothingLeft check;
    const support::FewDescriptors few(1);
    REQUIRE(errno_of([] { (void)mp::Pipe(); }) == EMFILE);
    REQUIRE(errno_of([] { (void)mp::Pipe(false); }) == EMFILE);
}
