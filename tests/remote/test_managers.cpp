// remote/managers: servers and clients, both in C++. SPDX-License-Identifier: MIT
#include <multiprocessing/remote.hpp>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/remote/managers.hpp"

using Catch::Matchers::ContainsSubstring;

namespace {

using Texts = mp::RemoteQueue<std::string>;

/// What a child does with proxies that have reached it.
void use_proxies(Texts queue, mp::RemoteProxy adder) {
    adder.call("add", 1);
    queue.put("from " + mp::current_process().name());
}
void hold_proxies(const Address& address, mp::Event ready) {
    mp::SyncManager manager(address, {.authkey = "secret"});
    manager.connect();
    const auto list = manager.get<mp::RemoteList<int>>("list", std::vector{1, 2});
    const auto dict = manager.get("dict");
    const auto unused = manager.get("Namespace");
    (void)list.size();
    ready.set();
    for (;;) ::pause();
}
void make_and_drop(const Address& address, unsigned seed) {
    mp::SyncManager manager(address, {.authkey = "secret"});
    manager.connect();
    support::Random random(seed);
    std::vector<mp::RemoteProxy> held;
    for (;;) {
        switch (random() % 4) {
            case 0:
                held.push_back(manager.get("list", std::vector{1, 2}));
                break;
            case 1:
                if (!held.empty()) held.pop_back();
                break;
            case 2:
                if (!held.empty()) (void)held.front().str();
                break;
            default:
                held.push_back(manager.get("Queue"));
        }
        if (held.size() > 10) held.clear();
    }
}

}  // namespace

TEST_CASE("BaseManager.create makes objects whose methods are called by name", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const Address& address : support::server_addresses()) {
        mp::BaseManager manager(address, {.authkey = "secret"});
        support::register_all(manager);
        manager.start();
        const mp::RemoteProxy adder = manager.create("Adder", 40);
        CHECK(adder.call<double>("add", 2) == 42);
        CHECK(adder.call<double>("sum") == 42);
        adder.call("add", 1);
        CHECK(adder.call<mp::pickle::object>("sum") == mp::pickle::object(43.0));
        CHECK(adder.call<std::vector<int>>("numbers", 3) == std::vector{7, 7, 7});
        CHECK(adder.type() == "Adder");
        CHECK(adder.methods() == std::vector<std::string>{"add", "sum", "fail", "numbers"});
        CHECK_THAT(adder.str(), ContainsSubstring("<Adder object at 0x"));
        CHECK(manager.number_of_objects() == 1);
        CHECK_THAT(manager.debug_info(), ContainsSubstring("refcount=1\n    <Adder object at"));
        const auto other = manager.get("Adder", 1);
        CHECK(other != adder);
        CHECK(manager.number_of_objects() == 2);
    }
}

TEST_CASE("An exception of a method arrives as its type", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    mp::BaseManager manager({}, {.authkey = "secret"});
    support::register_all(manager);
    manager.start();
    const auto adder = manager.create("Adder", 0);
    CHECK(text_of_error<mp::ValueError>([&] { adder.call("fail", "ValueError", "bad"); }) == "bad");
    CHECK_THROWS_AS(adder.call("fail", "KeyError", "k"), mp::KeyError);
    CHECK_THROWS_AS(adder.call("fail", "IndexError", "i"), mp::IndexError);
    CHECK_THROWS_AS(adder.call("fail", "TypeError", "t"), mp::TypeError);
    CHECK_THROWS_AS(adder.call("fail", "Empty", ""), mp::Empty);
    CHECK(support::errno_of([&] { adder.call("fail", "OSError", "f"); }) == ENOENT);
    try {
        adder.call("fail", "ZeroDivisionError", "by zero");
        FAIL("nothing was thrown");
    } catch (const mp::RemoteError& error) {
        CHECK(error.type_name() == "ZeroDivisionError");
        CHECK(error.message() == "by zero");
    }
    CHECK_THROWS_AS(adder.call("add", "text"), mp::TypeError);
    CHECK_THROWS_AS(adder.call("add"), mp::TypeError);
    CHECK_THROWS_AS(adder.call("add", 1, 2), mp::TypeError);
    CHECK_THROWS_AS(adder.call<std::string>("sum"), mp::TypeError);
    CHECK_THROWS_WITH(adder.call("unknown"), ContainsSubstring("'unknown'"));
    CHECK_THROWS_WITH(manager.create("Unknown"), ContainsSubstring("KeyError"));
    CHECK_THROWS_WITH(manager.create("Adder", 1, 2), ContainsSubstring("2 arguments"));
    CHECK(adder.call<double>("sum") == 0);  // the connection goes on
}

