// process.hpp under every start method: the life of a process from start to close.
// SPDX-License-Identifier: MIT
#include <multiprocessing/process.hpp>

#include <poll.h>

#include <csignal>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using support::in_heap;
using support::InHeap;

#define START_METHODS mp::start_method::fork, mp::start_method::spawn, mp::start_method::forkserver

namespace {

// --- what the children do ---

void nothing() {}
void exit_with(int status) { mp::exit(status); }
void leave_with(int status) { ::_exit(status); }
void throw_error() { throw std::runtime_error("boom"); }
void throw_number() { throw 42; }
void raise_signal(int number) {
    std::signal(number, SIG_DFL);
    std::raise(number);
}
void sleep_long() { ::sleep(600); }
void sleep_a_second() { ::sleep(1); }
void add(std::uint64_t sum, int a, int b) { in_heap<std::atomic<int>>(sum) = a + b; }

struct Greeting {
    std::string text;
    std::vector<int> numbers;
};
void check_arguments(std::uint64_t result, const Greeting& greeting, std::string& text, double d,
                     std::string&& moved) {
    const bool right = greeting.text == "hello" && greeting.numbers == std::vector{1, 2, 3} &&
                       text == "a literal" && d == 2 && moved == "moved";
    in_heap<std::atomic<int>>(result) = right ? 1 : 2;
}

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
void read_stdin(std::uint64_t result) {
    in_heap<std::atomic<int>>(result) = std::getchar() == EOF ? 1 : 2;
}
struct SetOnDestruction {
    std::uint64_t flag;
    ~SetOnDestruction() { in_heap<std::atomic<int>>(flag) = 1; }
};
void exit_with_locals(std::uint64_t flag) {
    const SetOnDestruction local{flag};
    mp::exit(3);
}
void watch_parent(std::uint64_t offset) {
    auto& tree = in_heap<Tree>(offset);
    tree.other = ::getpid();
    tree.finished = mp::parent_process()->join();
}
template <class Method>
void start_watcher_and_die(std::uint64_t offset) {
    mp::BasicProcess<Method> watcher(watch_parent, offset);
    watcher.start();
    support::eventually([&] { return in_heap<Tree>(offset).other != 0; });
    std::raise(SIGKILL);
}

bool is_running(pid_t pid) {
    const auto status = mp::detail::process_status(pid);
    return status && status->state != 'Z' && status->state != 'X';
}

template <class Method>
int exitcode_of(auto f, auto... args) {
    mp::BasicProcess<Method> process(f, args...);
    process.start();
    REQUIRE(process.join(60));
    return process.exitcode().value();
}

}  // namespace

TEMPLATE_TEST_CASE("Process runs a function with its arguments", "[process]", START_METHODS) {
    InHeap<std::atomic<int>> sum;
    mp::BasicProcess<TestType> process(add, sum.offset(), 2, 3);
    process.start();
    REQUIRE(process.join());
    REQUIRE(process.exitcode() == 0);
    REQUIRE(*sum == 5);
}

TEMPLATE_TEST_CASE("Process converts arguments to the parameters' types", "[process]",
                   START_METHODS) {
    InHeap<std::atomic<int>> result;
    mp::BasicProcess<TestType> process(check_arguments, result.offset(),
                                       Greeting{"hello", {1, 2, 3}}, "a literal", 2, "moved");
    process.start();
    process.join();
    REQUIRE(*result == 1);
}

TEMPLATE_TEST_CASE("Process runs a captureless lambda", "[process]", START_METHODS) {
    InHeap<std::atomic<int>> result;
    mp::BasicProcess<TestType> process(
        [](std::uint64_t offset) { in_heap<std::atomic<int>>(offset) = 7; }, result.offset());
    process.start();
    process.join();
    REQUIRE(*result == 7);
}

TEST_CASE("ForkProcess runs a capturing lambda", "[process]") {
    InHeap<std::atomic<int>> result;
    const std::string text = "captured";
    mp::ForkProcess process([&result, text] { *result = static_cast<int>(text.size()); });
    process.start();
    process.join();
    REQUIRE(*result == 8);
}

namespace {
struct Subclass : mp::ForkProcess {
    explicit Subclass(std::atomic<int>& result) : result_(result) {}
    void run() override {
        result_ = pid() == ::getpid() && is_alive() && name() == mp::current_process().name();
    }
    std::atomic<int>& result_;
};
}  // namespace

