// Listeners, connections and a manager's server against bytes that are changed at random.
// MULTIPROCESSING_FUZZ_SECONDS makes each case go on for longer than a second.
// SPDX-License-Identifier: MIT
#include <multiprocessing/remote.hpp>

#include <sys/socket.h>

#include <atomic>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/remote/fuzz.hpp"
#include "tests/remote/managers.hpp"

using mp::pickle::dumps;
using mp::pickle::object;

namespace {

unsigned long_enough() { return 60 + static_cast<unsigned>(support::fuzz_seconds()); }

/// Accepts peers until it is told to stop. None that is refused may end it.
class Acceptor {
  public:
    ~Acceptor() { stop(); }
    void stop() {
        stopping_ = true;
        if (thread_.joinable()) thread_.join();
    }
    [[nodiscard]] const Address& address() const { return address_; }
    [[nodiscard]] int refused() const { return refused_; }
    [[nodiscard]] std::exception_ptr error() const { return error_; }

  private:
    void run() try {
        while (!stopping_) {
            try {
                (void)listener_.try_accept(0.02);
            } catch (const mp::AuthenticationError&) {
                ++refused_;
            }
        }
    } catch (...) {
        error_ = std::current_exception();
    }

    Listener listener_{{}, {.authkey = "secret", .backlog = 16}};
    const Address address_ = listener_.address();
    std::atomic<bool> stopping_{false};
    std::atomic<int> refused_{0};
    std::exception_ptr error_;
    std::thread thread_{[this] { run(); }};
};

/// A client that knows the key, and keeps to the protocol up to a message that it changes.
void greet_and_err(const Address& address, support::Random& random) {
    RawPeer peer(address);
    mp::detail::Handshake handshake("secret", mp::detail::Side::client);
    static const std::vector<std::string> others{"#CHALLENGE#{sha256}" + std::string(40, 'n'),
                                                 "#CHALLENGE#" + std::string(20, 'n'),
                                                 "#WELCOME#",
                                                 "#FAILURE#",
                                                 "{sha256}" + std::string(32, 'm'),
                                                 "{md5}",
                                                 "\xff\xff\xff\xff",
                                                 "\x7f\xff\xff\xff",
                                                 std::string(300, 'x')};
    std::optional<std::string> own = handshake.begin();
    for (unsigned left = random() % 4;; --left) {
        if (own && left == 0) {
            const std::string frame = RawPeer::framed(*own);
            peer.send(
                random() % 3 == 0
                    ? RawPeer::framed(support::changed(*own, others, random))
                    : support::changed(random() % 2 != 0
                                           ? frame
                                           : RawPeer::framed(others[random() % others.size()]),
                                       others, random));
            break;
        }
        if (own) peer.send_message(*own);
        if (handshake.is_done()) return;
        const std::string message = peer.message();
        if (message.empty()) return;
        own = handshake.take(message).reply;
        if (!own && left == 0) left = 1;
    }
    ::shutdown(peer.fileno(), SHUT_WR);  // so that nobody waits for more
    while (!peer.bytes(4096).empty()) {
    }
}

/// What reading a stream to its end gives: the messages, and whether it ended at one.
struct Outcome {
    std::vector<std::string> messages{};
    bool has_failed = false;

    bool operator==(const Outcome&) const = default;
};

/// Reads with `next` until it throws. Errors of the stream are right, and no others.
template <class Next>
Outcome read_all_of(Next next) {
    Outcome outcome;
    try {
        for (;;) outcome.messages.push_back(next());
    } catch (const mp::EOFError&) {
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::connection_reset) throw;
        outcome.has_failed = true;
    } catch (const mp::ProcessError&) {  // a size that cannot be
        outcome.has_failed = true;
    } catch (const std::bad_alloc&) {
        outcome.has_failed = true;
    }
    return outcome;
}

/// Returns the end of a connection through which these bytes come, and then the end.
mp::Connection stream_of(const std::string& bytes) {
    auto [here, there] = mp::detail::make_socket_pair(SOCK_STREAM);
    RawPeer(std::move(there)).send(bytes);
    return mp::detail::python_connection(std::move(here));
}

/// Says whether the bytes announce a message that is larger than a sanitizer lets a program ask
/// for.
bool asks_for_much(const std::string& bytes) {
    constexpr std::uint64_t much = 1U << 28;
    const auto number_at = [&](std::size_t at, std::size_t size) {
        std::uint64_t number = 0;
        for (std::size_t i = at; i < at + size && i < bytes.size(); ++i) {
            number = number << 8 | static_cast<unsigned char>(bytes[i]);
        }
        return number;
    };
    for (std::size_t at = 0; at + 4 <= bytes.size();) {
        std::uint64_t size = number_at(at, 4);
        at += 4;
        if (size == 0xffff'ffff) {
            size = number_at(at, 8);
            at += 8;
        } else if (size > 0x7fff'ffff) {
            return false;  // negative: nothing is read after it
        }
        if (size > much) return true;
        at += static_cast<std::size_t>(size);
    }
    return false;
}

