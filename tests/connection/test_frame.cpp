// connection/{frame,byte_stream}.hpp: the bytes of a message, streams that end or lie, and
// transfers that the kernel, signals or the other side cut into pieces.
// SPDX-License-Identifier: MIT
#include <sys/ioctl.h>

#include <cstring>
#include <list>

#include "tests/connection/support.hpp"

using mp::detail::Cell;
using mp::detail::cell_size;

namespace {

/// The bytes that `send` writes to a pipe.
template <class Send>
std::string bytes_of(Send send) {
    auto [read, write] = mp::Pipe(false);
    send(write);
    std::string bytes(60'000, '\0');
    const ssize_t size = ::read(read.fileno(), bytes.data(), bytes.size());
    bytes.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return bytes;
}

void write_raw(const mp::Connection& to, const std::string& bytes) {
    REQUIRE(::write(to.fileno(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
}

int waiting_bytes(const mp::Connection& end) {
    int count = 0;
    ::ioctl(end.fileno(), FIONREAD, &count);
    return count;
}

/// A cell whose header says this of itself, and is right about its check.
std::string cell_saying(mp::detail::FrameHeader header) {
    Cell cell{};
    header.check = header.expected_check();
    cell.header = header;
    return {reinterpret_cast<const char*>(&cell), sizeof cell};
}

void make_nonblocking(const mp::Connection& end) {
    ::fcntl(end.fileno(), F_SETFL, ::fcntl(end.fileno(), F_GETFL) | O_NONBLOCK);
}

}  // namespace

TEST_CASE("A message of up to 64 bytes is one cell, and nothing is read beyond a message",
          "[connection]") {
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        b.send_bytes(pattern(64));
        REQUIRE(waiting_bytes(a) == cell_size);
        b.send_bytes(pattern(65));
        REQUIRE(waiting_bytes(a) == 2 * cell_size + 1);
        b.send(1);
        REQUIRE(a.recv_bytes() == pattern(64));
        REQUIRE(waiting_bytes(a) == 2 * cell_size + 1);
        REQUIRE(a.recv_bytes() == pattern(65));
        REQUIRE(waiting_bytes(a) == cell_size);
        REQUIRE(a.recv<int>() == 1);
        REQUIRE(waiting_bytes(a) == 0);
    }
}

TEST_CASE("What is left of a cell is zero, whatever lay there before", "[connection]") {
    const std::string bytes = bytes_of([](mp::Connection& end) { end.send_bytes("abc"); });
    REQUIRE(bytes.size() == cell_size);
    REQUIRE(bytes.substr(32, 3) == "abc");
    REQUIRE(bytes.substr(35) == std::string(cell_size - 35, '\0'));
}

TEST_CASE("A stream that ends within a message is ECONNRESET, wherever it ends", "[connection]") {
    const NothingLeft check;
    const std::string small = bytes_of([](mp::Connection& end) { end.send_bytes("abc"); });
    const std::string large = bytes_of([](mp::Connection& end) { end.send_bytes(pattern(300)); });
    const std::string object =
        bytes_of([](mp::Connection& end) { end.send(std::list<int>(50, 7)); });
    for (const bool duplex : {true, false}) {
        for (const std::string* const message : {&small, &large, &object}) {
            for (std::size_t size = 1; size < message->size(); size += 7) {
                auto [a, b] = mp::Pipe(duplex);
                write_raw(b, message->substr(0, size));
                b.close();
                REQUIRE(a.poll());
                try {
                    if (message == &object) {
                        (void)a.recv<std::list<int>>();
                    } else {
                        (void)a.recv_bytes();
                    }
                    FAIL();
                } catch (const std::system_error& error) {
                    REQUIRE(error.code().value() == ECONNRESET);
                    REQUIRE_THAT(error.what(), Catch::Matchers::ContainsSubstring(
                                                   "got end of file during message"));
                    REQUIRE_THROWS_AS(a.recv_bytes(), mp::EOFError);
                }
            }
        }
    }
}

TEST_CASE("A message that arrives byte by byte is received as one", "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    const std::string message = bytes_of([](mp::Connection& end) {
        end.send_bytes(pattern(300));
        end.send(std::vector<int>(100, 5));
    });
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        std::thread writer([&, fd = b.fileno()] {
            for (const char& byte : message) (void)!::write(fd, &byte, 1);
        });
        REQUIRE(a.recv_bytes() == pattern(300));
        REQUIRE(a.recv<std::vector<int>>() == std::vector<int>(100, 5));
        writer.join();
    }
}

