// Messages of 2 GiB and more, whose length takes another form, there and back through Python.
// CTEST: LABELS once
// SPDX-License-Identifier: MIT
#include "tests/remote/support.hpp"

namespace {

constexpr std::size_t size = (std::size_t{2} << 30) + 16;

/// Whether the machine can hold such a message some times.
bool has_room() {
    return static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) *
               static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) >=
           (std::size_t{12} << 30);
}

}  // namespace

TEST_CASE("A message of 2 GiB + 16 bytes goes to Python and comes back", "[remote]") {
    if (support::sanitized || every_python().empty()) return;  // takes minutes there
    if (!has_room()) {
        WARN("This machine has too little memory for messages of 2 GiB.");
        return;
    }
    const NothingLeft check;
    const Watchdog watchdog(250);
    Listener listener({}, {.authkey = "key"});
    PythonProgram program(every_python().back(),
                          "c = Client(arguments[0], authkey=b'key')\n"
                          "data = c.recv_bytes()\n"
                          "say(len(data), data[:3], data[-3:])\n"
                          "c.send_bytes(data)\n",
                          {listener.address().path()});
    mp::Connection connection = listener.accept();
    std::string bytes(size, 'x');
    bytes.replace(0, 3, "abc").replace(size - 3, 3, "uvw");
    connection.send_bytes(bytes);
    CHECK(program.line() == "2147483664 b'abc' b'uvw'");
    CHECK(connection.recv_bytes_into(bytes) == size);
    CHECK((bytes.starts_with("abcx") && bytes.ends_with("xuvw")));
    CHECK(program.join() == 0);
}

TEST_CASE("A message of 2 GiB + 16 bytes between two C++ programs, and the next one after it",
          "[remote]") {
    if (support::sanitized || !has_room()) return;
    const NothingLeft check;
    const Watchdog watchdog(250);
    auto [a, b] = support::python_pipe();
    std::thread sender([&, end = &a] {
        std::string bytes(size, 'x');
        bytes.back() = 'y';
        end->send_bytes(bytes);
        end->send(7);
    });
    const std::string bytes = b.recv_bytes();
    CHECK(bytes.size() == size);
    CHECK(bytes.find('y') == size - 1);
    CHECK(b.recv<int>() == 7);
    sender.join();
}
