// process.hpp under every start method: what a process knows of its parent and its children, and
// what becomes of them when one ends; thousands of starts, and kills amid them.
// CTEST: LABELS storm
// SPDX-License-Identifier: MIT
#include "tests/names_left.hpp"
#include "tests/process/support.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <multiprocessing/detail/pidfd.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

// --- what the children do ---

struct Report {
    char name[64];
    char parent_name[64];
    pid_t pid;
    pid_t parent_pid;
    bool daemon;
    bool alive;
    bool parent_alive;
    char authkey[32];
    std::size_t authkey_size;
    std::atomic<bool> done;
};
void report(std::uint64_t offset) {
    auto& to = in_heap<Report>(offset);
    mp::current_process().name().copy(to.name, 63);
    const auto parent = mp::parent_process();
    parent->name().copy(to.parent_name, 63);
    to.pid = mp::current_process().pid();
    to.parent_pid = parent->pid();
    to.parent_alive = parent->is_alive();
    to.daemon = mp::current_process().daemon();
    to.alive = mp::current_process().is_alive();
    to.authkey_size = mp::current_process().authkey().copy(to.authkey, 32);
    to.done = true;
}

template <class Method>
void start_grandchild(std::uint64_t offset) {
    mp::BasicProcess<Method> grandchild(report, offset);
    grandchild.start();
    grandchild.join();
}

struct Tree {
    std::atomic<pid_t> child;
    std::atomic<pid_t> daemon;
    std::atomic<pid_t> other;
    std::atomic<bool> finished;
};
void finish_later(std::uint64_t tree) {
    ::usleep(100'000);
    in_heap<Tree>(tree).finished = true;
}
template <class Method>
void start_family(std::uint64_t offset) {
    auto& tree = in_heap<Tree>(offset);
    mp::BasicProcess<Method> daemon({.daemon = true}, sleep_long);
    daemon.start();
    mp::BasicProcess<Method> other(finish_later, offset);
    other.start();
    tree.daemon = *daemon.pid();
    tree.other = *other.pid();
}
template <class Method>
void start_family_and_wait(std::uint64_t offset) {
    start_family<Method>(offset);
    in_heap<Tree>(offset).child = ::getpid();
    ::sleep(600);
}
template <class Method>
void try_to_have_a_child(std::uint64_t result) {
    mp::BasicProcess<Method> child(nothing);
    try {
        child.start();
        in_heap<std::atomic<int>>(result) = 2;
    } catch (const mp::AssertionError&) {
        in_heap<std::atomic<int>>(result) = 1;
    }
}
void watch_parent(std::uint64_t offset) {
    auto& tree = in_heap<Tree>(offset);
    tree.other = ::getpid();
    tree.finished = mp::parent_process()->join();
}
void watch_sentinel(std::uint64_t offset) {
    auto& tree = in_heap<Tree>(offset);
    const int sentinel = mp::parent_process()->sentinel();
    const bool is_quiet = !mp::detail::poll_readable(sentinel, mp::Timeout(0));
    tree.other = ::getpid();
    const bool has_told = mp::detail::poll_readable(sentinel, mp::Timeout(60));
    const auto parent = mp::parent_process();
    tree.finished = is_quiet && has_told && !parent->is_alive() && parent->sentinel() == sentinel;
}
void look_at_sentinel_late(std::uint64_t offset) {
    auto& tree = in_heap<Tree>(offset);
    tree.other = ::getpid();
    const auto parent = mp::parent_process();
    tree.finished =
        parent->join(60) && mp::detail::poll_readable(parent->sentinel(), mp::Timeout(0));
}
template <class Method>
void start_watcher_and_die(void (*watch)(std::uint64_t), std::uint64_t offset) {
    mp::BasicProcess<Method> watcher(watch, offset);
    watcher.start();
    support::eventually([&] { return in_heap<Tree>(offset).other != 0; });
    std::raise(SIGKILL);
}
void ask_in_many_threads(std::uint64_t result) {
    const std::size_t before = support::descriptors().size();
    std::vector<int> sentinels(8);
    std::vector<std::thread> threads;
    for (int& sentinel : sentinels) {
        threads.emplace_back([&sentinel] { sentinel = mp::parent_process()->sentinel(); });
    }
    for (auto& thread : threads) thread.join();
    const bool is_one = std::count(sentinels.begin(), sentinels.end(), sentinels[0]) == 8;
    const bool is_all = support::descriptors().size() == before + 1;
    in_heap<std::atomic<int>>(result) = is_one && is_all ? 1 : 2;
}

bool is_running(pid_t pid) {
    const auto status = mp::detail::process_status(pid);
    return status && status->is_running();
}

}  // namespace

