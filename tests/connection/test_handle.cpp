// connection/handle.hpp: descriptors that travel, and connections that are made of some.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "tests/pool/support.hpp"

namespace {

/// A pipe of the system's, whose reading end is watched.
struct SystemPipe {
    SystemPipe() { REQUIRE(::pipe(ends) == 0); }
    /// Returns what was written, when all have closed the writing end.
    std::string read_all() {
        std::string text;
        char buffer[64];
        for (;;) {
            const ssize_t size = ::read(ends[0], buffer, sizeof buffer);
            if (size <= 0) break;
            text.append(buffer, static_cast<std::size_t>(size));
        }
        ::close(ends[0]);
        return text;
    }
    int ends[2];
};

void write_to(const mp::Handle& handle, std::string text) {
    (void)!::write(handle.fileno(), text.data(), text.size());
}
void write_to_those_of(mp::Queue<mp::Handle> queue, int count) {
    for (int i = 0; i < count; ++i) write_to(queue.get(), "q");
}
int write_and_count(mp::Handle handle) {
    write_to(handle, "task");
    return handle.closed() ? 0 : 1;
}

}  // namespace

TEMPLATE_TEST_CASE("A Handle travels as an argument, through a queue, and to a pool", "[handle]",
                   START_METHODS) {
    const Tidy tidy;
    SystemPipe pipe;
    {
        mp::Handle writer(pipe.ends[1]);
        mp::BasicProcess<TestType> process(write_to, writer.duplicate(), "argument ");
        process.start();
        process.join();
        mp::Queue<mp::Handle> queue;
        mp::BasicProcess<TestType> reader(write_to_those_of, queue, 2);
        reader.start();
        queue.put(writer.duplicate());
        queue.put(writer.duplicate());
        reader.join();
        mp::BasicPool<TestType> pool(1);
        REQUIRE(pool.apply(write_and_count, std::move(writer)) == 1);
    }
    REQUIRE(pipe.read_all() == "argument qqtask");
}

TEST_CASE("A Handle goes through a Pipe of each kind", "[handle]") {
    const Tidy tidy;
    for (const bool duplex : {true, false}) {
        SystemPipe pipe;
        auto [receiver, sender] = mp::Pipe(duplex);
        sender.send(mp::Handle(pipe.ends[1]));
        {
            const auto arrived = receiver.recv<mp::Handle>();
            write_to(arrived, "through");
        }
        REQUIRE(pipe.read_all() == "through");
    }
}

TEST_CASE("A Handle that is closed says so", "[handle]") {
    const Tidy tidy;
    REQUIRE_THROWS_AS(mp::Handle(-1), std::system_error);
    mp::Handle none;
    REQUIRE(none.closed());
    REQUIRE_THROWS_AS(none.fileno(), mp::ValueError);
    REQUIRE_THROWS_AS(none.duplicate(), mp::ValueError);
    mp::Queue<mp::Handle> queue;
    queue.put(std::move(none));
    REQUIRE(queue.get().closed());
    SystemPipe pipe;
    mp::Handle writer(pipe.ends[1]);
    const int fd = writer.detach();
    REQUIRE(writer.closed());
    ::close(fd);
    REQUIRE(pipe.read_all().empty());
}

TEST_CASE("A Connection is made of a descriptor", "[handle]") {
    const Tidy tidy;
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    mp::Connection a(ends[0]);
    mp::Connection b(ends[1]);
    a.send(std::string("hello"));
    REQUIRE(b.recv<std::string>() == "hello");
    REQUIRE(::pipe(ends) == 0);
    mp::Connection reader(ends[0], true, false);
    mp::Connection writer(ends[1], false, true);
    writer.send(42);
    REQUIRE(reader.recv<int>() == 42);
    REQUIRE_THROWS_AS(reader.send(1), mp::ValueError);
    REQUIRE_THROWS_AS(mp::Connection(-1), std::system_error);
    REQUIRE_THROWS_AS(mp::Connection(0, false, false), mp::ValueError);
}

TEST_CASE("A Connection is made of a Handle, and does what its descriptor can do", "[handle]") {
    const Tidy tidy;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    mp::Connection reader = mp::Connection::from_fd(mp::Handle(ends[0]));
    mp::Connection writer = mp::Connection::from_fd(mp::Handle(ends[1]));
    writer.send(42);
    REQUIRE(reader.recv<int>() == 42);
    REQUIRE((!reader.writable() && !writer.readable()));
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    mp::Connection a = mp::Connection::from_fd(mp::Handle(ends[0]));
    const mp::Connection b(ends[1]);
    REQUIRE((a.readable() && a.writable()));
    REQUIRE_THROWS_AS(mp::Connection::from_fd(mp::Handle()), mp::ValueError);
}

TEMPLATE_TEST_CASE("A copy of a Handle is another descriptor of the same file", "[handle]",
                   START_METHODS) {
    const Tidy tidy;
    SystemPipe pipe;
    {
        const mp::Handle writer(pipe.ends[1]);
        mp::Handle copy(writer), assigned;
        REQUIRE(copy.fileno() != writer.fileno());
        REQUIRE(mp::Handle(assigned).closed());
        assigned = copy;
        REQUIRE(assigned.fileno() != copy.fileno());
        ::close(copy.release());
        mp::BasicProcess<TestType> process(write_to, writer, "argument ");
        process.start();
        process.join();
        mp::Queue<mp::Handle> queue;
        queue.put(writer);
        write_to(queue.get(), "queue ");
        write_to(assigned, "here");
    }
    REQUIRE(pipe.read_all() == "argument queue here");
}
