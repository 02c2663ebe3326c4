// remote/managers with every Python of the machine on the other end, as server and as client.
// SPDX-License-Identifier: MIT
#include <multiprocessing/remote.hpp>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/remote/managers.hpp"

using Catch::Matchers::ContainsSubstring;

namespace {

using Texts = mp::RemoteQueue<std::string>;

constexpr const char* own_server = R"py(
import os
import threading
from multiprocessing.managers import BaseManager, DictProxy
class MyManager(BaseManager): pass
tasks = queue.Queue()
MyManager.register('Adder', Adder)
MyManager.register('get_queue', callable=lambda: tasks)
address = ('127.0.0.1', 0) if arguments[0] == 'tcp' else None
manager = MyManager(address, b'secret')
)py";
constexpr const char* sync_server = R"py(
from multiprocessing.managers import SyncManager
address = ('127.0.0.1', 0) if arguments[0] == 'tcp' else None
manager = SyncManager(address, b'secret')
)py";

std::string adder_server() { return std::string(support::adder_in_python) + own_server; }

}  // namespace

TEST_CASE("C++ uses a BaseManager of Python's", "[managers][python]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    for (const std::string& python : every_python()) {
        for (const bool tcp : {false, true}) {
            INFO(python << (tcp ? " tcp" : " unix"));
            PythonServer server(python, adder_server(), tcp);
            mp::BaseManager manager(server.address(), {.authkey = "secret"});
            manager.connect();
            const auto adder = manager.create("Adder", 40);
            CHECK(adder.call<double>("add", 2) == 42);
            CHECK(adder.call<std::vector<int>>("numbers", 2) == std::vector{7, 7});
            CHECK_THAT(adder.str(), ContainsSubstring("Adder object at"));
            CHECK(manager.number_of_objects() == 1);
            CHECK_THROWS_AS(adder.call("fail", "ValueError", "bad"), mp::ValueError);
            CHECK_THROWS_AS(adder.call("fail", "KeyError", "k"), mp::KeyError);
            CHECK_THROWS_AS(adder.call("fail", "IndexError", "i"), mp::IndexError);
            CHECK_THROWS_AS(adder.call("fail", "TypeError", "t"), mp::TypeError);
            CHECK_THROWS_AS(adder.call("fail", "Empty", ""), mp::Empty);
            CHECK(support::errno_of([&] { adder.call("fail", "OSError", "f"); }) == ENOENT);
            for (const std::string type : {"ZeroDivisionError", "Strange"}) {
                try {
                    adder.call("fail", type, "text of it");
                    FAIL_CHECK("nothing was thrown");
                } catch (const mp::RemoteError& error) {
                    CHECK_THAT(error.type_name(), Catch::Matchers::EndsWith(type));
                    CHECK(error.message() == "text of it");
                }
            }
            try {
                (void)manager.create("Unknown");
                FAIL_CHECK("nothing was thrown");
            } catch (const mp::RemoteError& error) {
                CHECK(error.type_name() == "KeyError");
                CHECK_THAT(error.message(), ContainsSubstring("Traceback"));
            }
            {
                const auto queue = manager.get<Texts>("get_queue");
                queue.put("ä");
                CHECK(queue.qsize() == 1);
                CHECK(queue.get() == "ä");
                CHECK_THROWS_AS(queue.get(true, 0.05), mp::Empty);
                CHECK(manager.number_of_objects() == 2);
            }
            CHECK(manager.number_of_objects() == 1);
            server.kill();
            CHECK_THROWS(adder.call("sum"));
        }
    }
}

