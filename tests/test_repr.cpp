// How the public classes are printed, by streams and by fmt. SPDX-License-Identifier: MIT
#include <fmt/ranges.h>

#include <multiprocessing.hpp>
#include <sstream>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;

namespace {

/// What both say.
template <class T>
std::string repr(const T& object) {
    std::ostringstream stream;
    stream << object;
    CHECK(fmt::format("{}", object) == stream.str());
    return stream.str();
}
void nothing() {}
void fall_asleep() { ::pause(); }
int square(int x) { return x * x; }
int fail(int) { throw mp::ValueError("as it is to"); }
void wait_for(const mp::Event& begun, const mp::Event& end) {
    begun.set();
    end.wait();
}

}  // namespace

TEST_CASE("A process prints its name, pid, parent and state", "[repr]") {
    const support::Watchdog watchdog(60);
    const std::string parent = " parent=" + std::to_string(::getpid());
    mp::Process process({.name = "worker"}, nothing);
    REQUIRE(repr(process) == "<Process name='worker'" + parent + " initial>");
    process.start();
    process.join();
    REQUIRE(repr(process) == "<Process name='worker' pid=" + std::to_string(*process.pid()) +
                                 parent + " stopped exitcode=0>");
    process.close();
    REQUIRE(repr(process) == "<Process name='worker' closed>");
    mp::Process sleeper({.name = "s", .daemon = true}, fall_asleep);
    sleeper.start();
    const std::string head = "<Process name='s' pid=" + std::to_string(*sleeper.pid());
    REQUIRE(repr(sleeper) == head + parent + " started daemon>");
    REQUIRE(repr(mp::active_children().at(0)) == head + " started daemon>");
    sleeper.kill();
    sleeper.join();
    REQUIRE(repr(sleeper) == head + parent + " stopped exitcode=-SIGKILL daemon>");
    REQUIRE(repr(mp::current_process()) == "<_MainProcess name='MainProcess' parent=None started>");
}

TEST_CASE("Ranges of the library are printed as objects with fmt/ranges.h too", "[repr]") {
    const support::Watchdog watchdog(60);
    mp::Queue<int> queue(5);
    queue.put(1);
    REQUIRE(repr(queue) == "<Queue size=1 maxsize=5>");
    REQUIRE(repr(mp::JoinableQueue<int>()) == "<JoinableQueue size=0>");
    REQUIRE(repr(mp::SimpleQueue<int>()) == "<SimpleQueue size=0>");
    REQUIRE(repr(mp::Array<int>({1, 2})) == "<SynchronizedArray wrapper for [1, 2]>");
    REQUIRE(repr(mp::RawArray<int>(3)) == "RawArray([0, 0, 0])");
    mp::Manager manager;
    REQUIRE(repr(manager.dict<int, int>({{1, 2}})) == "{1: 2}");
    REQUIRE(repr(manager.list<int>({1, 2})) == "[1, 2]");
    auto space = manager.Namespace();
    space.set("rate", 0.5);
    REQUIRE(repr(space) == "Namespace(rate=0.5)");
    REQUIRE(fmt::format("{}", std::vector{mp::Event()}) == "[<Event unset>]");
    REQUIRE(fmt::format("{:>14}", mp::Event()) == " <Event unset>");
}

TEST_CASE("Locks, results and futures print their state", "[repr]") {
    const support::Watchdog watchdog(60);
    REQUIRE(repr(mp::Lock()) == "<Lock(owner=None)>");
    REQUIRE(repr(mp::Condition()) == "<Condition(<RLock(None, 0)>)>");
    mp::ThreadPool pool(1);
    const auto result = pool.apply_async(square, 2);
    result.wait();
    REQUIRE(repr(result) == "<AsyncResult ready successful>");
    const auto failed = pool.apply_async(fail, 2);
    failed.wait();
    REQUIRE(repr(failed) == "<AsyncResult ready failed>");
    mp::ProcessPoolExecutor executor(1);
    const auto future = executor.submit(square, 2);
    REQUIRE(future.result() == 4);
    REQUIRE(repr(future).ends_with(" state=finished returned int>"));
    REQUIRE(repr(future).starts_with("<Future at 0x"));
    const auto raised = executor.submit(fail, 2);
    REQUIRE(raised.exception());
    REQUIRE(repr(raised).ends_with(" state=finished raised ValueError>"));
}