TEST_CASE("A subclass of ForkProcess overrides run", "[process]") {
    InHeap<std::atomic<int>> result;
    Subclass process(*result);
    process.start();
    process.join();
    REQUIRE(*result == 1);
}

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

TEMPLATE_TEST_CASE("Exit codes are Python's", "[process]", START_METHODS) {
    REQUIRE(exitcode_of<TestType>(nothing) == 0);
    REQUIRE(exitcode_of<TestType>(exit_with, 0) == 0);
    REQUIRE(exitcode_of<TestType>(exit_with, 7) == 7);
    REQUIRE(exitcode_of<TestType>(exit_with, 256) == 0);
    REQUIRE(exitcode_of<TestType>(exit_with, 257) == 1);
    REQUIRE(exitcode_of<TestType>(exit_with, -1) == 255);
    REQUIRE(exitcode_of<TestType>(exit_with, -15) == 241);
    REQUIRE(exitcode_of<TestType>(leave_with, 300) == 44);
    REQUIRE(exitcode_of<TestType>(raise_signal, SIGTERM) == -SIGTERM);
    REQUIRE(exitcode_of<TestType>(raise_signal, SIGKILL) == -SIGKILL);
    REQUIRE(exitcode_of<TestType>(raise_signal, SIGSEGV) == -SIGSEGV);
    REQUIRE(exitcode_of<TestType>(raise_signal, SIGABRT) == -SIGABRT);
}

TEMPLATE_TEST_CASE("exit destroys the locals on the way out", "[process]", START_METHODS) {
    InHeap<std::atomic<int>> destroyed;
    REQUIRE(exitcode_of<TestType>(exit_with_locals, destroyed.offset()) == 3);
    REQUIRE(*destroyed == 1);
}

namespace {

/// What a child writes on standard error.
template <class Body>
std::string standard_error_of(Body body) {
    mp::detail::PipeEnds pipe = mp::detail::make_pipe();
    const int saved = ::dup(STDERR_FILENO);
    ::dup2(pipe.write.get(), STDERR_FILENO);
    pipe.write.reset();
    body();
    ::dup2(saved, STDERR_FILENO);
    ::close(saved);
    std::string text(4096, '\0');
    text.resize(static_cast<std::size_t>(::read(pipe.read.get(), text.data(), text.size())));
    return text;
}

}  // namespace

TEMPLATE_TEST_CASE("An exception that leaves the target is printed and exits 1", "[process]",
                   START_METHODS) {
    std::string name;
    int exitcode = 0;
    const std::string text = standard_error_of([&] {
        mp::BasicProcess<TestType> process({.name = "thrower"}, throw_error);
        process.start();
        process.join();
        exitcode = process.exitcode().value();
    });
    REQUIRE(exitcode == 1);
    REQUIRE(text.find("Process thrower:") == 0);
    REQUIRE(text.find("std::runtime_error") != std::string::npos);
    REQUIRE(text.find("boom") != std::string::npos);
}

TEMPLATE_TEST_CASE("A thrown number is printed with its type and exits 1", "[process]",
                   START_METHODS) {
    const std::string text =
        standard_error_of([] { REQUIRE(exitcode_of<TestType>(throw_number) == 1); });
    REQUIRE(text.find("int") != std::string::npos);
}

TEMPLATE_TEST_CASE("terminate, kill and interrupt end a process by their signals", "[process]",
                   START_METHODS) {
    const auto ended_by = [](auto end) {
        mp::BasicProcess<TestType> process(sleep_long);
        process.start();
        REQUIRE(process.is_alive());
        REQUIRE_FALSE(process.join(0.01));
        REQUIRE_FALSE(process.exitcode().has_value());
        end(process);
        process.join();
        REQUIRE_FALSE(process.is_alive());
        end(process);  // of one that has ended: nothing happens
        return process.exitcode().value();
    };
    REQUIRE(ended_by([](auto& process) { process.terminate(); }) == -SIGTERM);
    REQUIRE(ended_by([](auto& process) { process.kill(); }) == -SIGKILL);
    REQUIRE(ended_by([](auto& process) { process.interrupt(); }) == -SIGINT);
}