TEST_CASE("What a registered function returns is one object for all clients", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    const mp::Queue<std::string> queue;
    mp::BaseManager manager({}, {.authkey = "secret"});
    support::register_all(manager, queue);
    manager.start();
    {
        const auto one = manager.get<Texts>("get_queue");
        const auto two = manager.get<Texts>("get_queue");
        CHECK(one == two);
        CHECK(manager.number_of_objects() == 1);
        one.put("a");
        CHECK(queue.qsize() == 1);  // it is the family's own
        CHECK(two.qsize() == 1);
        CHECK(two.get() == "a");
        CHECK_THROWS_AS(two.get(true, 0.01), mp::Empty);
        CHECK_THROWS_AS(two.get_nowait(), mp::Empty);
        CHECK(two.try_get() == std::nullopt);
    }
    CHECK(manager.number_of_objects() == 0);
}

TEST_CASE("A manager's states are those of Python", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    mp::BaseManager manager({}, {.authkey = "secret"});
    CHECK_THROWS_AS(manager.create("Adder", 1), mp::AssertionError);
    CHECK(support::errno_of([] {
              mp::BaseManager("/nowhere/at/all", {.authkey = "secret"}).connect();
          }) == ENOENT);
    manager.start();
    CHECK_THROWS_WITH(manager.start(), "Already started server");
    CHECK_THROWS_AS(manager.register_function("f", [] { return 1; }), mp::AssertionError);
    mp::BaseManager stranger(manager.address(), {.authkey = "other"});
    CHECK_THROWS_AS(stranger.connect(), mp::AuthenticationError);
    mp::BaseManager client(manager.address(), {.authkey = "secret"});
    client.connect();
    CHECK(client.number_of_objects() == 0);
    CHECK_FALSE(manager.join(0));
    manager.shutdown();
    manager.shutdown();
    CHECK(manager.join());
    CHECK_THROWS_WITH(manager.start(), "Manager has shut down");
    CHECK_THROWS_WITH(manager.create("Adder", 1), "Manager has shut down");
    CHECK_THROWS_AS(client.number_of_objects(), std::system_error);
    CHECK_FALSE(std::filesystem::exists(manager.address().path()));
    mp::BaseManager failing;
    CHECK_THROWS_AS(failing.start([] { throw mp::ValueError("no"); }), mp::ValueError);
}

TEST_CASE("A server can be started again at the same address",
          "[managers]") {  // CPython's _TestManagerRestart
    const NothingLeft check;
    const Watchdog watchdog(60);
    Address address("127.0.0.1", 0);
    for (int round = 0; round < 3; ++round) {
        const mp::Queue<std::string> queue;
        mp::BaseManager manager(address, {.authkey = "secret"});
        support::register_all(manager, queue);
        manager.start();
        if (round != 0) CHECK(manager.address() == address);
        address = manager.address();
        CHECK(support::errno_of([&] { mp::BaseManager(address).start(); }) == EADDRINUSE);
        manager.get<Texts>("get_queue").put("round " + std::to_string(round));
        CHECK(queue.get() == "round " + std::to_string(round));
    }
}

TEST_CASE("serve_forever serves in a thread until shutdown", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    mp::BaseManager manager({}, {.authkey = "secret"});
    const auto adder = std::make_shared<Adder>(1);
    manager.register_function("adder", [adder] { return adder; },
                              {{"add", &Adder::add}, {"sum", &Adder::sum}});
    std::thread server([&] { manager.serve_forever(); });
    REQUIRE(support::eventually([&] { return !manager.address().empty(); }));
    {
        mp::BaseManager client(manager.address(), {.authkey = "secret"});
        client.connect();
        CHECK(client.get("adder").call<double>("add", 2) == 3);
        CHECK(client.get("adder").call<double>("add", 2) == 5);
        CHECK(client.get("adder").call<double>("sum") == 5);
        client.shutdown();  // as a client may
    }
    server.join();
    CHECK(adder->sum() == 5);
}