TEST_CASE("C++ uses a SyncManager of Python's", "[managers][python]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    for (const std::string& python : every_python()) {
        INFO(python);
        PythonServer server(python, sync_server, false);
        mp::SyncManager manager(server.address(), {.authkey = "secret"});
        manager.connect();
        {
            const auto list = manager.get<mp::RemoteList<int>>("list", std::vector{3, 1, 2});
            list.sort();
            list.append(9);
            CHECK(list.to_vector() == std::vector{1, 2, 3, 9});
            CHECK(list[-1] == 9);
            CHECK_THROWS_AS(list.at(9), mp::IndexError);
            const auto dict = manager.get<mp::RemoteDict<std::string, int>>("dict");
            dict.set("b", 2);
            dict.update({{"a", 1}});
            CHECK(dict.items() == std::vector<std::pair<std::string, int>>{{"b", 2}, {"a", 1}});
            CHECK_THROWS_AS(dict.at("z"), mp::KeyError);
            const auto iterator = dict.call<mp::RemoteProxy>("__iter__");
            CHECK(iterator.call<std::string>("__next__") == "b");
            CHECK(iterator.type() == "Iterator");
            const auto space = manager.get<mp::RemoteNamespace>("Namespace");
            space.set("x", std::vector{1.5});
            CHECK(space.get<std::vector<double>>("x") == std::vector{1.5});
            CHECK_THROWS_AS(space.get<int>("y"), mp::KeyError);
            const auto value = manager.get<mp::RemoteValue<double>>("Value", "d", 0.5);
            value.set(1.5);
            CHECK(value.get() == 1.5);
            CHECK(value.repr() == "Value('d', 1.5)");
            const auto lock = manager.get<mp::RemoteLock>("Lock");
            {
                const std::scoped_lock guard(lock);
                CHECK_FALSE(lock.acquire(false));
                CHECK_FALSE(lock.acquire(true, 0.01));
            }
            const auto recursive = manager.get<mp::RemoteLock>("RLock");
            CHECK(recursive.acquire());
            CHECK(recursive.acquire());
            recursive.release();
            recursive.release();
            CHECK_THROWS_AS(recursive.release(), mp::RuntimeError);
            const auto event = manager.get<mp::RemoteEvent>("Event");
            CHECK_FALSE(event.wait(0.01));
            event.set();
            CHECK(event.wait());
            const auto queue = manager.get<mp::RemoteQueue<int>>("JoinableQueue", 1);
            queue.put(1);
            CHECK_THROWS_AS(queue.put_nowait(2), mp::Full);
            CHECK(queue.get() == 1);
            queue.task_done();
            queue.join();
        }
        CHECK(manager.number_of_objects() == 0);
    }
}

TEST_CASE("Python uses a BaseManager of C++", "[managers][python]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    for (const std::string& python : every_python()) {
        for (const Address& address : support::server_addresses()) {
            INFO(python << ' ' << text_of(address));
            const mp::Queue<std::string> queue;
            mp::BaseManager manager(address, {.authkey = "secret"});
            support::register_all(manager, queue);
            manager.register_function("crowd", [](int n, const std::string& name) {
                return std::make_shared<std::vector<std::string>>(std::size_t(n), name);
            });
            manager.start();
            ManagerClient client(python, R"py(
class MyManager(BaseManager): pass
MyManager.register('Adder')
MyManager.register('get_queue')
MyManager.register('crowd')
MyManager.register('unknown')
manager = MyManager(address, b'secret')
manager.connect()
adder = manager.Adder(40)
assert adder.add(2) == 42 and adder.sum() == 42.0
assert adder.numbers(2) == [7, 7]
assert 'Adder object at' in str(adder), str(adder)
def fails(type, f, *args):
    try: f(*args)
    except type as e: return str(e)
    except Exception as e: assert False, ('another', repr(e))
    assert False, 'nothing raised'
assert fails(ValueError, adder.fail, 'ValueError', 'bad') == 'bad'
assert fails(KeyError, adder.fail, 'KeyError', 'k')
assert fails(IndexError, adder.fail, 'IndexError', 'i') == 'i'
assert fails(queue.Empty, adder.fail, 'Empty', '') is not None
assert fails(ZeroDivisionError, adder.fail, 'ZeroDivisionError', 'by zero') == 'by zero'
assert fails(RuntimeError, adder.fail, 'other', 'text') == 'text'
try: adder.fail('OSError', 'f')
except FileNotFoundError as e: assert e.errno == 2
fails(TypeError, adder.add)
fails(TypeError, adder.add, 'x')
assert 'KeyError' in fails(RemoteError, manager.unknown)
assert 'AttributeError' in fails(RemoteError, adder._callmethod, 'nope')
assert manager.crowd(2, 'x')._getvalue() == ['x', 'x']
q = manager.get_queue()
assert q.empty() and q.qsize() == 0
q.put('\u00e4')
q.put(item='b', timeout=1)
assert q.get() == '\u00e4' and q.get(timeout=1) == 'b'
fails(queue.Empty, q.get_nowait)
fails(queue.Empty, q.get, True, 0.01)
fails(TypeError, q.put, 3)
q.put('for C++')
assert manager._number_of_objects() == 2, manager._debug_info()
assert 'refcount=1' in manager._debug_info()
del q, adder
import gc; gc.collect()
assert manager._number_of_objects() == 0, manager._debug_info()
say('done')
)py",
                                 manager.address());
            CHECK(client.line() == "done");
            CHECK(client.join() == 0);
            CHECK(queue.get(true, 10) == "for C++");
        }
    }
}

