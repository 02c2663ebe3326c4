// remote/connection/handles.hpp: descriptors that go to another program.
// SPDX-License-Identifier: MIT
#include <sys/socket.h>

#include "tests/remote/support.hpp"

using mp::connection::recv_handle;
using mp::connection::send_handle;

namespace {

/// Returns the first bytes that come out of a descriptor.
std::string read_from(int fd) {
    char buffer[64];
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    return {buffer, got < 0 ? 0 : static_cast<std::size_t>(got)};
}

}  // namespace

TEST_CASE("send_handle: a descriptor arrives between two messages, through a pipe too",
          "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const bool remote : {true, false}) {
        auto ends = remote ? support::python_pipe() : mp::Pipe();
        auto [read, write] = mp::detail::make_pipe();
        ends.first.send_bytes("before");
        send_handle(ends.first, write.get(), ::getpid());
        ends.first.send_bytes("after");
        write.reset();
        CHECK(ends.second.recv_bytes() == "before");
        {
            const mp::Handle handle = recv_handle(ends.second);
            CHECK(::write(handle.fileno(), "x", 1) == 1);
        }
        CHECK(ends.second.recv_bytes() == "after");
        CHECK(read_from(read.get()) == "x");
        CHECK(read_from(read.get()).empty());  // nobody else has the writing end
    }
}

TEST_CASE("send_handle: what cannot be sent, and a peer that is gone", "[remote]") {
    const NothingLeft check;
    auto ends = support::python_pipe();
    CHECK(errno_of([&] { send_handle(ends.first, 999'999); }) == EBADF);
    CHECK_THROWS_AS(send_handle(ends.first, mp::Handle()), mp::ValueError);
    ends.second.send_bytes("bytes");
    CHECK_THROWS_AS(recv_handle(ends.first), mp::RuntimeError);
    ends.second.close();
    CHECK(errno_of([&] { send_handle(ends.first, 0); }) == EPIPE);
    ends = support::python_pipe();
    ends.second.close();
    CHECK_THROWS_AS(recv_handle(ends.first), mp::EOFError);
    ends.first.close();
    CHECK_THROWS_AS(recv_handle(ends.first), mp::ValueError);
    Listener listener({"localhost", 0}, {.authkey = std::nullopt});
    mp::Connection tcp = Client(listener.address(), {.authkey = std::nullopt});
    CHECK_THROWS_WITH(send_handle(tcp, tcp.fileno()),
                      Catch::Matchers::ContainsSubstring("Unix socket"));
    auto pipe = mp::Pipe(false);
    CHECK_THROWS_AS(recv_handle(pipe.first), mp::ValueError);
}

TEST_CASE("recv_handle: out of descriptors it is EMFILE", "[remote]") {
    const NothingLeft check;
    auto ends = support::python_pipe();
    send_handle(ends.first, ends.first.fileno());
    const support::FewDescriptors few(0);
    CHECK(errno_of([&] { (void)recv_handle(ends.second); }) == EMFILE);
}

TEST_CASE("send_handle: to every Python and back", "[remote]") {
    const NothingLeft check;
    for (const std::string& python : every_python()) {
        INFO(python);
        const Watchdog watchdog(60);
        Listener listener({}, {.authkey = "key"});
        PythonProgram program(python,
                              "import os\n"
                              "c = Client(arguments[0], authkey=b'key')\n"
                              "fd = reduction.recv_handle(c)\n"
                              "os.write(fd, b'from Python')\n"
                              "r, w = os.pipe()\n"
                              "reduction.send_handle(c, r, None)\n"
                              "os.write(w, b'its own')\n",
                              {listener.address().path()});
        mp::Connection connection = listener.accept();
        auto [read, write] = mp::detail::make_pipe();
        send_handle(connection, write.get());
        CHECK(read_from(read.get()) == "from Python");
        const mp::Handle handle = recv_handle(connection);
        CHECK(read_from(handle.fileno()) == "its own");
        CHECK(program.join() == 0);
    }
}