TEMPLATE_TEST_CASE("Proxies reach processes under every start method", "[managers]",
                   START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(120);
    mp::BaseManager manager({}, {.authkey = "secret"});
    support::register_all(manager);
    manager.start();
    {
        const auto queue = manager.get<Texts>("get_queue");
        const auto adder = manager.create("Adder", 0);
        mp::BasicProcess<TestType> a({.name = "a"}, use_proxies, queue, adder);
        mp::BasicProcess<TestType> b({.name = "b"}, use_proxies, queue, adder);
        a.start(), b.start();
        a.join(), b.join();
        CHECK(a.exitcode() == 0);
        std::set<std::string> seen{queue.get(), queue.get()};
        CHECK(seen == std::set<std::string>{"from a", "from b"});
        CHECK(adder.call<double>("sum") == 2);
    }
    CHECK(support::eventually([&] { return manager.number_of_objects() == 0; }));
}

TEST_CASE("Many threads call one object, one at a time", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    constexpr int rounds = support::sanitized ? 50 : 300;
    mp::BaseManager manager({}, {.authkey = "secret"});
    support::register_all(manager);
    manager.start();
    const auto adder = manager.create("Adder", 0);
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            for (int n = 0; n < rounds; ++n) adder.call("add", 1);
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(adder.call<double>("sum") == 8 * rounds);
}

TEST_CASE("A SyncManager has Python's types", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    mp::SyncManager manager({}, {.authkey = "secret"});
    manager.start();
    {
        const auto list = manager.get<mp::RemoteList<int>>("list", std::vector{3, 1, 2});
        list.sort();
        list.append(4);
        list.extend({5, 6});
        CHECK(list.to_vector() == std::vector{1, 2, 3, 4, 5, 6});
        CHECK(list[-1] == 6);
        CHECK(list.slice(1, -1) == std::vector{2, 3, 4, 5});
        CHECK(list.pop() == 6);
        CHECK(list.pop(0) == 1);
        CHECK(list.index(3) == 1);
        CHECK(list.contains(3));
        list.set(0, 9);
        list.remove(3);
        list.reverse();
        CHECK(list.str() == "[5, 4, 9]");
        CHECK(list.getvalue<std::vector<int>>() == std::vector{5, 4, 9});
        CHECK_THROWS_AS(list.at(7), mp::IndexError);
        CHECK_THROWS_AS(list.remove(7), mp::ValueError);

        const auto dict = manager.get<mp::RemoteDict<std::string, double>>("dict");
        dict.set("b", 1);
        dict.update({{"a", 2.5}});
        CHECK(dict.at("a") == 2.5);
        CHECK(dict.keys() == std::vector<std::string>{"b", "a"});
        CHECK(dict.to_map() == std::map<std::string, double>{{"a", 2.5}, {"b", 1}});
        CHECK(dict.get("c") == std::nullopt);
        CHECK(dict.get("c", 4) == 4);
        CHECK(dict.setdefault("c", 3) == 3);
        CHECK(dict.pop("c") == 3);
        CHECK(dict.pop("c", 7) == 7);
        CHECK_THROWS_AS(dict.pop("c"), mp::KeyError);
        CHECK_THROWS_AS(dict.at("c"), mp::KeyError);
        CHECK(dict.popitem() == std::pair<std::string, double>("a", 2.5));
        CHECK(dict.str() == "{'b': 1.0}");
        const auto iterator = dict.call<mp::RemoteProxy>("__iter__");
        CHECK(iterator.call<std::string>("__next__") == "b");
        CHECK(text_of_error<mp::RemoteError>([&] {
                  iterator.call("__next__");
              }).starts_with("StopIteration"));
        CHECK_THROWS_AS(dict.call<mp::RemoteProxy>("keys"), mp::TypeError);
        CHECK_THROWS_AS(dict.call<int>("__iter__"), mp::TypeError);

        const auto space = manager.get<mp::RemoteNamespace>("Namespace");
        space.set("rate", 0.5);
        space.set("name", "x");
        CHECK(space.get<double>("rate") == 0.5);
        CHECK(space.str() == "Namespace(name='x', rate=0.5)");
        CHECK(space.has("name"));
        space.del("name");
        CHECK_FALSE(space.has("name"));
        CHECK_THROWS_AS(space.get<int>("name"), mp::KeyError);

        const auto value = manager.get<mp::RemoteValue<int>>("Value", "i", 3);
        value.set(value.get() + 1);
        CHECK(value.get() == 4);
        CHECK(value.str() == "Value('i', 4)");

        const mp::RemoteLock lock = manager.get<mp::RemoteLock>("Lock");
        {
            const std::scoped_lock guard(lock);
            CHECK_FALSE(lock.acquire(false));
            CHECK_FALSE(lock.acquire(true, 0.01));
        }
        CHECK(lock.try_lock());
        lock.release();

        const auto event = manager.get<mp::RemoteEvent>("Event");
        CHECK_FALSE(event.wait(0.01));
        std::thread setter([&] { event.set(); });
        CHECK(event.wait());
        setter.join();
        event.clear();
        CHECK_FALSE(event.is_set());

        const auto queue = manager.get<mp::RemoteQueue<int>>("JoinableQueue", 1);
        queue.put(1);
        CHECK_THROWS_AS(queue.put(2, true, 0.01), mp::Full);
        CHECK(queue.full());
        CHECK(queue.get() == 1);
        queue.task_done();
        queue.join();
        CHECK_THROWS_AS(queue.task_done(), mp::ValueError);
    }
    CHECK(manager.number_of_objects() == 0);
}

