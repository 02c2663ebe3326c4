// Tasks that take too long, and workers that never get anywhere.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <chrono>
#include <multiprocessing/detail/pidfd.hpp>
#include <stdexcept>

namespace {

int spin_for_ever(int) {
    for (std::atomic<int> i{0};;) ++i;
}
int be_slow_at_13(int x) {
    if (x == 13) ::sleep(600);
    return x;
}
int work_for_a_while(int x) {
    ::usleep(60'000);
    return x;
}

/// How a task starts a program.
enum class Start { child, own_session, by_shell, orphan };

/// Starts a program that sleeps, notes its pid, and waits for ever.
int wait_for_program(std::uint64_t noted, int how) {
    const auto start = static_cast<Start>(how);
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (start == Start::own_session) ::setsid();
        if (start == Start::orphan && ::fork() != 0) ::_exit(0);
        in_heap<std::atomic<int>>(noted).store(::getpid());
        if (start == Start::by_shell) ::execlp("sh", "sh", "-c", "sleep 600; true", nullptr);
        ::execlp("sleep", "sleep", "600", nullptr);
        ::_exit(127);
    }
    for (;;) ::pause();
}
/// Returns whether the program ends soon.
bool ends(pid_t pid) {
    return support::eventually([pid] {
        const auto status = mp::detail::process_status(pid);
        return !status || status->state == 'Z';
    });
}
pid_t noted_in(const InHeap<std::atomic<int>>& noted) {
    (void)support::eventually([&] { return noted->load() != 0; });
    ::usleep(20'000);  // it is about to become another program
    return noted->exchange(0);
}

/// Starts a process of its own and waits for it.
template <class Method>
int wait_for_child(std::uint64_t child) {
    mp::BasicProcess<Method> process(sleep_for_seconds, 600);
    process.start();
    in_heap<std::atomic<int>>(child).store(*process.pid());
    process.join();
    return 0;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

TEMPLATE_TEST_CASE("task_timeout ends a stuck task whatever it does, and frees its place", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .task_timeout = 0.2});
    const auto task = GENERATE(&sleep_for_seconds, &spin_for_ever, &block_and_sleep, &stop_itself);
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE_THROWS_AS(pool.apply(task, 600), mp::TimeoutError);
    REQUIRE(seconds_since(begin) >= 0.2);
    REQUIRE(pool.map(square, numbers(10), 1).back() == 81);
    REQUIRE(support::eventually([] { return mp::active_children().size() == 2; }));
}

TEMPLATE_TEST_CASE("task_timeout counts for each task, not for its chunk or the map", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(
        {.processes = 2, .task_timeout = support::sanitized ? 5.0 : 1.0, .retries = 3});
    const int many = support::sanitized ? 200 : 40;
    REQUIRE(pool.map(work_for_a_while, numbers(many), many / 2).back() == many - 1);
    try {
        pool.map(be_slow_at_13, numbers(40), 10);
        FAIL("no exception");
    } catch (const mp::TimeoutError& error) {
        REQUIRE(std::string(error.what()).find("item 13 of call 2") != std::string::npos);
    }
}

TEMPLATE_TEST_CASE("With a stuck worker its own children end", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 1, .task_timeout = support::sanitized ? 3.0 : 0.5});
    InHeap<std::atomic<int>> child;
    REQUIRE_THROWS_AS(pool.apply(wait_for_child<TestType>, child.offset()), mp::TimeoutError);
    REQUIRE(*child != 0);
    REQUIRE(support::eventually([&] {
        return !mp::detail::process_status(*child) ||
               mp::detail::process_status(*child)->state == 'Z';
    }));
}

