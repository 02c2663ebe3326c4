// heap/burial.hpp, heap/ledger.hpp: what a process held is given back when it has ended, however it
// ended, under every start method. SPDX-License-Identifier: MIT
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/start_method/fork_server/state.hpp>
#include <multiprocessing/synchronize.hpp>

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "tests/process/support.hpp"

namespace {

using mp::detail::heap;

constexpr std::size_t mib = std::size_t{1} << 20;
std::size_t memory() { return heap().segment().memory(); }

mp::RawArray<char> touched(std::size_t size) {
    mp::RawArray<char> array(size);
    for (char& c : array) c = 1;
    return array;
}

enum class Way { target_returns, leaves, is_killed, crashes, becomes_another };

/// What a process may have in hand, of its own and of others.
struct Hands {
    mp::RawArray<char> array = touched(4 * mib);
    std::vector<mp::RawArray<char>> copies = {array, array, array};
    mp::Array<int> small = mp::Array<int>(10);
    mp::Queue<mp::RawArray<char>> queue;
    mp::Lock lock;
    mp::Condition condition;
    mp::Value<double> value;
};

std::optional<Hands> kept;  // what no destructor drops

void end(Way way) {
    switch (way) {
        case Way::target_returns:
            return;
        case Way::leaves:
            ::_exit(0);
        case Way::is_killed:
            ::raise(SIGKILL);
            break;
        case Way::crashes:
            std::signal(SIGABRT, SIG_DFL);
            std::abort();
        case Way::becomes_another:
            ::execl("/bin/true", "true", nullptr);
            ::_exit(127);
    }
}

void hold(Way way, mp::Queue<mp::RawArray<char>> given, const mp::RawArray<char>& argument) {
    kept.emplace();
    kept->queue.put(touched(mib));
    kept->queue.put(kept->array);
    const auto received = given.get();
    const std::vector<mp::RawArray<char>> local(5, argument);
    kept->lock.acquire();
    end(way);
}

template <class Method>
void run_and_forget(Way way) {
    mp::Queue<mp::RawArray<char>> queue;
    queue.put(touched(mib));
    const auto argument = touched(mib);
    mp::BasicProcess<Method> process(hold, way, queue, argument);
    process.start();
    REQUIRE(process.join(60));
}

}  // namespace

TEMPLATE_TEST_CASE("What a process held is freed when it has ended", "[heap][burial]",
                   START_METHODS) {
    const support::Watchdog watchdog(200);
    for (const Way way :
         {Way::target_returns, Way::leaves, Way::is_killed, Way::crashes, Way::becomes_another}) {
        run_and_forget<TestType>(way);
        const std::size_t before = memory();
        for (int i = 0; i < 8; ++i) run_and_forget<TestType>(way);
        REQUIRE(memory() <= before + mib);
    }
}

TEST_CASE("The free blocks that a process kept for itself are free after it", "[heap][burial]") {
    const support::Watchdog watchdog(200);
    const auto run = [] {
        mp::ForkProcess process([] {
            const mp::Lock lock;  // whoever has a handle has a ledger, and keeps blocks
            for (std::size_t size = 64; size <= 1'536; size += 64) {
                mp::detail::deallocate(mp::detail::allocate(size));
            }
            ::_exit(0);
        });
        process.start();
        REQUIRE(process.join(60));
    };
    run();
    const std::size_t before = memory();
    for (int i = 0; i < 400; ++i) run();  // 8 KiB each
    REQUIRE(memory() <= before + mib);
}

TEST_CASE("What a process passed on outlives it", "[heap][burial]") {
    mp::Queue<mp::RawArray<char>> queue;
    mp::ForkProcess process([&] {
        queue.put(touched(mib));
        ::raise(SIGKILL);
    });
    process.start();
    const auto array = queue.get();
    process.join();
    REQUIRE(array.to_vector() == std::vector<char>(mib, 1));
}

namespace {

/// Lives until it is told to end, having forked others that do.
void live_until(mp::Event end) { end.wait(); }

void fork_one_after_the_other(mp::Event may_begin, mp::Event has_ended, int rounds) {
    may_begin.wait();
    mp::Event stop_last;
    std::optional<mp::ForkProcess> last;
    for (int i = 0; i < rounds; ++i) {
        const auto scratch = touched(mib);
        mp::Event stop;
        mp::ForkProcess next(live_until, stop);
        next.start();
        stop_last.set();
        if (last) last->join();
        last.emplace(std::move(next));
        stop_last = stop;
    }
    stop_last.set();
    last->join();
    has_ended.set();
}

}  // namespace

