// The public interface as a program ported from Python uses it: the names, spellings and shapes
// that are promised, in one place. What each does is tested elsewhere.
// ALONE: g++ warns of a coroutine in the unnamed namespace of an included file
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <chrono>
#include <cmath>
#include <coroutine>
#include <mutex>
#include <ranges>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using support::Watchdog;

namespace {

double heavy_task(long n) {
    double sum = 0;
    for (long i = 1; i < n; ++i) sum += std::sqrt(static_cast<double>(i));
    return sum;
}
int add(int a, int b) { return a + b; }
int square(int x) { return x * x; }
void nothing() {}
void leave(int status) { mp::exit(status); }
void leave_when_told(mp::Event& told, int status) {
    told.wait();
    mp::exit(status);
}
void say_hello(mp::Connection connection, const std::string& name) {
    connection.send("hello " + name);
}
struct Scale {
    double factor;
    double operator()(double x) const { return factor * x; }
};
void set_up(int) {}

static_assert(mp::picklable<std::vector<std::pair<int, std::string>>> &&
              mp::picklable<mp::Connection> && !mp::picklable<int*>);
static_assert(mp::portable_callable<Scale> && mp::portable_callable<decltype(&square)>);
static_assert(!std::is_copy_constructible_v<mp::Connection> &&
              std::is_move_constructible_v<mp::Connection> &&
              std::is_move_constructible_v<mp::Process>);
static_assert(std::is_base_of_v<mp::ProcessError, mp::WorkerLost> &&
              std::is_base_of_v<mp::ProcessError, mp::TimeoutError> &&
              std::is_base_of_v<std::invalid_argument, mp::TypeError> &&
              std::is_base_of_v<std::out_of_range, mp::IndexError> &&
              std::is_base_of_v<std::logic_error, mp::AssertionError>);
static_assert(std::is_same_v<mp::typecode<'d'>, double> && std::is_same_v<mp::typecode<'i'>, int>);
static_assert(std::is_same_v<mp::ForkProcess, mp::BasicProcess<mp::start_method::fork>>);

/// A coroutine that begins at once and owns nothing.
struct Detached {
    struct promise_type {
        Detached get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };
};
Detached add_up(mp::ProcessPoolExecutor& executor, mp::Queue<int> results) {
    const int a = co_await executor.submit(square, 3);
    const int b = co_await executor.submit(square, 4);
    results.put(a + b);
}

}  // namespace

TEST_CASE("Processes as in Python", "[contract]") {
    const Watchdog watchdog(60);
    mp::Process process({.name = "worker", .daemon = true}, nothing);
    REQUIRE(process.name() == "worker");
    REQUIRE(process.daemon());
    REQUIRE(process.pid() == std::nullopt);
    process.start();
    REQUIRE(process.join(30s));
    REQUIRE(process.exitcode() == 0);
    REQUIRE_FALSE(process.is_alive());
    process.close();
    mp::Event may_leave;
    mp::Process leaver(leave_when_told, may_leave, 7);
    leaver.start();
    REQUIRE(mp::active_children().size() == 1);
    may_leave.set();
    leaver.join();
    REQUIRE(*leaver.exitcode() == 7);
    REQUIRE(mp::current_process().name() == "MainProcess");
    REQUIRE_FALSE(mp::parent_process().has_value());
    REQUIRE(mp::cpu_count() >= mp::process_cpu_count());
    REQUIRE(mp::get_all_start_methods()[0] == mp::get_start_method());
}

TEST_CASE("Every start method has its names", "[contract]") {
    const Watchdog watchdog(60);
    mp::set_forkserver_preload(nothing);
    mp::ForkProcess forked(leave, 1);
    mp::SpawnProcess spawned(leave, 2);
    mp::ForkServerProcess served(leave, 3);
    forked.start();
    spawned.start();
    served.start();
    forked.join();
    spawned.join();
    served.join();
    REQUIRE(forked.exitcode() == 1);
    REQUIRE(spawned.exitcode() == 2);
    REQUIRE(served.exitcode() == 3);
    static_assert(mp::ForkContext::get_start_method() == "fork");
    static_assert(mp::SpawnContext::get_start_method() == "spawn");
    static_assert(mp::ForkServerContext::get_start_method() == "forkserver");
    auto ctx = mp::get_context<"forkserver">();
    auto process = ctx.Process(leave, 4);
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 4);
    REQUIRE(ctx.Pool(2).map(square, {1, 2, 3})[2] == 9);
    REQUIRE(mp::get_context<"serial">().Pool(2).map(square, {1, 2, 3})[2] == 9);
    REQUIRE(mp::get_all_start_methods().size() == 3);
}