TEST_CASE("Python uses a SyncManager of C++ as its own", "[managers][python]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    for (const std::string& python : every_python()) {
        INFO(python);
        mp::SyncManager manager({}, {.authkey = "secret"});
        manager.start();
        ManagerClient client(python, R"py(
manager = SyncManager(address, b'secret')
manager.connect()
def fails(type, f, *args):
    try: f(*args)
    except type as e: return str(e)
    assert False, 'nothing raised'
l = manager.list([3, 1, 2])
l.sort()
l.append('x')
l += [None, 2.5]
assert l[:] == [1, 2, 3, 'x', None, 2.5] and l[-1] == 2.5 and l[1:3] == [2, 3] and len(l) == 6
assert l[::-2] == [2.5, 'x', 2] and l[10:] == []
l[1:3] = ['a', 'b', 'c']
assert l[:] == [1, 'a', 'b', 'c', 'x', None, 2.5]
del l[0], l[-1], l[1:3]
assert l._getvalue() == ['a', 'x', None] and str(l) == "['a', 'x', None]"
l *= 2
assert len(l) == 6 and l.count('a') == 2 and l.index('x') == 1 and 'x' in l
assert l.pop() is None and l.pop(0) == 'a'
l.insert(0, 'first'); l.remove('x'); l.reverse()
assert list(l) == ['x', 'a', None, 'first'], list(l)
assert l + [1] == ['x', 'a', None, 'first', 1]
l.extend((1, 2))
fails(IndexError, l.__getitem__, 100)
fails(ValueError, l.remove, 'nowhere')
fails(TypeError, l.sort)
d = manager.dict({'b': 1}, )
d['a'] = [1, {'x': (2, 3)}]
d[1] = b'bytes'
assert d.copy() == {'b': 1, 'a': [1, {'x': (2, 3)}], 1: b'bytes'}
assert list(d.keys()) == ['b', 'a', 1] and d[1.0] == b'bytes' and d[True] == b'bytes'
assert ('b', 1) in d.items() and 1 in d.values()
assert [k for k in d] == ['b', 'a', 1]
assert d.get('z') is None and d.get('z', 5) == 5 and d.pop('z', None) is None
assert d.setdefault('z') is None and d.popitem() == ('z', None)
d.update({'q': 1}); d.update([('r', 2)])
assert len(d) == 5 and 'q' in d and d.pop('q') == 1
del d['r']
fails(KeyError, d.__getitem__, 'r')
fails(TypeError, d.__setitem__, [1], 2)
assert str(manager.dict({'a': 1})) == "{'a': 1}"
d.clear()
ns = manager.Namespace()
ns.x = 1; ns.name = 'n'
assert ns.x == 1 and str(ns) == "Namespace(name='n', x=1)"
del ns.x
fails(AttributeError, getattr, ns, 'x')
v = manager.Value('i', 3)
v.value += 1
assert v.value == 4 and str(v) == "Value('i', 4)"
a = manager.Array('i', [1, 2, 3])
a[0] = 7
assert a[0] == 7 and len(a) == 3 and a[1:] is not None
lock = manager.Lock()
with lock: assert not lock.acquire(False)
assert lock.acquire(True, 0.1); lock.release()
r = manager.RLock()
with r:
    with r: pass
s = manager.Semaphore(2)
assert s.acquire() and s.acquire() and not s.acquire(False)
s.release(); s.release()
e = manager.Event()
assert not e.wait(0.01)
threading.Timer(0.05, e.set).start()
assert e.wait(10) and e.is_set()
c = manager.Condition()
def notify():
    with c: c.notify_all()
with c:
    t = threading.Timer(0.05, notify); t.start()
    assert c.wait(10)
t.join()
b = manager.Barrier(2)
t = threading.Thread(target=b.wait); t.start()
assert b.wait(10) in (0, 1) and b.parties == 2 and not b.broken
t.join()
q = manager.JoinableQueue(1)
q.put((1, 'x'))
assert q.full()
fails(queue.Full, q.put, 1, False)
assert q.get() == (1, 'x')
q.task_done(); q.join()
for v in ['hello world', None, True, 2.25, 'hall\u00e5 v\u00e4rlden', '\u043f\u0440\u0438', b'hall\xe5',
          2 ** 70, -2 ** 63, (1, [2.5, {3: {4}}]), frozenset([1]), bytearray(b'x'), 1j, 'x' * 10 ** 6]:
    q.put(v)
    w = q.get()
    assert w == v and type(w) is type(v), (v, w)
q.put(d)                        # a proxy as an item
d['nested'] = 1
same = q.get()
assert same.copy() == {'nested': 1}, same
del same
import multiprocessing
def child(q, d):
    d['child'] = os.getpid()
    q.put('from the child')
p = multiprocessing.get_context('fork').Process(target=child, args=(q, d))
p.start()
assert q.get() == 'from the child'
p.join()
assert d['child'] == p.pid
del l, d, ns, v, a, lock, r, s, e, c, b, q, p, t
import gc; gc.collect()
say('done', manager._number_of_objects())
)py",
                             manager.address());
        CHECK(client.line() == "done 0");
        CHECK(client.join() == 0);
    }
}

