// remote/managers: clients that are killed while they wait for something in a server, and proxies
// that lie in its containers. SPDX-License-Identifier: MIT
#include <multiprocessing/remote.hpp>

#include <atomic>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/remote/managers.hpp"

namespace {

using Fork = mp::start_method::fork;

/// A manager whose objects the family has too: Python's clients get the same ones.
struct Shared {
    mp::Condition condition{};
    mp::Barrier barrier{2};
    mp::Queue<std::string> queue{};
    mp::Lock lock{};
    mp::BaseManager manager;

    explicit Shared(const Address& address) : manager(address, {.authkey = "secret"}) {
        manager.register_function("get_condition", [c = condition] { return c; });
        manager.register_function("get_barrier", [b = barrier] { return b; });
        manager.register_function("get_queue", [q = queue] { return q; });
        manager.register_function("get_lock", [l = lock] { return l; });
        manager.start();
        server = mp::active_children().at(0).pid();
        threads_before = threads();
    }
    /// Returns how many threads the server has.
    [[nodiscard]] std::ptrdiff_t threads() const {
        const std::filesystem::directory_iterator tasks("/proc/" + std::to_string(server) +
                                                        "/task");
        return std::distance(begin(tasks), end(tasks));
    }
    /// Returns whether all threads for clients end.
    [[nodiscard]] bool threads_end() const {
        // ThreadSanitizer starts one of its own, with the first.
        constexpr int others = support::sanitized ? 1 : 0;
        return support::eventually([&] { return threads() <= threads_before + others; });
    }

    int server = 0;
    std::ptrdiff_t threads_before = 0;
};

/// Python's side of the waits. `what` it waits for stands in front.
constexpr const char* waiter_in_python = R"(
from multiprocessing.managers import AcquirerProxy, BarrierProxy, ConditionProxy
class M(BaseManager): pass
M.register('get_condition', proxytype=ConditionProxy)
M.register('get_barrier', proxytype=BarrierProxy)
M.register('get_queue')
M.register('get_lock', proxytype=AcquirerProxy)
m = M(address, b'secret')
m.connect()
if what == 'condition':
    c = m.get_condition()
    c.acquire()
    say('ready')
    c.wait()
elif what == 'barrier':
    b = m.get_barrier()
    say('ready')
    b.wait()
elif what == 'queue':
    q = m.get_queue()
    say('ready')
    q.get()
else:
    l = m.get_lock()
    say('ready')
    l.acquire()
)";

