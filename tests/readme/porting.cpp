// The porting table of examples/python/README.md, line by line: what stands in its second column
// does what Python's name in the first one does. The lines of remote.hpp are not here; tests/remote
// has them.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace mp = multiprocessing;

namespace {

int mistakes = 0;

// Says which claim does not hold, and goes on.
#define CLAIM(...)                                                                \
    do {                                                                          \
        if (!(__VA_ARGS__)) {                                                     \
            std::printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
            ++mistakes;                                                           \
        }                                                                         \
    } while (false)

#define CLAIM_THROWS(Error, ...)            \
    do {                                    \
        bool thrown = false;                \
        try {                               \
            static_cast<void>(__VA_ARGS__); \
        } catch (const Error&) {            \
            thrown = true;                  \
        }                                   \
        CLAIM(thrown);                      \
    } while (false)

struct Point {
    int x, y;
};
int square(int x) { return x * x; }
int add(int x, int y) { return x + y; }
void nothing() {}
void init(int) {}
void leave(int code) { mp::exit(code); }
void put_name(mp::Queue<std::string> names) { names.put(mp::current_process().name()); }
struct W {
    mp::Queue<int> q;
    mp::Queue<std::string> names;

    void run() {
        q.put(7);
        names.put(mp::current_process().name());
    }
};
struct Subclass : mp::ForkProcess {
    explicit Subclass(mp::Queue<int> queue) : q(std::move(queue)) {}
    void run() override { q.put(8); }
    mp::Queue<int> q;
};
void look_at_parent() {
    const auto parent = mp::parent_process();
    const bool right = parent->name() == "MainProcess" && parent->is_alive() && !parent->join(0) &&
                       mp::connection::wait({*parent}, 0).empty();
    mp::exit(right ? 4 : 5);
}
int loaded = 0;
void load(int x) { loaded = x; }
void leave_with_loaded() { mp::exit(loaded); }
void die_with(mp::Lock lock) {
    static_cast<void>(lock.acquire());
    std::abort();
}
struct Unknown {};
int fail_strangely() { throw Unknown{}; }
[[noreturn]] void refuse_to_begin() { throw mp::ValueError("no"); }
void sleep_on() { std::this_thread::sleep_for(std::chrono::hours(1)); }
int die() { std::abort(); }
int fail(int x) { throw mp::ValueError("no " + std::to_string(x)); }

static_assert(std::is_base_of_v<mp::ProcessError, mp::AuthenticationError> &&
              std::is_base_of_v<mp::ProcessError, mp::BufferTooShort> &&
              std::is_base_of_v<mp::ProcessError, mp::TimeoutError>);

void processes() {
    mp::Queue<std::string> names;
    mp::Process p({.name = "w", .daemon = true}, put_name, names);
    CLAIM(p.name() == "w" && p.daemon() && !p.pid() && !p.exitcode() && !p.ident());
    CLAIM_THROWS(mp::AssertionError, p.join());
    p.set_name("v");
    p.start();
    CLAIM(p.pid() && p.ident() == p.pid() && p.sentinel() >= 0);
    p.join();
    CLAIM(names.get() == "v" && !p.is_alive() && p.exitcode() == 0);
    CLAIM(p.authkey() == mp::current_process().authkey());
    mp::Process moved = std::move(p);
    moved.close();
    CLAIM_THROWS(mp::ValueError, moved.join());

    mp::Queue<int> q;
    mp::Process w(W{q, names});
    w.start();
    w.join();
    CLAIM(q.get() == 7 && names.get().starts_with("W-"));
    static_assert(
        !std::is_constructible_v<mp::SpawnProcess, void (*)(int), std::reference_wrapper<int>>);

    Subclass subclass(q);
    subclass.start();
    subclass.join();
    CLAIM(q.get() == 8);

    mp::Process left(leave, 3), sleeper(sleep_on), killed(sleep_on), interrupted(sleep_on);
    left.start(), sleeper.start(), killed.start(), interrupted.start();
    CLAIM(!sleeper.join(0.01) && sleeper.is_alive());
    CLAIM(mp::active_children().size() >= 3);
    sleeper.terminate(), killed.kill(), interrupted.interrupt();
    left.join(), sleeper.join(), killed.join(), interrupted.join();
    CLAIM(left.exitcode() == 3 && sleeper.exitcode() == -15 && killed.exitcode() == -9);
    CLAIM(interrupted.exitcode() == -2);
    mp::Process here(square, 1);
    here.run();
    CLAIM(!here.is_alive());
    CLAIM(!mp::current_process().exitcode() && mp::current_process().is_alive());
    CLAIM(mp::current_process().name() == "MainProcess" && !mp::parent_process());
    mp::Process curious(look_at_parent);
    curious.start();
    curious.join();
    CLAIM(curious.exitcode() == 4);
    CLAIM(mp::cpu_count() >= mp::process_cpu_count() && mp::process_cpu_count() >= 1);
}

void queues_and_pipes() {
    mp::Queue<int> q(2);
    q.put(1), q.put_many(std::vector{2});
    CLAIM(q.qsize() == 2 && q.full() && !q.empty());
    CLAIM_THROWS(mp::Full, q.put(3, false));
    CLAIM(q.get_many(5) == std::vector{1, 2});
    CLAIM_THROWS(mp::Empty, q.get_nowait());
    q.shutdown();
    CLAIM_THROWS(mp::ShutDown, q.put(1));
    q.close(), q.join_thread(), q.cancel_join_thread();
    mp::Queue<int> batched;
    batched.put_many(std::vector{1, 2, 3});
    batched.shutdown();
    std::size_t count = 0;
    for (const std::vector<int>& batch : batched.batches(2)) count += batch.size();
    CLAIM(count == 3);
    mp::JoinableQueue<int> tasks;
    tasks.put(1), static_cast<void>(tasks.get()), tasks.task_done(), tasks.join();
    mp::SimpleQueue<int> simple;
    simple.put(4);
    CLAIM(simple.get() == 4 && simple.empty());

    auto [a, b] = mp::Pipe();
    a.send(std::string("text"));
    CLAIM(b.poll() && b.recv<std::string>() == "text");
    a.send_bytes("0123456789");
    std::vector<std::byte> small(2);
    try {
        b.recv_bytes_into(small);
        CLAIM(false && "BufferTooShort");
    } catch (const mp::BufferTooShort& error) {
        CLAIM(error.message().size() == 10);
    }
    mp::Process p(nothing);
    p.start();
    p.join();
    CLAIM(mp::connection::wait({a, p}).size() == 1);
    b.close();
    CLAIM_THROWS(mp::EOFError, a.recv<int>());
    CLAIM_THROWS(std::system_error, a.send(1));
    auto [reader, writer] = mp::Pipe(false);
    writer.send(5);
    CLAIM(!reader.writable() && !writer.readable() && reader.recv<int>() == 5);

    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    mp::Queue<mp::Handle> handles;
    handles.put(mp::Handle(fd));
    CLAIM(handles.get().fileno() >= 0);
}

void locks_and_values() {
    mp::Lock lock;
    mp::RLock rlock;
    mp::Semaphore semaphore(1);
    mp::BoundedSemaphore bounded(1);
    mp::Condition condition;
    mp::Event event;
    mp::Barrier barrier(1, mp::partial(init, 1));
    {
        const std::scoped_lock guard(lock, rlock, semaphore, bounded, condition);
        CLAIM(!lock.acquire(false) && semaphore.get_value() == 0);
    }
    CLAIM_THROWS(mp::ValueError, bounded.release());
    CLAIM(barrier.wait() == 0 && !event.wait(0.01));
    mp::Process dying(die_with, lock);
    dying.start();
    dying.join();
    CLAIM_THROWS(mp::AbandonedError, lock.acquire());
    lock.recover();
    lock.release();

    mp::Value<int> v(0);
    mp::Value<Point> point({1, 2});
    v.value += 1;
    int copy = v.value;
    CLAIM(copy == 1 && point.get_obj().y == 2);
    mp::Value<double> nine(9);
    mp::Value<int> four(4);
    CLAIM(std::sqrt(nine.value) == 3 && std::sqrt(four.value.load()) == 2);
    mp::Value<int> synchronized(0, lock);
    CLAIM(synchronized.get_lock() == lock);
    mp::Array<double> a(10);
    a[2] = 0.5;
    CLAIM(a.slice(1, 3) == std::vector{0.0, 0.5} && a.get_obj()[2] == 0.5);
    CLAIM(a.get_lock().acquire());
    a.get_lock().release();
    mp::RawValue<int> raw(3);
    mp::RawArray<int> raw_array({1, 2, 3});
    mp::RawArray<double> huge({.huge_pages = true}, 10);
    CLAIM(raw.value == 3 && raw_array[2] == 3 && huge.size() == 10);
    raw_array.freeze();
}

void contexts() {
    auto ctx = mp::get_context<"spawn">();
    CLAIM(ctx.get_start_method() == "spawn" && !mp::get_start_method().empty());
    const auto methods = mp::get_all_start_methods();
    CLAIM(std::find(methods.begin(), methods.end(), "forkserver") != methods.end());
    CLAIM(mp::get_context<"serial">().Pool(2).map(square, std::vector{2}) == std::vector{4});
    mp::set_forkserver_preload(load, 6);
    mp::ForkServerProcess served(leave_with_loaded);
    served.start();
    served.join();
    CLAIM(served.exitcode() == 6 && loaded == 0);
    mp::ForkProcess forked(nothing);
    static_cast<void>(mp::ForkContext());
    mp::dummy::Pool threads(2);
    CLAIM(threads.map(square, std::vector{3}) == std::vector{9});
    auto threads_of_context = mp::dummy::get_context<"spawn">().Pool(2);
    CLAIM(threads_of_context.map(square, std::vector{4}) == std::vector{16});
}

void logs() {
    mp::Queue<mp::LogRecord> records;
    std::vector<std::string> lines;
    mp::QueueListener listener(records,
                               [&](const mp::LogRecord& r) { lines.push_back(mp::json_line(r)); });
    mp::get_logger().set_handler(mp::QueueHandler(records));
    listener.start();
    {
        const mp::LogFields fields{{"id", "1"}};
        mp::get_logger().warning("{} left", 3);
    }
    listener.stop();
    mp::get_logger().set_handler(nullptr);
    CLAIM(lines.size() == 1 && lines[0].find("\"id\"") != std::string::npos);
    CLAIM(mp::log_to_stderr(mp::ERROR).level() == mp::ERROR);
    CLAIM(mp::SUBDEBUG < mp::DEBUG && mp::SUBWARNING < mp::WARNING);
    mp::get_logger().sub_debug("not seen"), mp::get_logger().sub_warning("not seen");
}

void pools() {
    mp::Pool pool({.processes = 2, .maxtasksperchild = 9}, init, 1);
    const std::vector xs{1, 2, 3};
    CLAIM(pool.map(square, xs) == std::vector{1, 4, 9});
    CLAIM(pool.starmap(add, {{1, 2}, {3, 4}}) == std::vector{3, 7});
    CLAIM(pool.apply(add, 1, 2) == 3);
    std::set<int> unordered;
    for (int x : pool.imap_unordered(square, xs)) unordered.insert(x);
    CLAIM(unordered == std::set{1, 4, 9});
    auto stream = pool.imap(square, xs);
    CLAIM(stream.next(60) == 1 && stream.next(60) == 4 && stream.next(60) == 9 && !stream.next(60));
    CLAIM_THROWS(mp::WorkerLost, pool.apply(die));
    CLAIM_THROWS(mp::ValueError, pool.map(fail, xs));
    try {
        pool.apply(fail_strangely);
        CLAIM(false && "RemoteError");
    } catch (const mp::RemoteError& error) {
        CLAIM(error.type_name().find("Unknown") != std::string::npos);
    }

    std::atomic<int> called{0};
    mp::AsyncResult<int> one =
        pool.apply_async({.callback = [&](int x) { called += x; }}, add, 1, 2);
    auto many =
        pool.map_async(square, xs, {.callback = [&](const auto& all) { called += all[2]; }});
    CLAIM(one.get(60) == 3 && many.get(60)[1] == 4 && one.ready() && one.successful());
    CLAIM(!one.cancel() && pool.starmap_async(add, std::vector{std::pair{1, 2}}).get(60)[0] == 3);
    pool.close();
    pool.join();
    CLAIM(called == 12);
    CLAIM_THROWS(mp::ValueError, pool.apply(square, 1));
    mp::Pool stuck(1);
    mp::AsyncResult<void> never = stuck.apply_async(sleep_on);
    CLAIM_THROWS(mp::ValueError, never.successful());
    never.wait(0.01);
    CLAIM_THROWS(mp::TimeoutError, never.get(0.01));
    stuck.terminate();
    stuck.join();
    CLAIM_THROWS(mp::CancelledError, never.get(60));
    mp::Pool as_many_as_cores;
    CLAIM(as_many_as_cores.stats().workers.size() ==
          static_cast<std::size_t>(mp::process_cpu_count()));
    mp::ThreadPool threads(2);
    CLAIM(threads.map([&](int x) { return x + called; }, xs) == std::vector{13, 14, 15});
}

void managers() {
    mp::Manager manager;
    auto d = manager.dict<std::string, int>({{"a", 1}});
    d["a"] += 1;
    CLAIM(d.contains("a") && d["a"] == 2);
    d.erase("a");
    auto l = manager.list<int>({1});
    l.append(2);
    int sum = 0;
    for (int x : l) sum += x;
    CLAIM(d.empty() && sum == 3);
    auto ns = manager.Namespace();
    ns.set("x", 1);
    CLAIM(ns.get<int>("x") == 1);
    mp::Queue<int> q = manager.Queue<int>(1);
    mp::Lock lock = manager.Lock();
    mp::Value<int> v = manager.Value<int>(2);
    CLAIM(v.value == 2 && lock.acquire() && q.empty());
    static_assert(std::is_same_v<decltype(d), mp::DictProxy<std::string, int>> &&
                  std::is_same_v<decltype(l), mp::ListProxy<int>> &&
                  std::is_same_v<decltype(ns), mp::NamespaceProxy>);
    mp::RLock rlock = manager.RLock();
    mp::Semaphore semaphore = manager.Semaphore(1);
    mp::BoundedSemaphore bounded = manager.BoundedSemaphore(1);
    mp::Condition condition = manager.Condition();
    mp::Event event = manager.Event();
    mp::Barrier barrier = manager.Barrier(1);
    mp::JoinableQueue<int> joinable = manager.JoinableQueue<int>(1);
    mp::Array<int> array = manager.Array<int>({1, 2});
    event.set();
    CLAIM(rlock.acquire() && semaphore.acquire() && bounded.acquire() && condition.acquire());
    CLAIM(event.is_set() && barrier.wait() == 0 && joinable.empty() && array[1] == 2);
    CLAIM(manager.Pool(1).apply(square, 3) == 9);
    manager.shutdown();
    CLAIM_THROWS(mp::ValueError, l.append(1));
}

void shared_memory() {
    mp::SharedMemoryManager manager;
    mp::shared_memory::SharedMemory block = manager.SharedMemory(9);
    mp::shared_memory::SharedMemory same({.name = block.name()});
    block.buf()[0] = std::byte{1};
    CLAIM(block.size() == 9 && same.buf()[0] == std::byte{1});
    auto l = manager.ShareableList({1, "a"});
    mp::shared_memory::ShareableList attached(
        mp::shared_memory::ShareableListOptions{l.shm().name()});
    CLAIM(attached.get<int>(0) == 1 && attached.get<std::string>(1) == "a");
    const std::string name = block.name() + "_of_a_test";
    mp::shared_memory::SharedMemory named({.name = name, .create = true, .size = 9});
    CLAIM(named.name() == name && named.size() == 9);
    named.unlink();
}

void others() {
    int ran = 0;
    {
        mp::util::Finalize finalizer([&] { ++ran; }, {.exitpriority = 10});
        finalizer();
        finalizer();
    }
    CLAIM(ran == 1);
    mp::util::register_after_fork([] { loaded = 9; });
    mp::ForkProcess forked(leave_with_loaded);
    forked.start();
    forked.join();
    CLAIM(forked.exitcode() == 9 && loaded == 0);
}

void futures() {
    mp::ProcessPoolExecutor executor(2, init, 1);
    auto failed = executor.submit(fail, 1);
    CLAIM(failed.exception() != nullptr);
    mp::Future<int> future = executor.submit(add, 1, 2);
    std::atomic<bool> called = false;
    future.add_done_callback([&](const auto&) { called = true; });
    CLAIM(future.result(60) == 3 && future.done() && !future.running() && !future.cancelled());
    CLAIM(!future.cancel());
    std::vector<mp::Future<int>> all{executor.submit(square, 2), executor.submit(square, 3)};
    int sum = 0;
    for (const auto& f : mp::as_completed(all)) sum += f.result();
    for (const auto when : {mp::ALL_COMPLETED, mp::FIRST_COMPLETED, mp::FIRST_EXCEPTION}) {
        auto [done, not_done] = mp::wait(all, 60, when);
        CLAIM(sum == 13 && done.size() == 2 && not_done.empty());
    }
    sum = 0;
    for (int x : executor.map({.timeout = 60, .chunksize = 2, .buffersize = 4}, add,
                              std::vector{1, 2}, std::vector{3, 4}))
        sum += x;
    CLAIM(sum == 10);
    CLAIM_THROWS(mp::WorkerLost, executor.submit(die).result());
    CLAIM(executor.submit(square, 4).result() == 16);  // the pool is not broken
    executor.shutdown();
    CLAIM(called);
    mp::BasicProcessPoolExecutor<mp::start_method::fork> others(
        mp::PoolOptions{.processes = 1, .maxtasksperchild = 9});
    mp::Future<void> never = others.submit(sleep_on);
    others.terminate_workers();
    CLAIM_THROWS(mp::CancelledError, never.result(60));
    mp::ProcessPoolExecutor broken(1, refuse_to_begin);
    CLAIM_THROWS(mp::BrokenProcessPool, broken.submit(square, 1).result(60));
}

}  // namespace

int main() {
    mp::freeze_support();
    for (void (*part)() : {processes, queues_and_pipes, locks_and_values, contexts, logs, pools,
                           managers, shared_memory, others, futures}) {
        try {
            part();
        } catch (const std::exception& error) {
            std::printf("not so: %s\n", error.what());
            ++mistakes;
        }
    }
    return mistakes == 0 ? 0 : 1;
}