TEST_CASE("A Python client that is killed leaves nothing in a server of C++",
          "[managers][python]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    for (const std::string& python : every_python()) {
        for (const Address& address : support::server_addresses()) {
            INFO(python << ' ' << text_of(address));
            mp::SyncManager manager(address, {.authkey = "secret"});
            manager.start();
            ManagerClient one(python, R"py(
manager = SyncManager(address, b'secret')
manager.connect()
l, d, unused = manager.list([1]), manager.dict(), manager.Queue()
l.append(2)
manager.Lock().acquire()
say('ready')
manager.Queue().get()
)py",
                              manager.address());
            REQUIRE(one.line() == "ready");
            CHECK(support::eventually([&] { return manager.number_of_objects() >= 4; }));
            ManagerClient two(python, R"py(
manager = SyncManager(address, b'secret')
manager.connect()
l = manager.list([1])
say(len(l))
time.sleep(600)
)py",
                              manager.address());
            REQUIRE(two.line() == "1");
            one.kill();
            CHECK(support::eventually([&] { return manager.number_of_objects() <= 1; }));
            two.kill();
            CHECK(support::eventually([&] { return manager.number_of_objects() == 0; }));
        }
    }
}

TEST_CASE("Proxies travel between Python and C++ through a queue", "[managers][python]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    const std::string old = mp::current_process().authkey();
    mp::current_process().set_authkey("secret");
    for (const std::string& python : every_python()) {
        INFO(python);
        PythonServer server(python, sync_server, false);
        mp::SyncManager manager(server.address(), {.authkey = "secret"});
        manager.connect();
        {
            const auto queue = manager.get<mp::RemoteQueue<mp::RemoteProxy>>("Queue");
            const auto list = manager.get<mp::RemoteList<int>>("list", std::vector{1});
            queue.put(list);
            const mp::RemoteList<int> same = queue.get();
            same.append(2);
            CHECK(list.to_vector() == std::vector{1, 2});
        }
        server.kill();
    }
    mp::current_process().set_authkey(old);
}