TEST_CASE("Bytes that are no message are a ProcessError and lose the read side", "[connection]") {
    const NothingLeft check;
    const std::string good = bytes_of([](mp::Connection& end) { end.send(5); });
    std::vector<std::string> bad = {std::string(cell_size, '\0'), std::string(cell_size, '\xff'),
                                    pattern(cell_size), "GET / HTTP/1.1" + pattern(cell_size)};
    for (std::size_t byte = 0; byte < 32; ++byte) {
        bad.push_back(good);
        bad.back()[byte] = static_cast<char>(bad.back()[byte] ^ 4);
    }
    const auto type = mp::detail::type_fingerprint<int>();
    bad.push_back(cell_saying({~std::uint64_t{0}, type, 0, 0, 0, 0}));
    bad.push_back(cell_saying({4, 0, 1, 0, 0, 0}));  // bytes with a handle
    bad.push_back(cell_saying({4, 0, 0, 1, 0, 0}));
    bad.push_back(cell_saying({4, type, 0, 254, 0, 0}));
    for (const bool duplex : {true, false}) {
        for (const std::string& bytes : bad) {
            auto [a, b] = mp::Pipe(duplex);
            write_raw(b, bytes);
            REQUIRE_THROWS_AS(a.recv<int>(), mp::ProcessError);
            REQUIRE(a.closed() == !duplex);
            REQUIRE_THROWS_AS(a.recv<int>(), mp::ValueError);
        }
    }
}

TEST_CASE("A message that is not what its header says is a ProcessError, and the next one follows",
          "[connection]") {
    const NothingLeft check;
    const auto type = mp::detail::type_fingerprint<std::string>();
    std::string ended = cell_saying({4, type, 0, 0, 0, 0});  // ends within the string's length
    std::string lying = cell_saying({20, type, 0, 0, 0, 0});
    lying[32] = 13;
    std::string handle = cell_saying({0, type, 1, 0, 0, 0});
    handle[32] = 3;  // no object lies there
    std::string far = cell_saying({0, type, 1, 0, 0, 0});
    std::memset(far.data() + 38, 0x40, 2);
    const std::string descriptor = cell_saying({0, type, 0, 1, 0, 0});
    for (const std::string& bytes : {ended, lying, handle, far}) {
        auto [a, b] = mp::Pipe(false);
        write_raw(b, bytes);
        b.send("next");
        REQUIRE_THROWS_AS(a.recv<std::string>(), mp::ProcessError);
        REQUIRE(a.recv<std::string>() == "next");
    }
    // Over a socket the byte that descriptors should have come with is there all the same.
    auto [c, d] = mp::Pipe();
    write_raw(d, descriptor + "x");
    d.send("next");
    REQUIRE_THROWS_AS(c.recv<std::string>(), mp::ProcessError);
    REQUIRE(c.recv<std::string>() == "next");
}

TEST_CASE("A message that leaves open where the next one begins loses the read side",
          "[connection]") {
    const NothingLeft check;
    const auto type = mp::detail::type_fingerprint<std::string>();
    // An array that is read in place.
    std::string array = cell_saying({70, type, 0, 0, 0, 0}) + std::string(6, 'x');
    array[32] = 61;
    auto [a, b] = mp::Pipe(false);
    write_raw(b, array);
    REQUIRE_THROWS_AS(a.recv<std::string>(), mp::ProcessError);
    REQUIRE(a.closed());
    auto [e, f] = mp::Pipe(false);
    write_raw(f, cell_saying({0, type, 0, 1, 0, 0}) + "x");
    REQUIRE_THROWS_AS(e.recv<std::string>(), mp::ProcessError);
    REQUIRE(e.closed());
}

TEST_CASE("A size that no memory suffices for is bad_alloc before anything is read",
          "[connection]") {
    if (support::sanitized) return;  // AddressSanitizer ends the process instead
    const auto type = mp::detail::type_fingerprint<std::string>();
    const std::uint64_t size = std::uint64_t{1} << 50;
    auto [a, b] = mp::Pipe(false);
    std::string text = cell_saying({size, type, 0, 0, 0, 0});
    const std::uint64_t count = size - 8;
    std::memcpy(text.data() + 32, &count, 8);
    write_raw(b, text);
    REQUIRE_THROWS_AS(a.recv<std::string>(), std::bad_alloc);
    REQUIRE(a.poll());
    auto [c, d] = mp::Pipe(false);
    write_raw(d, cell_saying({size, 0, 0, 0, 0, 0}));
    REQUIRE_THROWS_AS(c.recv_bytes(), std::bad_alloc);
    REQUIRE(errno_of([end = &c] { end->recv_bytes(100); }) == EMSGSIZE);
}

TEST_CASE("Signals break no message", "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        const std::string bytes = pattern(10 << 20);
        const support::SignalRain here;
        std::thread sender([&, end = &b] {
            for (int i = 0; i < 4; ++i) {
                end->send_bytes(bytes);
                end->send(1);
            }
        });
        for (int i = 0; i < 4; ++i) {
            REQUIRE(a.recv_bytes() == bytes);
            REQUIRE(a.recv<int>() == 1);
        }
        sender.join();
        bool same = false;
        std::thread receiver([&, end = &a] { same = end->recv_bytes() == bytes; });
        b.send_bytes(bytes);
        receiver.join();
        REQUIRE(same);
    }
}

TEST_CASE("Small buffers and non-blocking descriptors break no message", "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        const int smallest = 1;
        ::setsockopt(b.fileno(), SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest);
        make_nonblocking(a);
        make_nonblocking(b);
        const std::string bytes = pattern(1 << 20);
        std::thread sender([&, end = &b] {
            end->send_bytes(bytes);
            end->send(std::list<std::string>{bytes, bytes});
        });
        REQUIRE(a.recv_bytes() == bytes);
        REQUIRE(a.recv<std::list<std::string>>().back() == bytes);
        sender.join();
    }
}