/// Requests as clients send them, for objects of these ids.
std::vector<std::string> good_requests(const std::map<std::string, mp::RemoteProxy>& objects) {
    const object none;
    const object numbers = object::list({3, 1, 2});
    const object slice = object::call(object::global("builtins", "slice"), {none, 2, none});
    const std::vector<object> values{none,
                                     true,
                                     -1,
                                     0,
                                     1,
                                     255,
                                     1.5,
                                     "k",
                                     "x",
                                     numbers,
                                     object::tuple({1, "a"}),
                                     object::dict({{"k", 1}}),
                                     slice,
                                     object::set({1}),
                                     std::vector<std::byte>(3)};
    // What waits for something, and what takes as much memory as it is asked for, is left out.
    const std::vector<std::string> left_out{"get",     "put",      "join",     "acquire", "wait",
                                            "__mul__", "__rmul__", "__imul__", "shutdown"};
    std::vector<std::string> requests;
    const auto add = [&](const object& id, const std::string& method, const object& arguments,
                         const object& named = object::dict({})) {
        requests.push_back(dumps(object::tuple({id, method, arguments, named})));
    };
    for (const auto& [name, proxy] : objects) {
        std::vector<std::string> methods = proxy.methods();
        methods.insert(methods.end(), {"#GETVALUE", "__str__", "__repr__", "none"});
        for (const std::string& method : methods) {
            if (std::ranges::find(left_out, method) != left_out.end()) continue;
            add(proxy.id(), method, object::tuple({}));
            for (const object& value : values) {
                add(proxy.id(), method, object::tuple({value}));
                add(proxy.id(), method, object::tuple({"k", value}));
            }
            add(proxy.id(), method, object::tuple({proxy.to_pickle()}));
            add(proxy.id(), method, object::tuple({1, proxy.to_pickle()}));
            add(proxy.id(), method, object::tuple({}), object::dict({{"key", "k"}, {"n", 2}}));
            add(proxy.id(), method, object::tuple({}), object::dict({{"reverse", true}}));
        }
        add(none, "get_methods", object::tuple({proxy.to_pickle().arguments()[1]}));
        add(none, "incref", object::tuple({proxy.id()}));
        add(none, "create", object::tuple({name, numbers}));
        add(none, "create", object::tuple({name, "i", 3}));
    }
    for (const std::string function : {"dummy", "number_of_objects", "debug_info"}) {
        add(none, function, object::tuple({}));
    }
    add(none, "accept_connection", object::tuple({"fuzz"}));
    add(none, "decref", object::tuple({"0"}));
    return requests;
}

/// A client of a manager's server that sends whatever it is given.
class AnyClient {
  public:
    explicit AnyClient(const Address& address) : address_(address) { connect(); }

