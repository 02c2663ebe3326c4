// remote/connection/{address,socket,socket_file}.hpp: where a listener is.
// SPDX-License-Identifier: MIT
#include <sys/stat.h>

#include <sstream>

#include "tests/remote/support.hpp"

namespace {

std::string printed(const Address& address) {
    std::ostringstream stream;
    stream << address;
    return stream.str();
}
mode_t mode_of(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

}  // namespace

TEST_CASE("Address: a host and a port, a path, a name, or none", "[remote]") {
    const Address tcp{"localhost", 80};
    CHECK(tcp.is_tcp());
    CHECK(tcp.family() == "AF_INET"s);
    CHECK((tcp.host() == "localhost" && tcp.port() == 80));
    const Address path = "/tmp/a socket";
    CHECK(path.family() == "AF_UNIX"s);
    CHECK((path.path() == "/tmp/a socket" && !path.is_abstract() && !path.empty()));
    const Address name = "\0name";
    CHECK((name.is_abstract() && name.path() == "\0name"s));
    CHECK(Address("\0name"s) == name);
    char buffer[100] = "/short";
    CHECK(Address(buffer).path() == "/short");
    const char* const pointer = buffer;
    CHECK(Address(pointer) == Address("/short"));
    CHECK(Address(std::string_view("/short")) == Address("/short"s));
    CHECK(Address{}.empty());
    CHECK_FALSE(tcp == path);
}

TEST_CASE("Address: it prints as in Python", "[remote]") {
    CHECK(printed({"localhost", 80}) == "('localhost', 80)");
    CHECK(printed("/tmp/it's") == "\"/tmp/it's\"");
    CHECK(printed("\0name") == "'\\x00name'");
    CHECK(printed({}) == "''");
}

TEST_CASE("Address: what is none is a ValueError", "[remote]") {
    CHECK_THROWS_AS(Address("localhost", -1), mp::ValueError);
    CHECK_THROWS_AS(Address("localhost", 65536), mp::ValueError);
    // _TestInvalidFamily: r'\\.\test'
    CHECK_THROWS_WITH(Address("\\\\.\\test"),
                      Catch::Matchers::ContainsSubstring("Family AF_PIPE is not recognized"));
}

TEST_CASE("Listener: a family that is not known, or not the address's, is a ValueError",
          "[remote]") {
    const NothingLeft check;
    CHECK_THROWS_WITH(Listener({}, {.family = "AF_PIPE"}),
                      Catch::Matchers::ContainsSubstring("Family AF_PIPE is not recognized"));
    CHECK_THROWS_AS(Listener("/var/test.pipe", {.family = "AF_INET"}), mp::ValueError);
    CHECK_THROWS_AS(Listener({"localhost", 0}, {.family = "AF_UNIX"}), mp::ValueError);
    const Listener listener({}, {.family = "AF_INET"});
    CHECK((listener.address().is_tcp() && listener.address().port() > 0));
}

TEST_CASE("Listener: without an address it has a socket in a folder of its own, removed at close",
          "[remote]") {
    const NothingLeft check;
    std::string path;
    {
        Listener listener;
        path = listener.address().path();
        CHECK(mode_of(path) == 0600);
        CHECK(mode_of(std::filesystem::path(path).parent_path()) == 0700);
        Listener other({});
        CHECK_FALSE(other.address() == listener.address());
        listener.close();
        listener.close();
        CHECK(listener.closed());
        CHECK_FALSE(std::filesystem::exists(path));
        path = other.address().path();
    }
    CHECK_FALSE(std::filesystem::exists(std::filesystem::path(path).parent_path()));
}

TEST_CASE("Listener: the folder that a killed process leaves goes with the next one that is made",
          "[remote]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    const Listener alive;
    Child<mp::start_method::fork> child([end = &b] {
        const Listener listener;
        end->send(listener.address().path());
        support::sleep_on();
    });
    const auto path = a.recv<std::string>();
    {
        const Listener while_it_lives;
        CHECK(std::filesystem::exists(path));
    }
    child.kill();
    CHECK(std::filesystem::exists(path));
    const Listener next;
    CHECK_FALSE(std::filesystem::exists(std::filesystem::path(path).parent_path()));
    CHECK(std::filesystem::exists(alive.address().path()));
    CHECK(std::filesystem::exists(next.address().path()));
}

TEST_CASE("Listener: the file of its socket has mode 0600 whatever the umask", "[remote]") {
    const NothingLeft check;
    const std::string path = std::filesystem::temp_directory_path() / "multiprocessing-test-socket";
    const mode_t before = ::umask(0);
    Listener listener(path);
    ::umask(before);
    CHECK(mode_of(path) == 0600);
    CHECK(errno_of([&] { const Listener second(path); }) == EADDRINUSE);
    CHECK(mode_of(path) == 0600);  // the other one's failure has not removed it
    listener.close();
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("Listener: it does not remove what somebody has put in the place of its socket",
          "[remote]") {
    const NothingLeft check;
    const std::string path = std::filesystem::temp_directory_path() / "multiprocessing-test-socket";
    Listener first(path);
    ::unlink(path.c_str());
    Listener second(path);
    first.close();
    CHECK(std::filesystem::exists(path));
    second.close();
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("Listener: addresses that cannot be are system errors that name them", "[remote]") {
    const NothingLeft check;
    CHECK(errno_of([] { const Listener listener(std::string(200, 'x')); }) == ENAMETOOLONG);
    CHECK(errno_of([] { const Listener listener("/does/not/exist"); }) == ENOENT);
    CHECK(errno_of([] { (void)Client("/does/not/exist"); }) == ENOENT);
    CHECK(text_of_error<std::system_error>([] {
              (void)Client("/does/not/exist");
          }).starts_with("connect '/does/not/exist'"));
    CHECK(errno_of([] { (void)Client({"no-such-host.invalid", 1}); }) != 0);
    const Listener bound({"localhost", 0});  // _TestListener.test_multiple_bind
    CHECK(errno_of([&] { const Listener second(bound.address()); }) == EADDRINUSE);
    CHECK_THROWS_AS(Client({}), mp::ValueError);
    Listener listener({"localhost", 0});
    const Address address = listener.address();
    listener.close();
    CHECK(errno_of([&] { (void)Client(address); }) == ECONNREFUSED);
    CHECK_THROWS_AS(listener.address(), mp::ValueError);
}
