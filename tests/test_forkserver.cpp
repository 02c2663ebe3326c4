// start_method/forkserver.hpp: what is the fork server's own. That children of every start method
// behave alike is shown by the other tests, which run under all of them.
// CTEST: RUN_SERIAL ON
// SPDX-License-Identifier: MIT
// ALONE: it counts the processes of its program
#include <multiprocessing.hpp>
#include <multiprocessing/detail/pidfd.hpp>
#include <multiprocessing/start_method/fork_server/state.hpp>

#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/nothing_left.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using support::eventually;
using support::in_heap;
using support::InHeap;
using support::NothingLeft;

namespace {

// Objects made before main, in a program that is started anew too.
mp::Value<int> made_before_main(7);
int preloaded = 0;

pid_t server_pid() {
    auto& family = mp::detail::heap().family();
    const auto id = mp::detail::Family::unpack(mp::detail::fork_server_state().server.load());
    if (!id || !family.is_alive(id)) return 0;
    return mp::detail::ProcessRecord::pid_of(family[id].state.load());
}
void kill_server(int signal = SIGKILL) {
    const pid_t pid = server_pid();
    if (pid == 0) return;
    ::kill(pid, signal);
    if (signal == SIGKILL) REQUIRE(eventually([&] { return server_pid() != pid; }));
}

void nothing() {}
void sleep_long() { ::sleep(600); }
void count(std::uint64_t counter) { in_heap<std::atomic<int>>(counter).fetch_add(1); }
void exit_with(int status) { mp::exit(status); }
void wait_and_exit(mp::Event go, int status) {
    go.wait();
    mp::exit(status);
}
void wait_and_raise(mp::Event ready, mp::Event go, int signal) {
    ready.set();
    go.wait();
    ::raise(signal);
}
void preload(int number) { preloaded = number; }
void crashing_preload() { ::_exit(1); }
void failing_preload() { throw std::runtime_error("no data"); }
void report_preloaded(std::uint64_t to) { in_heap<std::atomic<int>>(to) = preloaded; }
void report_parent(std::uint64_t to) { in_heap<std::atomic<int>>(to) = ::getppid(); }
void report_static(std::uint64_t to) {
    made_before_main.value += 1;
    in_heap<std::atomic<int>>(to) = static_cast<int>(made_before_main.value);
}
void write_folder() { std::puts(std::filesystem::current_path().c_str()); }
void report_signals(std::uint64_t to) {
    sigset_t blocked;
    ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
    struct sigaction interrupt {};
    ::sigaction(SIGINT, nullptr, &interrupt);
    in_heap<std::atomic<int>>(to) = (sigismember(&blocked, SIGUSR1) == 1 ? 1 : 0) +
                                    (sigismember(&blocked, SIGCHLD) == 1 ? 2 : 0) +
                                    (interrupt.sa_handler == SIG_DFL ? 4 : 0);
}
void report_descriptors(std::uint64_t to) {
    in_heap<std::atomic<int>>(to) = static_cast<int>(support::descriptors().size());
}
void start_another(std::uint64_t server) {
    mp::ForkServerProcess child(report_parent, server);
    child.start();
    child.join();
}

template <class F, class... Args>
int run(F f, Args... args) {
    mp::ForkServerProcess process(f, args...);
    process.start();
    process.join();
    return *process.exitcode();
}

}  // namespace

TEST_CASE("The fork server's children are its own, and it is nobody's child", "[forkserver]") {
    const support::Watchdog watchdog(60);
    const NothingLeft nothing_left;
    const InHeap<std::atomic<int>> parent;
    REQUIRE(run(report_parent, parent.offset()) == 0);
    REQUIRE(*parent == server_pid());
    REQUIRE(*parent != ::getpid());
    // A program that waits for any child must not find the server.
    REQUIRE_FALSE(support::has_children());
}

TEST_CASE("A family has one fork server", "[forkserver]") {
    const support::Watchdog watchdog(60);
    const NothingLeft nothing_left;
    REQUIRE(run(nothing) == 0);
    const InHeap<std::atomic<int>> seen[3];
    mp::ForkProcess forked(start_another, seen[0].offset());
    mp::SpawnProcess spawned(start_another, seen[1].offset());
    mp::ForkServerProcess served(start_another, seen[2].offset());
    forked.start();
    spawned.start();
    served.start();
    forked.join();
    spawned.join();
    served.join();
    for (const auto& server : seen) CHECK(*server == server_pid());
}