TEMPLATE_TEST_CASE("A process knows itself and its parent", "[process]", START_METHODS) {
    InHeap<Report> report_;
    mp::BasicProcess<TestType> process({.name = "worker"}, report, report_.offset());
    REQUIRE(process.name() == "worker");
    process.start();
    process.join();
    REQUIRE(report_->done);
    REQUIRE(std::string(report_->name) == "worker");
    REQUIRE(std::string(report_->parent_name) == "MainProcess");
    REQUIRE(report_->pid == process.pid());
    REQUIRE(report_->parent_pid == ::getpid());
    REQUIRE(report_->parent_alive);
    REQUIRE(report_->alive);
    REQUIRE_FALSE(report_->daemon);
    REQUIRE(std::string(report_->authkey, report_->authkey_size) ==
            mp::current_process().authkey());
    REQUIRE_FALSE(mp::parent_process().has_value());
}

TEMPLATE_TEST_CASE("Names count as in Python", "[process]", START_METHODS) {
    InHeap<Report> report_;
    mp::BasicProcess<TestType> process(start_grandchild<TestType>, report_.offset());
    mp::BasicProcess<TestType> next(nothing);
    REQUIRE(process.name().starts_with("Process-"));
    REQUIRE(std::stoi(next.name().substr(8)) == std::stoi(process.name().substr(8)) + 1);
    process.start();
    process.join();
    REQUIRE(std::string(report_->name) == process.name() + ":1");
}

TEMPLATE_TEST_CASE("active_children lists those that run", "[process]", START_METHODS) {
    mp::BasicProcess<TestType> process({.name = "sleeper", .daemon = true}, sleep_long);
    REQUIRE(mp::active_children().empty());
    process.start();
    const auto active = mp::active_children();
    REQUIRE(active.size() == 1);
    REQUIRE(active[0].name() == "sleeper");
    REQUIRE(active[0].pid() == process.pid());
    REQUIRE(active[0].daemon());
    REQUIRE(active[0].is_alive());
    active[0].terminate();
    REQUIRE(active[0].join(60));
    REQUIRE(active[0].exitcode() == -SIGTERM);
    REQUIRE(mp::active_children().empty());
    REQUIRE(process.exitcode() == -SIGTERM);
}

TEMPLATE_TEST_CASE("Only the process that made it may start a process", "[process]",
                   mp::start_method::fork) {
    InHeap<std::atomic<int>> result;
    mp::BasicProcess<TestType> other(nothing);
    other.start();
    mp::BasicProcess<TestType> unstarted(nothing);
    mp::BasicProcess<TestType> process([&] {
        int errors = 0;
        const auto count = [&](auto call) {
            try {
                call();
            } catch (const mp::AssertionError&) {
                ++errors;
            }
        };
        count([&] { unstarted.start(); });
        count([&] { other.join(); });
        count([&] { (void)other.is_alive(); });
        count([&] { other.terminate(); });
        *result = errors;
    });
    process.start();
    process.join();
    other.join();
    REQUIRE(*result == 4);
}

TEMPLATE_TEST_CASE("A daemon may not have children", "[process]", START_METHODS) {
    InHeap<std::atomic<int>> result;
    mp::BasicProcess<TestType> process({.daemon = true}, try_to_have_a_child<TestType>,
                                       result.offset());
    process.start();
    process.join();
    REQUIRE(*result == 1);
}

TEMPLATE_TEST_CASE("At the end of a process daemons are terminated and others joined", "[process]",
                   START_METHODS) {
    InHeap<Tree> tree;
    mp::BasicProcess<TestType> process(start_family<TestType>, tree.offset());
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 0);
    REQUIRE(tree->finished);
    REQUIRE(support::eventually([&] { return !is_running(tree->daemon); }));
    REQUIRE(support::eventually([&] { return !is_running(tree->other); }));
}

TEMPLATE_TEST_CASE("A daemon ends when its parent is killed, another child goes on", "[process]",
                   START_METHODS) {
    InHeap<Tree> tree;
    mp::BasicProcess<TestType> process(start_family_and_wait<TestType>, tree.offset());
    process.start();
    REQUIRE(support::eventually([&] { return tree->child != 0; }));
    process.kill();
    process.join();
    REQUIRE(support::eventually([&] { return !is_running(tree->daemon); }));
    REQUIRE(support::eventually([&] { return tree->finished.load(); }));
    REQUIRE(support::eventually([&] { return !is_running(tree->other); }));
}

TEMPLATE_TEST_CASE("A child notices the death of its parent", "[process]", START_METHODS) {
    const support::Watchdog watchdog(240);
    for (auto* watch : {watch_parent, watch_sentinel, look_at_sentinel_late}) {
        InHeap<Tree> tree;
        mp::BasicProcess<TestType> process(start_watcher_and_die<TestType>, watch, tree.offset());
        process.start();
        process.join();
        REQUIRE(process.exitcode() == -SIGKILL);
        REQUIRE(support::eventually([&] { return tree->finished.load(); }, 60));
        REQUIRE(support::eventually([&] { return !is_running(tree->other); }, 60));
    }
}