TEMPLATE_TEST_CASE("The sentinel polls readable when the process has ended", "[process]",
                   START_METHODS) {
    mp::BasicProcess<TestType> process(sleep_long);
    REQUIRE_THROWS_AS(process.sentinel(), mp::ValueError);
    process.start();
    pollfd entry{process.sentinel(), POLLIN, 0};
    REQUIRE(::poll(&entry, 1, 0) == 0);
    process.kill();
    REQUIRE(::poll(&entry, 1, 60'000) == 1);
    process.join();
    REQUIRE(::poll(&entry, 1, 0) == 1);
    REQUIRE(process.sentinel() == entry.fd);
}

TEMPLATE_TEST_CASE("The sentinel of a process that was joined before is readable", "[process]",
                   START_METHODS) {
    mp::BasicProcess<TestType> process(nothing);
    process.start();
    process.join();
    pollfd entry{process.sentinel(), POLLIN, 0};
    REQUIRE(::poll(&entry, 1, 0) == 1);
}

TEMPLATE_TEST_CASE("Misuse of a process throws", "[process]", START_METHODS) {
    mp::BasicProcess<TestType> process(nothing);
    REQUIRE_THROWS_AS(process.join(), mp::AssertionError);
    REQUIRE_THROWS_AS(process.terminate(), mp::AssertionError);
    REQUIRE_THROWS_AS(process.kill(), mp::AssertionError);
    REQUIRE_THROWS_AS(process.interrupt(), mp::AssertionError);
    REQUIRE_FALSE(process.is_alive());
    REQUIRE_FALSE(process.pid().has_value());
    REQUIRE_FALSE(process.exitcode().has_value());
    process.start();
    REQUIRE_THROWS_AS(process.start(), mp::AssertionError);
    REQUIRE_THROWS_AS(process.set_daemon(true), mp::AssertionError);
    process.join();
    REQUIRE(process.join());
    REQUIRE_THROWS_AS(process.start(), mp::AssertionError);
}

TEMPLATE_TEST_CASE("A closed process answers only to its name", "[process]", START_METHODS) {
    mp::BasicProcess<TestType> process(sleep_long);
    process.start();
    REQUIRE_THROWS_AS(process.close(), mp::ValueError);
    process.kill();
    process.join();
    process.close();
    process.close();
    REQUIRE_THROWS_AS(process.start(), mp::ValueError);
    REQUIRE_THROWS_AS(process.join(), mp::ValueError);
    REQUIRE_THROWS_AS(process.is_alive(), mp::ValueError);
    REQUIRE_THROWS_AS(process.terminate(), mp::ValueError);
    REQUIRE_THROWS_AS(process.kill(), mp::ValueError);
    REQUIRE_THROWS_AS(process.pid(), mp::ValueError);
    REQUIRE_THROWS_AS(process.exitcode(), mp::ValueError);
    REQUIRE_THROWS_AS(process.sentinel(), mp::ValueError);
    REQUIRE_FALSE(process.name().empty());
    mp::BasicProcess<TestType> unstarted(nothing);
    unstarted.close();
    REQUIRE_THROWS_AS(unstarted.start(), mp::ValueError);
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

TEMPLATE_TEST_CASE("A process can be moved, started and not", "[process]", START_METHODS) {
    std::vector<mp::BasicProcess<TestType>> processes;
    InHeap<std::atomic<int>> sum;
    for (int i = 0; i < 3; ++i) processes.emplace_back(add, sum.offset(), i, 1);
    for (auto& process : processes) process.start();
    mp::BasicProcess<TestType> moved = std::move(processes[1]);
    REQUIRE(moved.join());
    REQUIRE(moved.exitcode() == 0);
    processes[0].join();
    processes[2].join();
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

TEMPLATE_TEST_CASE("Several threads may wait for one process", "[process]", START_METHODS) {
    mp::BasicProcess<TestType> process(sleep_long);
    process.start();
    std::atomic<int> joined{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] { joined += process.join(60) && process.exitcode() == -SIGKILL; });
    }
    process.kill();
    for (auto& thread : threads) thread.join();
    REQUIRE(joined == 8);
}

TEMPLATE_TEST_CASE("Processes may be started by many threads at once", "[process]", START_METHODS) {
    const support::Watchdog watchdog(200);
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 10; ++round) {
                mp::BasicProcess<TestType> process(exit_with, round);
                process.start();
                process.join();
                right += process.exitcode() == round;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    REQUIRE(right == 80);
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
    InHeap<Tree> tree;
    mp::BasicProcess<TestType> process(start_watcher_and_die<TestType>, tree.offset());
    process.start();
    process.join();
    REQUIRE(process.exitcode() == -SIGKILL);
    REQUIRE(support::eventually([&] { return tree->finished.load(); }));
    REQUIRE(support::eventually([&] { return !is_running(tree->other); }));
}

TEMPLATE_TEST_CASE("A child reads no standard input", "[process]", START_METHODS) {
    InHeap<std::atomic<int>> result;
    mp::BasicProcess<TestType> process(read_stdin, result.offset());
    process.start();
    process.join();
    REQUIRE(*result == 1);
}

TEMPLATE_TEST_CASE("A signal does not end the wait for a process", "[process]", START_METHODS) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    struct sigaction previous {};
    ::sigaction(SIGUSR1, &action, &previous);  // without SA_RESTART
    mp::BasicProcess<TestType> process(sleep_long);
    process.start();
    const pthread_t waiter = ::pthread_self();
    std::thread disturber([&] {
        for (int i = 0; i < 50; ++i) {
            ::usleep(1'000);
            ::pthread_kill(waiter, SIGUSR1);
        }
        process.kill();
    });
    REQUIRE(process.join());
    disturber.join();
    ::sigaction(SIGUSR1, &previous, nullptr);
    REQUIRE(process.exitcode() == -SIGKILL);
}

TEMPLATE_TEST_CASE("With SIGCHLD ignored, what a child said last is its exit code", "[process]",
                   START_METHODS) {
    struct IgnoreChildren {
        IgnoreChildren() { std::signal(SIGCHLD, SIG_IGN); }
        ~IgnoreChildren() { std::signal(SIGCHLD, SIG_DFL); }
    } const ignore;
    for (int i = 0; i < 100; ++i) {  // some are gone before start has looked at them
        const int exitcode = exitcode_of<TestType>(exit_with, 9);
        REQUIRE(exitcode == 9);
        const int killed = exitcode_of<TestType>(raise_signal, SIGKILL);
        // The kernel tells since Linux 6.15, of those that start has still seen.
        REQUIRE((killed == -SIGKILL || killed == 255));
    }
}

TEMPLATE_TEST_CASE("A start without descriptors left throws, and leaves nothing", "[process]",
                   START_METHODS) {
    exitcode_of<TestType>(nothing);  // the heap and the lifeline are there
    std::vector<mp::detail::Descriptor> hogs;
    // It lives for a while: one of the fork server's that has ended already needs no descriptor.
    mp::BasicProcess<TestType> process(sleep_a_second);
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const rlimit small{64, before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &small);
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) hogs.emplace_back(fd);
    std::exception_ptr error;
    try {
        process.start();
    } catch (...) {
        error = std::current_exception();
    }
    hogs.clear();
    ::setrlimit(RLIMIT_NOFILE, &before);
    REQUIRE(error != nullptr);
    REQUIRE_THROWS_AS(std::rethrow_exception(error), std::system_error);
    REQUIRE(mp::active_children().empty());
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 0);
}

TEST_CASE("A forked child does not write its parent's buffered output again", "[process]") {
    const std::string path = "/tmp/multiprocessing-test-" + std::to_string(::getpid());
    const int saved = ::dup(STDOUT_FILENO);
    std::fflush(stdout);
    std::freopen(path.c_str(), "w", stdout);
    std::printf("once ");
    exitcode_of<mp::start_method::fork>([] { std::printf("child "); });
    std::printf("after");
    std::fflush(stdout);
    ::dup2(saved, STDOUT_FILENO);
    ::close(saved);
    std::string text;
    std::getline(std::ifstream(path), text);
    ::unlink(path.c_str());
    REQUIRE(text == "once child after");
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

TEST_CASE("process_cpu_count honours the affinity", "[process]") {
    REQUIRE(mp::cpu_count() >= 1);
    REQUIRE(mp::process_cpu_count() >= 1);
    std::thread([] {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(0, &one);
        ::sched_setaffinity(0, sizeof one, &one);
        REQUIRE(mp::process_cpu_count() == 1);
    }).join();
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
    REQUIRE(support::names_in("/dev/shm") == names);
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
    REQUIRE(support::names_in("/dev/shm") == names);
    REQUIRE_FALSE(support::has_children());
}