TEST_CASE("Many that need a fork server at once start one", "[forkserver]") {
    const support::Watchdog watchdog(120);
    const NothingLeft nothing_left;
    kill_server();
    const InHeap<std::atomic<int>> seen[8];
    {
        std::vector<std::jthread> threads;
        for (const auto& server : seen) {
            threads.emplace_back([&server] { run(report_parent, server.offset()); });
        }
    }
    for (const auto& server : seen) CHECK(*server == server_pid());
    REQUIRE(support::processes_of_this_program() == 2);
}

TEST_CASE("What the preload function made, all children have", "[forkserver]") {
    const support::Watchdog watchdog(60);
    const NothingLeft nothing_left;
    mp::set_forkserver_preload(preload, 42);
    kill_server();
    const InHeap<std::atomic<int>> number;
    for (int i = 0; i < 2; ++i) {
        *number = 0;
        REQUIRE(run(report_preloaded, number.offset()) == 0);
        REQUIRE(*number == 42);
        kill_server();  // its successor is warmed up too
    }
    REQUIRE(preloaded == 0);
}

TEST_CASE("A preload function that throws stops nothing", "[forkserver]") {
    const support::Watchdog watchdog(60);
    mp::set_forkserver_preload(failing_preload);
    kill_server();
    REQUIRE(run(exit_with, 5) == 5);
    mp::set_forkserver_preload(nothing);
    kill_server();
}

TEST_CASE("A fork server that is killed is replaced, its children go on", "[forkserver]") {
    const support::Watchdog watchdog(60);
    const NothingLeft nothing_left;
    mp::Event go;
    mp::ForkServerProcess child(wait_and_exit, go, 3);
    child.start();
    kill_server();
    REQUIRE(run(exit_with, 4) == 4);
    REQUIRE(child.is_alive());
    go.set();
    REQUIRE(child.join(20));
    REQUIRE(child.exitcode() == 3);
}

TEST_CASE("How a child ended is known without its fork server", "[forkserver]") {
    const support::Watchdog watchdog(60);
    const NothingLeft nothing_left;
    for (const int signal : {SIGKILL, SIGTERM}) {
        mp::ForkServerProcess child(sleep_long);
        child.start();
        kill_server();
        signal == SIGKILL ? child.kill() : child.terminate();
        REQUIRE(child.join(20));
        REQUIRE(child.exitcode() == -signal);
    }
    // Signals of others: the kernel tells while it is a zombie, and again since Linux 6.15.
    mp::Event ready;
    mp::Event go;
    mp::ForkServerProcess child(wait_and_raise, ready, go, SIGUSR1);
    child.start();
    REQUIRE(ready.wait(20));
    kill_server();
    go.set();
    REQUIRE(child.join(20));
    const int code = *child.exitcode();
    REQUIRE((code == -SIGUSR1 || code == 255));
}

TEST_CASE("A fork server that is stopped holds up nobody who only asks", "[forkserver]") {
    const support::Watchdog watchdog(60);
    mp::ForkServerProcess child(sleep_long);
    child.start();
    kill_server(SIGSTOP);
    child.kill();
    REQUIRE(child.join(30));
    REQUIRE(child.exitcode() == -SIGKILL);
    kill_server(SIGCONT);
    REQUIRE(run(exit_with, 9) == 9);
}

