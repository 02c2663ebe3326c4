// remote/managers/message_stream: what a server reads ahead is not lost.
// SPDX-License-Identifier: MIT
#include <multiprocessing/remote.hpp>

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "tests/remote/managers.hpp"

TEST_CASE("Requests that are sent before the replies to others are all answered", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    mp::SyncManager manager({}, {.authkey = "secret"});
    manager.start();
    const auto list = manager.get<mp::RemoteList<int>>("list");
    const auto frame = [](const mp::pickle::object& id, const std::string& method,
                          const mp::pickle::object& arguments) {
        using mp::pickle::object;
        return RawPeer::framed(
            mp::pickle::dumps(object::tuple({id, method, arguments, object::dict({})})));
    };
    std::string bytes = frame(nullptr, "accept_connection", mp::pickle::object::tuple({"test"}));
    for (int i = 0; i < 200; ++i) {
        const std::string filler(i % 50 == 7 ? 6000 : 1, 'x');  // longer than what is read ahead
        bytes += frame(list.id(), "append", mp::pickle::object::tuple({filler}));
    }
    bytes += frame(list.id(), "__len__", mp::pickle::object::tuple({}));
    const auto read_replies = [](mp::Connection& from) {
        std::int64_t length = 0;
        for (int i = 0; i < 202; ++i) {
            using Reply = std::pair<std::string, mp::pickle::object>;
            const auto reply = mp::pickle::loads<Reply>(from.recv_bytes());
            if (reply.first != "#RETURN") return std::int64_t{-1};
            if (i == 201) length = reply.second.get<std::int64_t>();
        }
        return length;
    };
    const auto send = [](const mp::Connection& to, std::string_view part) {
        return ::send(to.fileno(), part.data(), part.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(part.size());
    };
    auto at_once = Client(manager.address(), {.authkey = "secret"});
    REQUIRE(send(at_once, bytes));
    CHECK(read_replies(at_once) == 200);
    auto in_parts = Client(manager.address(), {.authkey = "secret"});
    for (std::size_t at = 0; at < bytes.size(); at += 7) {
        REQUIRE(send(in_parts, std::string_view(bytes).substr(at, 7)));
    }
    CHECK(read_replies(in_parts) == 400);
}
