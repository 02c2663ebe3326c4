// process/lifeline.hpp on a loaded machine: when a process is killed, all that depends on it is
// gone within a second, however deep it lies, and however far it has come.
// CTEST: LABELS timing
// SPDX-License-Identifier: MIT
#include "tests/process/support.hpp"

#include <multiprocessing/detail/pidfd.hpp>
#include <multiprocessing/pool.hpp>

#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/nothing_left.hpp"

namespace {

using support::eventually;
using support::NothingLeft;
using Clock = std::chrono::steady_clock;

/// The processes of a tree, as they enter themselves.
struct Tree {
    std::atomic<int> count;
    std::atomic<pid_t> pids[64];
};
void enter(std::uint64_t tree, pid_t pid) {
    auto& to = in_heap<Tree>(tree);
    to.pids[to.count.fetch_add(1)] = pid;
}

template <class Method>
void be_chain(std::uint64_t tree, int depth) {
    enter(tree, ::getpid());
    if (depth == 0) return sleep_long();
    mp::BasicProcess<Method> next(be_chain<Method>, tree, depth - 1);
    next.start();
    next.join();
}
template <class Method>
int have_chain(std::uint64_t tree) {
    be_chain<Method>(tree, 7);
    return 0;
}
template <class Method>
void have_pool(std::uint64_t tree) {
    mp::BasicPool<Method> pool({.processes = 2});
    pool.map(have_chain<Method>, {tree, tree});
}

/// Starts daemons and dies before they can have done much.
template <class Method>
void start_and_die(std::uint64_t tree) {
    std::vector<mp::BasicProcess<Method>> daemons;
    for (int i = 0; i < 8; ++i) {
        daemons.emplace_back(mp::ProcessOptions{.daemon = true}, sleep_long);
        daemons.back().start();
        enter(tree, *daemons.back().pid());
    }
    std::raise(SIGKILL);
}

/// Holds up a process before its main, where the one that started it wants that.
[[maybe_unused]] const bool is_held_up = [] {
    if (std::getenv("LIFELINE_TEST_SLOW") != nullptr) sleep_long();
    return true;
}();

/// Fifteen processes for each core that want all of it.
class Load {
  public:
    Load() {
        for (int i = 0; i < 15 * mp::process_cpu_count(); ++i) {
            const pid_t pid = ::fork();
            if (pid == 0) {
                ::alarm(120);
                for (volatile unsigned n = 0;;) n = n + 1;
            }
            hogs_.push_back(pid);
        }
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load() {
        for (const pid_t hog : hogs_) ::kill(hog, SIGKILL);
        for (const pid_t hog : hogs_) ::waitpid(hog, nullptr, 0);
    }

  private:
    std::vector<pid_t> hogs_;
};

/// Waits for the end of all that have entered the tree. @returns how long that took, in seconds
double wait_for_all(const Tree& tree, Clock::time_point since) {
    for (int i = 0; i < tree.count; ++i) {
        const mp::detail::Descriptor pidfd = mp::detail::open_pidfd(tree.pids[i]);
        if (pidfd) mp::detail::poll_readable(pidfd.get(), mp::detail::Deadline(mp::Timeout(60)));
    }
    return std::chrono::duration<double>(Clock::now() - since).count();
}

}  // namespace

TEMPLATE_TEST_CASE("A killed process takes all below its pool along within a second",
                   "[process][timing]", START_METHODS) {
    const support::Watchdog watchdog(240);
    const NothingLeft nothing_left;
    exitcode_of<TestType>(nothing);
    const Load load;
    for (int round = 0; round < 3; ++round) {
        const InHeap<Tree> tree;
        mp::BasicProcess<TestType> root(have_pool<TestType>, tree.offset());
        root.start();
        REQUIRE(eventually([&] { return tree->count == 16; }, 100));
        const auto since = Clock::now();
        root.kill();
        root.join();
        REQUIRE(wait_for_all(*tree, since) < 1);
    }
}

TEST_CASE("A spawned child that has not reached main yet ends with its parent", "[process]") {
    const support::Watchdog watchdog(120);
    const NothingLeft nothing_left;
    const InHeap<Tree> tree;
    mp::ForkProcess root([&] {
        ::setenv("LIFELINE_TEST_SLOW", "1", 1);
        mp::SpawnProcess daemon({.daemon = true}, nothing);
        daemon.start();
        enter(tree.offset(), *daemon.pid());
        sleep_long();
    });
    root.start();
    REQUIRE(eventually([&] { return tree->count == 1; }, 60));
    const mp::detail::Descriptor daemon = mp::detail::open_pidfd(tree->pids[0]);
    root.kill();
    root.join();
    REQUIRE(mp::detail::poll_readable(daemon.get(), mp::detail::Deadline(mp::Timeout(60))));
}

TEMPLATE_TEST_CASE("A killed process takes those along that it has just started",
                   "[process][timing]", START_METHODS) {
    const support::Watchdog watchdog(240);
    const NothingLeft nothing_left;
    exitcode_of<TestType>(nothing);
    const Load load;
    for (int round = 0; round < 5; ++round) {
        const InHeap<Tree> tree;
        mp::BasicProcess<TestType> root(start_and_die<TestType>, tree.offset());
        root.start();
        root.join();
        const auto since = Clock::now();
        REQUIRE(tree->count == 8);
        REQUIRE(wait_for_all(*tree, since) < 1);
    }
}