/// Checks that a client which is killed in a wait costs others nothing. `start(what)` starts one
/// that waits for `what`, and returns when it is about to; `kill()` kills it.
template <class Start, class Kill>
void check_waits(const Shared& shared, Start start, Kill kill) {
    {
        INFO("Condition.wait");
        start("condition");
        shared.condition.acquire();  // when the first one waits
        shared.condition.release();
        std::atomic<bool> waits{false};
        bool notified = false;
        std::thread second([&] {
            shared.condition.acquire();
            waits = true;
            notified = shared.condition.wait(30);
            shared.condition.release();
        });
        REQUIRE(support::eventually([&] { return waits.load(); }));
        shared.condition.acquire();
        kill();
        shared.condition.notify();  // for one: not for the one that is gone
        shared.condition.release();
        second.join();
        CHECK(notified);
        CHECK(shared.threads_end());
        CHECK(shared.condition.acquire(true, 20));
        shared.condition.release();
    }
    {
        INFO("Barrier.wait");
        start("barrier");
        REQUIRE(support::eventually([&] { return shared.barrier.n_waiting() == 1; }));
        kill();
        CHECK(support::eventually([&] { return shared.barrier.broken(); }));
        CHECK(shared.threads_end());
        shared.barrier.reset();
    }
    {
        INFO("Queue.get");
        start("queue");
        ::usleep(20'000);
        kill();
        shared.queue.put("item");
        CHECK(shared.threads_end());
        CHECK(shared.queue.get(true, 20) == "item");
    }
    {
        INFO("Lock.acquire");
        shared.lock.acquire();
        start("lock");
        ::usleep(20'000);
        kill();
        CHECK(shared.threads_end());
        shared.lock.release();
        CHECK(shared.lock.acquire(true, 20));
        shared.lock.release();
    }
}

void wait_for(const Address& address, const std::string& what, const mp::Event& ready) {
    mp::BaseManager client(address, {.authkey = "secret"});
    client.connect();
    const auto proxy = client.get("get_" + what);
    if (what == "condition") proxy.call("acquire");
    ready.set();
    if (what == "queue") proxy.call<std::string>("get");
    if (what == "lock") proxy.call("acquire");
    if (what == "condition" || what == "barrier") proxy.call("wait");
}

}  // namespace

TEST_CASE("A client that is killed in a wait costs others nothing", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    for (const Address& address : support::server_addresses()) {
        const Shared shared(address);
        std::optional<support::Child<Fork>> client;
        const auto start = [&](const std::string& what) {
            const mp::Event ready;
            client.emplace(wait_for, shared.manager.address(), what, ready);
            REQUIRE(ready.wait(30));
        };
        check_waits(shared, start, [&] { client->kill(); });
    }
}

TEST_CASE("A client in Python that is killed in a wait costs others nothing",
          "[managers][python]") {
    const NothingLeft check;
    const Watchdog watchdog(240);
    for (const std::string& python : every_python()) {
        for (const Address& address : support::server_addresses()) {
            INFO(python << (address.is_tcp() ? " tcp" : " unix"));
            const Shared shared(address);
            std::optional<ManagerClient> client;
            const auto start = [&](const std::string& what) {
                client.emplace(python, "what = '" + what + "'\n" + waiter_in_python,
                               shared.manager.address());
                REQUIRE(client->line() == "ready");
            };
            check_waits(shared, start, [&] { client->kill(); });
        }
    }
}

TEST_CASE("An object lives as long as a proxy of it lies in a container", "[managers]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    using List = mp::RemoteList<int>;
    for (const Address& address : support::server_addresses()) {
        mp::SyncManager manager(address);  // a proxy in a value is reached by this process's key
        manager.start();
        const auto dict = manager.get<mp::RemoteDict<std::string, List>>("dict");
        dict.set("a", manager.get<List>("list", std::vector{1}));
        CHECK(manager.number_of_objects() == 2);
        dict.at("a").append(2);
        CHECK(dict.at("a").to_vector() == std::vector{1, 2});
        CHECK(manager.number_of_objects() == 2);
        {
            const List out = dict.pop("a");  // it goes over to the client
            CHECK(out.to_vector() == std::vector{1, 2});
        }
        CHECK(manager.number_of_objects() == 1);

        const auto queue = manager.get<mp::RemoteQueue<List>>("Queue");
        queue.put(manager.get<List>("list", std::vector{3}));
        CHECK(queue.get().to_vector() == std::vector{3});
        CHECK(manager.number_of_objects() == 2);

        const auto outer = manager.get<mp::RemoteList<mp::RemoteProxy>>("list");
        for (int level = 0; level < 20; ++level) {
            const auto next = manager.get<mp::RemoteList<mp::RemoteProxy>>("list");
            if (level != 0) next.append(outer.at(0));
            if (level != 0) (void)outer.pop();
            outer.append(next);
        }
        CHECK(manager.number_of_objects() == 2 + 1 + 20);
        outer.call("clear");
        CHECK(manager.number_of_objects() == 2 + 1);
    }
}

TEST_CASE("Proxies that Python puts into a container keep their objects", "[managers][python]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    const std::string script = R"(
m = SyncManager(address, b'secret')
m.connect()
d = m.dict()
d['a'] = m.list([1])
d['a'].append(2)
say(d['a'][1], m._number_of_objects())
l = d.pop('a')
say(l[1], m._number_of_objects())
del l
say(m._number_of_objects())
)";
    for (const std::string& python : every_python()) {
        INFO(python);
        mp::SyncManager manager({}, {.authkey = "secret"});
        manager.start();
        ManagerClient client(python, script, manager.address());
        CHECK(client.line() == "2 2");
        CHECK(client.line() == "2 2");
        CHECK(client.line() == "1");
        CHECK(client.join() == 0);
    }
}