TEST_CASE("Pools and futures as in Python", "[contract]") {
    const Watchdog watchdog(60);
    mp::Pool pool(mp::PoolOptions{.processes = 2, .maxtasksperchild = 100, .retries = 1}, set_up,
                  1);
    const std::vector<double> sums = pool.map(heavy_task, std::vector<long>(4, 1'000));
    REQUIRE(sums[0] == sums[3]);
    REQUIRE(pool.starmap(add, {{1, 2}, {3, 4}}, 1) == std::vector<int>{3, 7});
    REQUIRE(pool.apply(add, 1, 2) == 3);
    REQUIRE(pool.map(mp::partial(add, 1), std::views::iota(0, 3)) == std::vector<int>{1, 2, 3});
    REQUIRE(pool.map(Scale{2}, {1.5})[0] == 3);
    const mp::AsyncResult<int> later = pool.apply_async(add, 2, 3);
    REQUIRE(later.get(30) == 5);
    REQUIRE(later.ready());
    REQUIRE(later.successful());
    int called = 0;
    pool.map_async(square, std::vector{1, 2},
                   {.chunksize = 1, .callback = [&](std::vector<int> list) { called += list[1]; }})
        .wait();
    pool.starmap_async(add, {{1, 2}}).get();
    pool.apply_async({.callback = [&](int result) { called += result; }}, square, 2).wait();
    int sum = 0;
    for (const int x : pool.imap(square, std::vector{1, 2, 3}, 2, 10)) sum += x;
    for (const int x : mp::progress(pool.imap_unordered(square, std::vector{1, 2, 3}),
                                    {.total = 3, .desc = "squares"})) {
        sum += x;
    }
    REQUIRE(sum == 28);
    auto stream = pool.imap(square, {5});
    REQUIRE(stream.next(30s) == 25);
    REQUIRE(stream.next() == std::nullopt);
    pool.close();
    pool.join();
    REQUIRE(called == 8);
    REQUIRE_THROWS_AS(pool.map(square, {1}), mp::ValueError);
    mp::ThreadPool threads(2);
    REQUIRE(threads.map([&](int x) { return x + called; }, {1}) == std::vector<int>{9});

    mp::ProcessPoolExecutor executor(2);
    const mp::Future<int> future = executor.submit(square, 7);
    REQUIRE(future.result(30) == 49);
    REQUIRE(future.exception() == nullptr);
    REQUIRE(future.done());
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 3; ++i) futures.push_back(executor.submit(square, i));
    int total = 0;
    for (const auto& done : mp::as_completed(futures)) total += done.result();
    const auto [done, not_done] = mp::wait(futures, 30, mp::ReturnWhen::ALL_COMPLETED);
    REQUIRE(total == 5);
    REQUIRE(done.size() == 3);
    REQUIRE(not_done.empty());
    for (const int x : executor.map(add, std::vector{1, 2}, std::vector{3, 4})) total += x;
    REQUIRE(total == 15);
    const mp::Queue<int> results;
    add_up(executor, results);
    REQUIRE(results.get(true, 30) == 25);
    executor.shutdown(true, false);
    REQUIRE_THROWS_AS(executor.submit(square, 1), mp::RuntimeError);
}

TEST_CASE("Queues and pipes as in Python", "[contract]") {
    const Watchdog watchdog(60);
    mp::Queue<std::string> queue(2);
    queue.put("a");
    queue.put("b", true, 0.5);
    REQUIRE_THROWS_AS(queue.put("c", false), mp::Full);
    REQUIRE(queue.get() == "a");
    REQUIRE(queue.get(true, 500ms) == "b");
    REQUIRE_THROWS_AS(queue.get_nowait(), mp::Empty);
    REQUIRE(queue.try_get() == std::nullopt);
    mp::JoinableQueue<int> joinable;
    joinable.put(1);
    joinable.get();
    joinable.task_done();
    joinable.join();
    mp::SimpleQueue<int> simple;
    REQUIRE(simple.empty());

    auto [parent, child] = mp::Pipe();
    mp::Process process(say_hello, std::move(child), "bob");
    process.start();
    REQUIRE(parent.poll(std::nullopt));
    REQUIRE(mp::connection::wait({mp::connection::Waitable(parent)}, 5).size() == 1);
    REQUIRE(parent.recv<std::string>() == "hello bob");
    REQUIRE_THROWS_AS(parent.recv<int>(), mp::EOFError);
    process.join();
    auto [reader, writer] = mp::Pipe(false);
    REQUIRE_FALSE(writer.readable());
    writer.send_bytes("bytes");
    REQUIRE_THROWS_AS(reader.recv<int>(), mp::TypeError);
    REQUIRE(reader.recv_bytes() == "bytes");
    writer.send(std::vector<double>{1, 2});
    REQUIRE(reader.recv<std::vector<double>>()[1] == 2);
    writer.send(queue);
    REQUIRE(reader.recv<mp::Queue<std::string>>() == queue);
    mp::Queue<mp::Connection> connections;
    connections.put(std::move(writer));
    connections.get().send(5);
    REQUIRE(reader.recv<int>() == 5);
    REQUIRE_THROWS_AS(reader.recv_bytes(), mp::EOFError);
    reader.close();
    REQUIRE_THROWS_AS(reader.poll(), mp::ValueError);
}

TEST_CASE("Locks and shared values as in Python", "[contract]") {
    const Watchdog watchdog(60);
    mp::Lock lock;
    mp::RLock recursive;
    { const std::scoped_lock guard(lock, recursive); }
    REQUIRE(lock.acquire(true, 1));
    REQUIRE_FALSE(lock.acquire(false));
    lock.release();
    mp::Semaphore semaphore(2);
    mp::BoundedSemaphore bounded;
    mp::Condition condition(lock);
    mp::Event event;
    mp::Barrier barrier(1);
    REQUIRE(semaphore.get_value() == 2);
    REQUIRE_THROWS_AS(bounded.release(), mp::ValueError);
    condition.acquire();
    REQUIRE_FALSE(condition.wait(0));
    REQUIRE(condition.wait_for([] { return true; }));
    condition.notify_all();
    condition.release();
    event.set();
    REQUIRE(event.wait(1ms));
    REQUIRE(barrier.wait() == 0);
    mp::Value<int> value(0);
    value.value += 1;
    ++value.value;
    mp::Array<double> array(3);
    array[0] = value.value;
    mp::RawArray<int> raw({1, 2});
    mp::Value<mp::typecode<'d'>> typed(0.5);
    REQUIRE(array.slice(0, 2) == std::vector<double>{2, 0});
    REQUIRE(raw[1] == 2);
    REQUIRE(typed.value == 0.5);
}

TEST_CASE("Managers and shared memory as in Python", "[contract]") {
    const Watchdog watchdog(60);
    mp::Manager manager;
    auto dict = manager.dict<std::string, int>();
    dict["k"] = 1;
    dict["k"] += 1;
    const int x = dict["k"];
    REQUIRE(x == 2);
    REQUIRE_THROWS_AS(dict.at("none"), mp::KeyError);
    mp::ListProxy<int> list = manager.list<int>({1, 2, 3});
    REQUIRE(list[-1] == 3);
    mp::NamespaceProxy names = manager.Namespace();
    names.set("x", 1);
    REQUIRE(names.get<int>("x") == 1);
    manager.shutdown();
    REQUIRE_THROWS_AS(dict["k"] = 1, mp::ValueError);

    mp::shared_memory::SharedMemory block({.create = true, .size = 100});
    REQUIRE(block.buf().size() == 100);
    block.unlink();
    block.close();
    mp::SharedMemoryManager shared;
    auto shareable = shared.ShareableList({1, 2.5, "text", true, std::nullopt});
    REQUIRE(shareable.get<double>(1) == 2.5);
    REQUIRE(shareable.get<std::string>(2) == "text");
}

TEST_CASE("Contexts as in Python", "[contract]") {
    const Watchdog watchdog(60);
    constexpr auto context = mp::get_context<"spawn">();
    auto process = context.Process({.name = "spawned"}, nothing);
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 0);
    auto pool = context.Pool(1);
    REQUIRE(pool.apply(square, 3) == 9);
    auto queue = context.Queue<int>(3);
    queue.put(1);
    auto [a, b] = context.Pipe();
    a.send(1);
    REQUIRE(b.recv<int>() == 1);
    REQUIRE(context.Value<int>(4).value == 4);
    REQUIRE(context.Manager().list<int>({1}).size() == 1);
}

TEST_CASE("Logging and util as in Python", "[contract]") {
    const Watchdog watchdog(60);
    auto process = mp::ForkProcess([] {  // logging stays set up
        mp::log_to_stderr(mp::ERROR).info("n = {}", 1);
        mp::get_logger().set_level(mp::SUBWARNING);
        mp::get_logger().sub_debug("not {}", "this");
        mp::get_logger().log(mp::DEBUG, "nor this");
        mp::get_logger().set_handler([](const mp::LogRecord& record) {
            if (record.message != "n = 2" || record.level != mp::WARNING) std::abort();
        });
        mp::get_logger().warning("n = {}", 2);
        mp::util::Finalize([] {}, {.exitpriority = 10});
        mp::util::register_after_fork([] {});
        if (mp::get_logger().level() != mp::SUBWARNING) mp::exit(1);
    });
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 0);
}