TEST_CASE("A proxy can be an item of a remote container", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    mp::SyncManager manager;
    manager.start();
    const auto queue = manager.get<mp::RemoteQueue<mp::RemoteProxy>>("Queue");
    const auto list = manager.get<mp::RemoteList<int>>("list", std::vector{1});
    queue.put(list);
    const mp::RemoteList<int> same = queue.get();
    CHECK(same == list);
    same.append(2);
    CHECK(list.size() == 2);
}

TEST_CASE("Clients that are killed leave nothing in the server", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    for (const Address& address : support::server_addresses()) {
        mp::SyncManager manager(address, {.authkey = "secret"});
        manager.start();
        const auto mine = manager.get("list");
        {
            const mp::Event ready;
            support::Child<mp::start_method::fork> client(hold_proxies, manager.address(), ready);
            REQUIRE(ready.wait(30));
            // Its copy of `mine` has a reference of its own, but is no object more.
            CHECK(manager.number_of_objects() == 4);
            client.kill();
            CHECK(support::eventually([&] { return manager.number_of_objects() == 1; }));
        }
        support::Random random(1);
        for (int round = 0; round < (support::sanitized ? 5 : 20); ++round) {
            support::Child<mp::start_method::fork> a(make_and_drop, manager.address(), random());
            support::Child<mp::start_method::fork> b(make_and_drop, manager.address(), random());
            ::usleep(random() % 30'000);
        }
        CHECK(support::eventually([&] { return manager.number_of_objects() == 1; }));
        CHECK(mine.str() == "[]");
    }
}

TEST_CASE("An item that a killed client waited for goes to another one", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    mp::SyncManager manager({}, {.authkey = "secret"});
    manager.start();
    const auto queue = manager.get<mp::RemoteQueue<int>>("Queue");
    const mp::Event ready;
    const auto wait_for_item = [](mp::RemoteQueue<int> from, mp::Event event) {
        event.set();
        (void)from.get();
    };
    for (int round = 0; round < 5; ++round) {
        ready.clear();
        support::Child<mp::start_method::fork> client(wait_for_item, queue, ready);
        REQUIRE(ready.wait(30));
        ::usleep(20'000);
        client.kill();
        queue.put(round);
        CHECK(queue.get(true, 20) == round);
    }
}

TEST_CASE("Locks that a killed client had are released", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const Address& address : support::server_addresses()) {
        mp::SyncManager manager(address, {.authkey = "secret"});
        manager.start();
        const auto lock = manager.get<mp::RemoteLock>("Lock");
        const auto recursive = manager.get<mp::RemoteLock>("RLock");
        const auto semaphore = manager.get<mp::RemoteLock>("BoundedSemaphore", 2);
        const mp::Event ready;
        const auto hold = [&] {
            (void)lock.acquire();
            (void)recursive.acquire();
            (void)recursive.acquire();
            (void)semaphore.acquire();
            (void)semaphore.acquire();
            semaphore.release();
            ready.set();
            for (;;) ::pause();
        };
        support::Child<mp::start_method::fork> client(hold);
        REQUIRE(ready.wait(30));
        CHECK_FALSE(lock.acquire(false));
        CHECK_FALSE(recursive.acquire(false));
        CHECK(semaphore.acquire(false));
        CHECK_FALSE(semaphore.acquire(false));
        client.kill();
        CHECK(lock.acquire(true, 20));
        CHECK(recursive.acquire(true, 20));
        CHECK(semaphore.acquire(true, 20));
        semaphore.release();
        semaphore.release();
        CHECK_THROWS_AS(semaphore.release(), mp::ValueError);
        lock.release();
        recursive.release();
    }
}

TEST_CASE("Clients of a server that is killed get an error", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    mp::SyncManager manager({}, {.authkey = "secret"});
    manager.start();
    const auto queue = manager.get<mp::RemoteQueue<int>>("Queue");
    const auto pid = mp::active_children().at(0).pid();
    std::thread killer([&] {
        ::usleep(50'000);
        ::kill(pid, SIGKILL);
    });
    bool failed = false;
    try {
        (void)queue.get();
    } catch (const mp::EOFError&) {
        failed = true;
    } catch (const std::system_error& error) {
        failed = error.code() == std::errc::connection_reset;
    }
    killer.join();
    CHECK(failed);
    REQUIRE(manager.join(30));
    CHECK_THROWS_AS(queue.qsize(), std::system_error);
    manager.shutdown();
    CHECK_FALSE(std::filesystem::exists(manager.address().path()));
}

TEST_CASE("A request that cannot be read is answered, and the connection goes on", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    mp::SyncManager manager({}, {.authkey = "secret"});
    manager.start();
    const auto list = manager.get<mp::RemoteList<int>>("list");
    using Reply = std::pair<std::string, mp::pickle::object>;
    const auto kind_of = [](mp::Connection& connection, std::string_view bytes) {
        connection.send_bytes(bytes);
        return mp::pickle::loads<Reply>(connection.recv_bytes()).first;
    };
    const std::string good = mp::pickle::dumps(
        std::tuple(list.id(), "__len__", std::tuple<>(), std::map<std::string, int>()));
    std::vector<std::string> bad{
        "",
        "x",
        "\x80\x04N.",
        "cos\nsystem\n(S'true'\ntR.",
        mp::pickle::dumps(1),
        mp::pickle::dumps(std::tuple(1, 2)),
        mp::pickle::dumps(std::tuple(1, 2, 3, 4)),
        mp::pickle::dumps(std::tuple(list.id(), "append", 3, 4)),
        mp::pickle::dumps(
            std::tuple("none", "append", std::tuple(1), std::map<std::string, int>())),
        mp::pickle::dumps(
            std::tuple(list.id(), "__class__", std::tuple<>(), std::map<std::string, int>())),
        std::string(100'000, '(')};
    for (std::size_t size = 1; size < good.size(); ++size) bad.push_back(good.substr(0, size));
    for (const std::string& bytes : bad) {
        auto first = Client(manager.address(), {.authkey = "secret"});
        CHECK(kind_of(first, bytes) == "#TRACEBACK");
    }
    auto served = Client(manager.address(), {.authkey = "secret"});
    CHECK(kind_of(served,
                  mp::pickle::dumps(std::tuple(nullptr, "accept_connection", std::tuple("test"),
                                               std::map<std::string, int>()))) == "#RETURN");
    for (const std::string& bytes : bad) {
        CHECK(kind_of(served, bytes) == "#TRACEBACK");
        CHECK(kind_of(served, good) == "#RETURN");
    }
    const std::string wrong_name = mp::pickle::dumps(
        std::tuple(list.id(), "append", std::tuple(1), std::map<std::string, int>{{"x", 1}}));
    CHECK(kind_of(served, wrong_name) == "#ERROR");
    const auto lock = manager.get("Lock");
    CHECK(kind_of(served, mp::pickle::dumps(std::tuple(lock.id(), "#GETVALUE", std::tuple<>(),
                                                       std::map<std::string, int>()))) ==
          "#UNSERIALIZABLE");
    // Messages of random bytes, and good ones of which some bytes are others.
    support::Random random(7);
    for (int round = 0; round < 2000; ++round) {
        std::string bytes = random() % 2 != 0 ? good : std::string(random() % 40, '\0');
        for (unsigned n = 1 + random() % 4; n != 0 && !bytes.empty(); --n) {
            bytes[random() % bytes.size()] = static_cast<char>(random());
        }
        (void)kind_of(served, bytes);
    }
    CHECK(kind_of(served, good) == "#RETURN");
}