    /// Sends requests, all before it reads the first reply. @returns how many were answered
    std::size_t send(const std::vector<std::string>& requests) {
        std::string bytes;
        for (const std::string& request : requests) bytes += RawPeer::framed(request);
        if (::send(connection_->fileno(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(bytes.size())) {
            throw std::logic_error("the server has closed the connection");
        }
        for (std::size_t i = 0; i < requests.size(); ++i) {
            // A request may have become one that waits. Its thread ends with the connection.
            if (!connection_->poll(1)) return connect(), i;
            check(connection_->recv_bytes());
        }
        return requests.size();
    }
    /// Sends a request over a connection of its own.
    void send_first(const std::string& request) {
        mp::Connection first = Client(address_, {.authkey = "secret"});
        first.send_bytes(request);
        if (first.poll(1)) check(first.recv_bytes());
    }

  private:
    void connect() {
        connection_.emplace(Client(address_, {.authkey = "secret"}));
        connection_->send_bytes(dumps(object::tuple(
            {nullptr, "accept_connection", object::tuple({"fuzz"}), object::dict({})})));
        check(connection_->recv_bytes());
    }
    static void check(const std::string& reply) {
        const auto [kind, value] = mp::pickle::loads<std::pair<std::string, object>>(reply);
        const bool is_known = kind == "#RETURN" || kind == "#ERROR" || kind == "#PROXY" ||
                              kind == "#TRACEBACK" || kind == "#UNSERIALIZABLE";
        if (!is_known) throw std::logic_error("a reply of the kind " + kind);
    }

    Address address_;
    std::optional<mp::Connection> connection_;
};

}  // namespace

TEST_CASE("A listener refuses handshakes that are changed at random", "[listener][fuzz]") {
    const NothingLeft check;
    const Watchdog watchdog(long_enough());
    Acceptor acceptor;
    support::Random random(11);
    const support::FuzzTime time;
    while (!time.is_over()) greet_and_err(acceptor.address(), random);
    (void)Client(acceptor.address(), {.authkey = "secret", .handshake_timeout = 20});
    acceptor.stop();
    CHECK(acceptor.error() == nullptr);
    CHECK(acceptor.refused() > 0);
}

TEST_CASE("Frames that are changed at random are messages or errors", "[connection][fuzz]") {
    const NothingLeft check;
    const Watchdog watchdog(long_enough());
    std::vector<std::string> seeds{RawPeer::framed(""), RawPeer::framed("x"),
                                   RawPeer::framed(dumps(std::vector{1, 2, 3})),
                                   RawPeer::framed(std::string(5000, 'y')),
                                   "\xff\xff\xff\xff"s + std::string(7, '\0') + "\x02zz"};
    support::Random random(12);
    std::size_t count = 0;
    std::size_t whole = 0;
    std::size_t different = 0;
    const support::FuzzTime time;
    while (!time.is_over()) {
        std::string bytes;
        for (unsigned parts = 1 + random() % 4; parts > 0; --parts) {
            bytes += seeds[random() % seeds.size()];
        }
        bytes = support::changed(std::move(bytes), seeds, random);
        if (support::sanitized && asks_for_much(bytes)) continue;
        mp::Connection plain = stream_of(bytes);
        const Outcome one = read_all_of([&] { return plain.recv_bytes(); });
        mp::detail::MessageStream ahead(stream_of(bytes));
        const Outcome two = read_all_of([&] { return ahead.receive(); });
        different += one != two;
        ++count;
        whole += !one.has_failed;
    }
    CHECK(different == 0);
    CHECK(whole > 0);
    CHECK(count > whole);
}

/// Waits, at its end, until this process has no other descriptors than at its beginning: the last
/// of a server's threads closes what they share, when nobody waits for it any more.
class DescriptorsSettle {
  public:
    DescriptorsSettle() = default;
    DescriptorsSettle(const DescriptorsSettle&) = delete;
    DescriptorsSettle& operator=(const DescriptorsSettle&) = delete;
    ~DescriptorsSettle() {
        (void)support::eventually([this] { return support::descriptors() == before_; });
    }

  private:
    const std::set<std::string> before_ = support::descriptors();
};

TEST_CASE("Requests that are changed at random are answered", "[managers][fuzz]") {
    const NothingLeft check;
    const DescriptorsSettle settle;
    const Watchdog watchdog(long_enough());
    mp::SyncManager manager({}, {.authkey = "secret"});
    std::exception_ptr failed;
    std::thread server([&] {  // in this process, which a sanitizer looks at
        try {
            manager.serve_forever();
        } catch (...) {
            failed = std::current_exception();
        }
    });
    REQUIRE(support::eventually([&] { return !manager.address().empty(); }));
    mp::SyncManager client(manager.address(), {.authkey = "secret"});
    client.connect();
    support::Random random(13);
    std::size_t answered = 0;
    const support::FuzzTime time;
    while (!time.is_over()) {
        std::map<std::string, mp::RemoteProxy> objects;
        for (const std::string name : {"list", "dict", "Queue", "JoinableQueue", "Namespace",
                                       "Event", "Lock", "RLock", "Condition"}) {
            objects.emplace(name, client.get(name));
        }
        objects.emplace("Value", client.get("Value", "i", 1));
        objects.emplace("Array", client.get("Array", "i", std::vector{1, 2}));
        objects.emplace("Barrier", client.get("Barrier", 2));
        objects.emplace("Semaphore", client.get("Semaphore", 2));
        const std::vector<std::string> seeds = good_requests(objects);
        AnyClient any(manager.address());
        const auto next = [&] {
            const std::string& seed = seeds[random() % seeds.size()];
            return random() % 3 == 0 ? seed : support::changed(seed, seeds, random);
        };
        // One that is as it should be, in any case: on a slow machine the time is over by now.
        do {
            answered += any.send({seeds.front()});
        } while (answered == 0);
        for (int round = 0; round < 500 && !time.is_over(); ++round) {
            std::vector<std::string> requests(1 + random() % 3);
            for (std::string& request : requests) request = next();
            answered += any.send(requests);
            if (round % 20 == 0) any.send_first(next());
        }
        for (const auto& [name, proxy] : objects) (void)proxy.repr();
    }
    CHECK(answered > 0);
    CHECK(client.get<mp::RemoteList<int>>("list", std::vector{1, 2}).size() == 2);
    client.shutdown();
    server.join();
    CHECK(failed == nullptr);
}