TEST_CASE("The fork server's children have their parent's folder and streams", "[forkserver]") {
    const support::Watchdog watchdog(60);
    const NothingLeft nothing_left;
    REQUIRE(run(nothing) == 0);  // the server runs, elsewhere
    const auto folder =
        std::filesystem::temp_directory_path() / ("forkserver-" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder);
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(folder);
    const int output = ::dup(STDOUT_FILENO);
    std::fflush(stdout);
    const int file = ::open("output", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ::dup2(file, STDOUT_FILENO);
    const int status = run(write_folder);
    ::dup2(output, STDOUT_FILENO);
    ::close(output);
    ::close(file);
    std::filesystem::current_path(before);
    std::string line;
    std::getline(std::ifstream(folder / "output"), line);
    std::filesystem::remove_all(folder);
    REQUIRE(status == 0);
    REQUIRE(line == folder);
}

TEST_CASE("The fork server holds no pipe of whoever started it", "[forkserver]") {
    const support::Watchdog watchdog(60);
    const NothingLeft nothing_left;
    kill_server();
    auto ends = mp::detail::make_pipe();
    const int output = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    ::dup2(ends.write.get(), STDOUT_FILENO);
    ends.write.reset();
    const int status = run(nothing);
    ::dup2(output, STDOUT_FILENO);
    ::close(output);
    REQUIRE(status == 0);
    REQUIRE(server_pid() != 0);
    char byte = 0;
    REQUIRE(::read(ends.read.get(), &byte, 1) == 0);
}

TEST_CASE("The fork server's children have clean signals, not its own", "[forkserver]") {
    const support::Watchdog watchdog(60);
    const InHeap<std::atomic<int>> seen;
    REQUIRE(run(report_signals, seen.offset()) == 0);
    REQUIRE(*seen == 4);
    sigset_t block;
    ::sigemptyset(&block);
    ::sigaddset(&block, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &block, nullptr);
    REQUIRE(run(report_signals, seen.offset()) == 0);
    ::pthread_sigmask(SIG_UNBLOCK, &block, nullptr);
    REQUIRE(*seen == 5);
}

TEST_CASE("A fork server that is told to end passes on how its children end before",
          "[forkserver]") {
    const support::Watchdog watchdog(60);
    const NothingLeft nothing_left;
    mp::Event go;
    mp::ForkServerProcess child(wait_and_exit, go, 3);
    child.start();
    const pid_t server = server_pid();
    kill_server(SIGTERM);
    const InHeap<std::atomic<int>> parent;
    REQUIRE(run(report_parent, parent.offset()) == 0);
    REQUIRE(*parent == server);  // it serves for as long as it must be there
    go.set();
    REQUIRE(child.join(20));
    REQUIRE(child.exitcode() == 3);
    REQUIRE(eventually([&] { return server_pid() != server; }));
    REQUIRE(run(exit_with, 4) == 4);
}

TEST_CASE("The end of a fork server hangs up on nobody", "[forkserver]") {
    // In a session without a terminal all groups are orphaned ones. One that becomes so, while one
    // of its processes is stopped, gets SIGHUP from the kernel.
    const support::Watchdog watchdog(60);
    const NothingLeft nothing_left;
    kill_server();
    mp::ForkProcess session([] {
        ::setsid();
        REQUIRE(run(exit_with, 0) == 0);  // starts a server of this session
        mp::ForkServerProcess stopped([] { ::raise(SIGSTOP); });
        stopped.start();
        REQUIRE(eventually([&] {
            const auto status = mp::detail::process_status(*stopped.pid());
            return status && status->state == 'T';
        }));
        kill_server();
        stopped.kill();
        stopped.join();
        mp::exit(7);
    });
    session.start();
    session.join();
    REQUIRE(session.exitcode() == 7);
}

TEST_CASE("A fork server that a thread without signals has started ends when told to",
          "[forkserver]") {
    kill_server();
    std::thread([] {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        run(nothing);
    }).join();
    const pid_t server = server_pid();
    REQUIRE(server != 0);
    kill_server(SIGTERM);
    CHECK(eventually([&] { return server_pid() != server; }));
}

TEST_CASE("Thousands of starts leave no descriptor in the fork server or its children",
          "[forkserver]") {
    const support::Watchdog watchdog(240);
    const NothingLeft nothing_left;
    const InHeap<std::atomic<int>> seen;
    REQUIRE(run(report_descriptors, seen.offset()) == 0);
    const int first = *seen;
    const std::string folder = "/proc/" + std::to_string(server_pid()) + "/fd";
    const auto of_server = support::names_in(folder.c_str());
    for (int i = 0; i < (support::sanitized ? 200 : 2000); ++i) REQUIRE(run(nothing) == 0);
    REQUIRE(run(report_descriptors, seen.offset()) == 0);
    REQUIRE(*seen == first);
    REQUIRE(support::names_in(folder.c_str()) == of_server);
}

TEST_CASE("A fork server without descriptors says so, and goes on", "[forkserver]") {
    const support::Watchdog watchdog(60);
    const NothingLeft nothing_left;
    REQUIRE(run(nothing) == 0);
    rlimit before{};
    REQUIRE(::prlimit(server_pid(), RLIMIT_NOFILE, nullptr, &before) == 0);
    const rlimit tight{4, before.rlim_max};
    REQUIRE(::prlimit(server_pid(), RLIMIT_NOFILE, &tight, nullptr) == 0);
    mp::ForkServerProcess process(exit_with, 6);
    try {
        process.start();
        FAIL("a child without descriptors was forked");
    } catch (const std::system_error& error) {
        REQUIRE(error.code().value() == EMFILE);
    }
    REQUIRE(::prlimit(server_pid(), RLIMIT_NOFILE, &before, nullptr) == 0);
    process.start();
    REQUIRE(process.join(20));
    REQUIRE(process.exitcode() == 6);
}

TEST_CASE("Static objects are made anew in a program that is started anew", "[forkserver]") {
    const support::Watchdog watchdog(60);
    const NothingLeft nothing_left;
    const InHeap<std::atomic<int>> seen;
    mp::SpawnProcess spawned(report_static, seen.offset());
    spawned.start();
    spawned.join();
    REQUIRE(spawned.exitcode() == 0);
    REQUIRE(*seen == 8);
    kill_server();
    REQUIRE(run(report_static, seen.offset()) == 0);
    REQUIRE(*seen == 8);
    REQUIRE(static_cast<int>(made_before_main.value) == 7);
}

TEST_CASE("The fork server ends with its family, at once, however that ends", "[forkserver]") {
    const support::Watchdog watchdog(120);
    const NothingLeft nothing_left;
    kill_server();
    REQUIRE(eventually([] { return support::processes_of_this_program() == 1; }));
    for (const bool in_order : {true, false}) {
        // A family of its own: the child of a program that knows nothing of this one's heap.
        const pid_t other = ::fork();
        if (other == 0) {
            ::setpgid(0, 0);
            ::setenv("FORKSERVER_TEST_FAMILY", in_order ? "1" : "2", 1);
            ::execl("/proc/self/exe", "test_forkserver", nullptr);
            ::_exit(127);
        }
        int status = 0;
        REQUIRE(::waitpid(other, &status, 0) == other);
        REQUIRE((in_order ? status == 0 : WIFSIGNALED(status)));
        if (in_order) {
            REQUIRE(support::processes_of_this_program() == 1);
            // Not even a zombie of it is left, for an init process that takes its time.
            REQUIRE(::kill(-other, 0) == -1);
        }
        REQUIRE(eventually([] { return support::processes_of_this_program() == 1; }));
    }
}

TEST_CASE("Every start succeeds or says why not, however often the fork server is killed",
          "[forkserver][storm]") {
    const support::Watchdog watchdog(240);
    const NothingLeft nothing_left;
    std::atomic<int> kills{0};
    const InHeap<std::atomic<int>> ran;
    std::jthread killer([&](const std::stop_token& done) {
        support::Random random(5);
        std::uint32_t longest_us = 4000;
        int in_vain = 0;
        int ran_before = 0;
        pid_t last = 0;
        while (!done.stop_requested()) {
            ::usleep(random() % longest_us);
            const pid_t pid = server_pid();
            if (pid == 0 || pid == last) continue;
            ::kill(pid, SIGKILL);
            last = pid;
            ++kills;
            // Under a sanitizer beside other work a server may need longer for one child than it
            // is let live; then let it live longer.
            in_vain = *ran == ran_before ? in_vain + 1 : 0;
            ran_before = *ran;
            if (in_vain == 20) {
                longest_us *= 2;
                in_vain = 0;
            }
        }
    });
    const int wanted = support::sanitized ? 20 : 100;
    int starts = 0;
    while (kills < wanted || starts < wanted) {
        mp::ForkServerProcess process(count, ran.offset());
        process.start();
        REQUIRE(process.join(60));
        REQUIRE(process.exitcode() == 0);
        ++starts;
    }
    killer.request_stop();
    killer.join();
    // Neither was one lost, nor did one run twice.
    REQUIRE(*ran == starts);
}

TEST_CASE("A start that no fork server lives long enough for says so", "[forkserver]") {
    const support::Watchdog watchdog(120);
    const NothingLeft nothing_left;
    mp::set_forkserver_preload(crashing_preload);
    kill_server();
    REQUIRE_THROWS_WITH(run(nothing), Catch::Matchers::ContainsSubstring("preload function crash"));
    mp::set_forkserver_preload(nothing);
    REQUIRE(run(exit_with, 5) == 5);
}

TEST_CASE("Who is killed while it starts the fork server leaves one, or none",
          "[forkserver][storm]") {
    const support::Watchdog watchdog(240);
    const NothingLeft nothing_left;
    support::Random random(9);
    for (int i = 0; i < (support::sanitized ? 10 : 60); ++i) {
        kill_server();
        mp::ForkProcess starter([] { run(nothing); });
        starter.start();
        ::usleep(random() % 3000);
        starter.kill();
        starter.join();
        REQUIRE(run(exit_with, 4) == 4);
    }
    REQUIRE(eventually([] { return support::processes_of_this_program() == 2; }));
}

/// What the family of its own does, before Catch2 has a say.
[[maybe_unused]] const bool family_of_its_own = [] {
    const char* const how = std::getenv("FORKSERVER_TEST_FAMILY");
    if (how == nullptr) return false;
    ::unsetenv("FORKSERVER_TEST_FAMILY");
    mp::freeze_support();
    const bool in_order = *how == '1';
    mp::ForkServerProcess child(sleep_long);
    child.set_daemon(true);
    child.start();
    if (run(exit_with, 2) != 2) ::_exit(1);
    if (!in_order) ::raise(SIGKILL);
    std::exit(0);
}();