TEMPLATE_TEST_CASE("A stuck task ends with the programs that it has started", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const InHeap<std::atomic<int>> noted;
    for (const Start how : {Start::child, Start::own_session, Start::by_shell, Start::orphan}) {
        const int number = static_cast<int>(how);
        CAPTURE(number);
        {
            mp::BasicPool<TestType> pool({.processes = 1, .task_timeout = 0.3});
            const auto late = pool.apply_async(wait_for_program, noted.offset(), number);
            const pid_t program = noted_in(noted);
            REQUIRE_THROWS_AS(late.get(), mp::TimeoutError);
            CHECK(ends(program));
        }
        mp::BasicPool<TestType> pool(1);
        const auto cancelled = pool.apply_async(wait_for_program, noted.offset(), number);
        pid_t program = noted_in(noted);
        REQUIRE(cancelled.cancel(true));
        CHECK(ends(program));
        REQUIRE(pool.apply(square, 3) == 9);
        const auto running = pool.apply_async(wait_for_program, noted.offset(), number);
        program = noted_in(noted);
        pool.terminate();
        CHECK(ends(program));
    }
}

TEMPLATE_TEST_CASE("A task's programs end when the pool's owner is killed", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const InHeap<std::atomic<int>> noted;
    for (const Start how : {Start::child, Start::by_shell, Start::orphan}) {
        const int number = static_cast<int>(how);
        CAPTURE(number);
        mp::ForkProcess owner([&noted, number] {
            mp::BasicPool<TestType> pool(1);
            (void)pool.apply(wait_for_program, noted.offset(), number);
        });
        owner.start();
        const pid_t program = noted_in(noted);
        owner.kill();
        owner.join();
        CHECK(ends(program));
    }
}

TEST_CASE("A pool whose fork server is stopped serves by the workers that it has", "[pool]") {
    const Tidy tidy;
    mp::BasicPool<mp::start_method::forkserver> pool(2);
    const pid_t server = pool.apply([] { return ::getppid(); });
    ::kill(server, SIGSTOP);
    mp::active_children()[0].kill();
    for (int i = 0; i < 20; ++i) REQUIRE(pool.apply(square, i) == i * i);
    const auto begin = std::chrono::steady_clock::now();
    pool.terminate();
    CHECK(seconds_since(begin) < 10);  // it does not wait for the server
    ::kill(server, SIGCONT);
}

TEST_CASE("Work that a spinning worker was to take is done by another one when it dies", "[pool]") {
    const Tidy tidy;
    for (int round = 0; round < (support::sanitized ? 10 : 40); ++round) {
        mp::BasicPool<mp::start_method::forkserver> pool(2);
        const pid_t server = pool.apply([] { return ::getppid(); });
        ::kill(server, SIGSTOP);  // nobody comes in the place of the dead one
        const pid_t worker = pool.apply([] { return ::getpid(); });
        ::kill(worker, SIGSTOP);
        const auto late = pool.apply_async(square, 3);
        ::kill(worker, SIGKILL);
        CHECK(late.get(30.0) == 9);
        pool.terminate();
        ::kill(server, SIGCONT);
    }
}

TEMPLATE_TEST_CASE("A pool whose workers die before they take a task is broken", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    // A thread of the initializer's kills the worker once it is ready.
    mp::BasicPool<TestType> pool(1, [] {
        std::thread([] {
            ::usleep(5'000);
            ::_exit(7);
        }).detach();
    });
    REQUIRE(support::eventually([&] {
        try {
            pool.map(square, std::vector<int>());
            return false;
        } catch (const mp::BrokenProcessPool& error) {
            return std::string(error.what()).find("exit code 7") != std::string::npos;
        }
    }));
}

TEST_CASE("A hint at lack of memory is read from the kernel's counts", "[pool]") {
    using mp::detail::number_after;
    REQUIRE(number_after("low 0\noom 2\noom_kill 3\noom_group_kill 4\n", "oom_kill") == 3);
    REQUIRE(number_after("oom_kill_other 3\n", "oom_kill") == -1);
    REQUIRE(number_after("", "oom_kill") == -1);
    const std::string text = mp::detail::describe_loss(-9, 12, "item 4 of call 3", true);
    REQUIRE(text.find("memory had run out") != std::string::npos);
    REQUIRE(text.find("signal 9 (SIGKILL) while it ran item 4 of call 3") != std::string::npos);
}