TEST_CASE("What was dropped is freed though there always is a younger child", "[heap][limbo]") {
    const support::Watchdog watchdog(100);
    const std::size_t before = memory();
    const auto peak = [&](auto run) {
        std::size_t most = 0;
        run();
        most = std::max(most, memory());
        return most;
    };
    SECTION("of this process") {
        mp::Event begin;
        mp::Event ended;
        begin.set();
        REQUIRE(peak([&] { fork_one_after_the_other(begin, ended, 30); }) < before + 12 * mib);
    }
    SECTION("of a child that itself lives long") {
        mp::Event begin;
        mp::Event ended;
        mp::ForkProcess child(fork_one_after_the_other, begin, ended, 30);
        child.start();
        begin.set();
        while (!ended.wait(0.01)) REQUIRE(memory() < before + 24 * mib);
        child.join();
        REQUIRE(memory() < before + 12 * mib);
    }
}

namespace {
std::optional<mp::RawArray<char>> preloaded;
void preload() { preloaded = touched(mib); }
/// Ends the fork server, if there is one: the next child has another one started.
void kill_server() {
    const auto server = mp::detail::Family::unpack(mp::detail::fork_server_state().server.load());
    if (!server || !heap().family().is_alive(server)) return;
    ::kill(mp::detail::ProcessRecord::pid_of(heap().family()[server].state.load()), SIGKILL);
    REQUIRE(support::eventually([&] { return !heap().family().is_alive(server); }));
}
void look_when_told(mp::Event look, mp::Queue<bool> answer) {
    look.wait();
    answer.put(preloaded->to_vector() == std::vector<char>(mib, 1));
}
}  // namespace

TEST_CASE("A child of the fork server holds up nothing that its server never had",
          "[heap][limbo]") {
    const support::Watchdog watchdog(60);
    kill_server();
    mp::set_forkserver_preload(preload);
    mp::Event end;
    mp::Queue<bool> answer;
    auto array = std::make_unique<mp::RawArray<char>>(touched(4 * mib));
    mp::ForkServerProcess child(look_when_told, end, answer);
    child.start();
    const std::size_t before = memory();
    array.reset();
    REQUIRE(memory() <= before - 4 * mib + 64 * 1024);
    SECTION("and has what the server has preloaded") {}
    SECTION("also when the server is gone") {
        kill_server();
        mp::ForkServerProcess other(nothing);
        other.start();  // has the dead one buried
        other.join();
    }
    end.set();
    REQUIRE(answer.get(true, 30));
    child.join();
}

TEST_CASE("What a grandchild inherited lives, though its parent is gone", "[heap][limbo]") {
    const support::Watchdog watchdog(60);
    mp::Event look;
    mp::Event parent_gone;
    mp::Queue<bool> answer;
    auto array = std::make_unique<mp::RawArray<char>>(touched(mib));
    mp::ForkProcess child([&] {
        mp::ForkProcess grandchild([&] {
            look.wait();
            answer.put(array->to_vector() == std::vector<char>(mib, 1));
        });
        grandchild.set_daemon(false);
        grandchild.start();
        ::_exit(0);
    });
    child.start();
    child.join();
    array.reset();
    for (int i = 0; i < 20; ++i) touched(mib);  // would be written over it
    mp::ForkProcess other(nothing);
    other.start();
    other.join();  // looks through limbo
    look.set();
    REQUIRE(answer.get(true, 30));
}

TEST_CASE("An object made after 2^32 forks is told from one made before", "[heap][limbo]") {
    mp::detail::FamilyState& family = heap().at<mp::detail::HeapHeader>(0)->family;
    family.fork_clock = (std::uint64_t{1} << 32) - 10;
    mp::Event dropped;
    auto queue = std::make_unique<mp::Queue<int>>();
    queue->put(42);
    for (int i = 0; i < 8; ++i) exitcode_of<mp::start_method::fork>(nothing);
    mp::ForkProcess child([&] {
        dropped.wait();
        mp::exit(queue->try_get() == 42 ? 0 : 1);
    });
    child.start();
    queue.reset();
    for (int i = 0; i < 100; ++i) mp::Queue<int>().put(7);
    dropped.set();
    child.join();
    REQUIRE(child.exitcode() == 0);
}

namespace {
struct Node {
    int number;
    mp::Queue<Node> next;
};
}  // namespace

TEST_CASE("A chain of handles in handles of any length is freed without a deep stack", "[heap]") {
    const support::Watchdog watchdog(120);
    const int length = support::sanitized ? 20'000 : 200'000;
    const std::size_t before = memory();
    {
        mp::Queue<Node> head;
        for (int i = 0; i < length; ++i) {
            mp::Queue<Node> next;
            next.put({i, head});
            head = next;
        }
    }
    REQUIRE(memory() < before + 16 * mib);
}

TEST_CASE("Handles are counted right by many threads that copy and drop them", "[heap][ledger]") {
    const mp::RawArray<char> large(mib);
    const mp::Lock small;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 8; ++t) {
            threads.emplace_back([&] {
                for (std::size_t round = 0; round < 300; ++round) {
                    const std::vector<mp::RawArray<char>> arrays(7, large);
                    const std::vector<mp::Lock> locks(40, small);
                    const std::vector<mp::Lock> own(70);
                    own[round % 70].acquire();
                }
            });
        }
    }
    REQUIRE(small.shared_handle().object()->references.load() == 1);
}