TEST_CASE("Futures print whether they are running, pending or cancelled", "[repr]") {
    const support::Watchdog watchdog(60);
    mp::ProcessPoolExecutor executor(1);
    const mp::Event begun;
    const mp::Event end;
    const auto running = executor.submit(wait_for, begun, end);
    const auto pending = executor.submit(wait_for, begun, end);
    const auto cancelled = executor.submit(wait_for, begun, end);
    REQUIRE(cancelled.cancel());
    REQUIRE(begun.wait());
    REQUIRE(repr(running).ends_with(" state=running>"));
    REQUIRE(repr(pending).ends_with(" state=pending>"));
    REQUIRE(repr(cancelled).ends_with(" state=cancelled>"));
    end.set();
}

TEST_CASE("Pools print their state and size", "[repr]") {
    const support::Watchdog watchdog(60);
    mp::Pool pool(2);
    REQUIRE(repr(pool) == "<multiprocessing.pool.Pool state=RUN pool_size=2>");
    mp::ForkProcess child([&] {
        mp::exit(repr(pool) == "<multiprocessing.pool.Pool state=INHERITED pool_size=2>" ? 0 : 1);
    });
    child.start();
    child.join();
    REQUIRE(child.exitcode() == 0);
    pool.close();
    REQUIRE(repr(pool) == "<multiprocessing.pool.Pool state=CLOSE pool_size=2>");
    pool.terminate();
    REQUIRE(repr(pool) == "<multiprocessing.pool.Pool state=TERMINATE pool_size=2>");
    mp::dummy::Pool threads(1);
    REQUIRE(repr(threads) == "<multiprocessing.pool.ThreadPool state=RUN pool_size=1>");
    REQUIRE(repr(threads.imap(square, {1})).starts_with("<multiprocessing.pool.IMapIterator "));
    auto serial = mp::get_context<"serial">().Pool(1);
    REQUIRE(repr(serial) == "<multiprocessing.pool.Pool state=RUN pool_size=1>");
    const mp::ProcessPoolExecutor executor(1);
    REQUIRE(repr(executor) == "<ProcessPoolExecutor state=RUN max_workers=1>");
    REQUIRE(repr(mp::progress(std::vector{1, 2}, {.desc = "it"})) == "<Progress 0/2 desc='it'>");
}

TEST_CASE("Contexts, managers and what belongs to one process print", "[repr]") {
    const support::Watchdog watchdog(60);
    REQUIRE(repr(mp::ForkContext()) == "<ForkContext>");
    REQUIRE(repr(mp::ForkServerContext()) == "<ForkServerContext>");
    REQUIRE(repr(mp::get_context<"serial">()) == "<SerialContext>");
    REQUIRE(repr(mp::dummy::SpawnContext()) == "<dummy.SpawnContext>");
    mp::Manager manager;
    REQUIRE(repr(manager) == "<multiprocessing.managers.SyncManager state=STARTED>");
    manager.shutdown();
    REQUIRE(repr(manager) == "<multiprocessing.managers.SyncManager state=SHUTDOWN>");
    const mp::SharedMemoryManager blocks;
    REQUIRE(repr(blocks) == "<multiprocessing.managers.SharedMemoryManager state=STARTED>");
    mp::util::Finalize finalize(nothing);
    REQUIRE(repr(finalize) == "<Finalize object>");
    finalize();
    REQUIRE(repr(finalize) == "<Finalize object, dead>");
    REQUIRE(repr(mp::get_logger()).starts_with("<Logger multiprocessing ("));
    REQUIRE(repr(mp::connection::Waitable(7)) == "<Waitable fd=7>");
}