TEMPLATE_TEST_CASE("The parent's sentinel is one descriptor", "[process]", START_METHODS) {
    const support::Watchdog watchdog(120);
    InHeap<std::atomic<int>> result;
    REQUIRE(exitcode_of<TestType>(ask_in_many_threads, result.offset()) == 0);
    REQUIRE(*result == 1);
}

TEST_CASE("A parent that a fork copies is still the same process", "[process]") {
    const support::Watchdog watchdog(120);
    InHeap<std::atomic<int>> result;
    mp::ForkProcess process([&] {
        const auto parent = mp::parent_process();
        const int own = parent->sentinel();
        mp::ForkProcess child([&] {
            const auto nearer = mp::parent_process();
            const bool is_nearer = nearer->pid() == ::getppid() && nearer->sentinel() != own;
            *result = is_nearer && parent->sentinel() == own ? 1 : 2;
        });
        child.start();
        child.join();
    });
    process.start();
    REQUIRE(process.join(60));
    REQUIRE(*result == 1);
}

TEST_CASE("The program's own fork makes a process of its own", "[process]") {
    InHeap<std::atomic<int>> result;
    mp::ForkProcess sibling(sleep_long);
    sibling.start();
    const pid_t pid = ::fork();
    if (pid == 0) {
        *result =
            mp::active_children().empty() && exitcode_of<mp::start_method::fork>(nothing) == 0;
        ::_exit(0);
    }
    ::waitpid(pid, nullptr, 0);
    REQUIRE(*result == 1);
    REQUIRE(sibling.is_alive());
    sibling.kill();
    sibling.join();
}

TEMPLATE_TEST_CASE("Thousands of starts leave nothing behind", "[process][storm]", START_METHODS) {
    const support::Watchdog watchdog(280);
    const bool fork = std::is_same_v<TestType, mp::start_method::fork>;
    const int starts = support::sanitized ? 300 : fork ? 10'000 : 1'000;
    exitcode_of<TestType>(nothing);
    const auto descriptors = support::descriptors();
    const std::size_t mappings = support::mapping_count();
    const auto names = support::names_in("/dev/shm");
    const std::size_t memory = mp::detail::heap().segment().memory();
    for (int i = 0; i < starts; ++i) REQUIRE(exitcode_of<TestType>(nothing) == 0);
    REQUIRE(support::descriptors() == descriptors);
    REQUIRE(support::mapping_count() <= mappings + 8);  // malloc may have grown
    REQUIRE(support::no_name_stays(names));
    REQUIRE(mp::detail::heap().segment().memory() <= memory + (1 << 16));
    REQUIRE_FALSE(support::has_children());
}

namespace {

/// Starts processes for ever; all of the group that this process leads.
template <class Method>
void start_for_ever(std::uint64_t starts) {
    ::setpgid(0, 0);
    for (;;) {
        mp::BasicProcess<Method> daemon({.daemon = true}, sleep_long);
        mp::BasicProcess<Method> process(nothing);
        daemon.start();
        process.start();
        process.join();
        daemon.terminate();
        daemon.join();
        in_heap<std::atomic<int>>(starts).fetch_add(2);
    }
}

/// While it lives, orphans become children of this process, which waits for them: an init process
/// may take seconds for that.
struct Subreaper {
    Subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
    Subreaper(const Subreaper&) = delete;
    Subreaper& operator=(const Subreaper&) = delete;
    ~Subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }
};

bool group_is_empty(pid_t leader) {
    while (::waitpid(-leader, nullptr, WNOHANG) > 0) {
    }
    return ::kill(-leader, 0) != 0 && errno == ESRCH;
}

}  // namespace

TEMPLATE_TEST_CASE("A parent killed in the middle of starts leaves nothing behind",
                   "[process][storm]", START_METHODS) {
    const support::Watchdog watchdog(280);
    const auto names = support::names_in("/dev/shm");
    exitcode_of<TestType>(nothing);  // a fork server is there, and must stay nobody's child
    const Subreaper orphans_come_here;
    support::Random random(11);
    for (int round = 0; round < (support::sanitized ? 5 : 40); ++round) {
        InHeap<std::atomic<int>> starts;
        mp::BasicProcess<TestType> parent(start_for_ever<TestType>, starts.offset());
        parent.start();
        REQUIRE(support::eventually([&] { return *starts > 0; }));
        ::usleep(random() % 5'000);
        parent.kill();
        parent.join();
        REQUIRE(parent.exitcode() == -SIGKILL);
        REQUIRE(support::eventually([&] { return group_is_empty(*parent.pid()); }));
    }
    REQUIRE(support::no_name_stays(names));
    REQUIRE_FALSE(support::has_children());
}
