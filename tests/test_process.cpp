// process.hpp under every start method: the life of a process from start to close. Its relatives
// are in process/test_family.cpp. SPDX-License-Identifier: MIT
#include <sys/resource.h>
#include "tests/process/support.hpp"

#include <fcntl.h>
#include <poll.h>

#include <cstdio>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

// --- what the children do ---

void exit_with(int status) { mp::exit(status); }
void leave_with(int status) { ::_exit(status); }
void throw_error() { throw std::runtime_error("boom"); }
void throw_number() { throw 42; }
void raise_signal(int number) {
    std::signal(number, SIG_DFL);
    std::raise(number);
}
void wait_until_set(std::uint64_t flag) {
    while (in_heap<std::atomic<int>>(flag) == 0) ::usleep(1'000);
}
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

/// Sends what this process prints to a file.
class RedirectedOutput {
  public:
    RedirectedOutput() {
        std::fflush(stdout);
        ::dup2(::fileno(file_), STDOUT_FILENO);
        std::setvbuf(stdout, nullptr, _IOFBF, BUFSIZ);
    }
    RedirectedOutput(const RedirectedOutput&) = delete;
    RedirectedOutput& operator=(const RedirectedOutput&) = delete;
    ~RedirectedOutput() { std::fclose(file_); }

    /// Ends it. @returns what was printed
    std::string finish() {
        std::fflush(stdout);
        ::dup2(before_.get(), STDOUT_FILENO);
        std::rewind(file_);
        std::string text;
        for (int c = 0; (c = std::getc(file_)) != EOF;) text += static_cast<char>(c);
        return text;
    }

  private:
    std::FILE* const file_ = std::tmpfile();
    const mp::detail::Descriptor before_{::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)};
};

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

namespace {

/// What a Python program has as a subclass of Process.
struct Consumer {
    std::uint64_t result;
    int first;
    std::vector<int> rest;

    void run() {
        for (const int number : rest) first += number;
        support::in_heap<std::atomic<int>>(result) = first;
        if (mp::current_process().name().starts_with("Consumer-")) mp::exit(3);
    }
};

template <class T>
struct Counting {
    T from;
    void run() const { mp::exit(static_cast<int>(from) + 1); }
};

}  // namespace

TEMPLATE_TEST_CASE("An object with fields and run() is a process named after its class",
                   "[process]", START_METHODS) {
    const InHeap<std::atomic<int>> result;
    mp::BasicProcess<TestType> process(Consumer{result.offset(), 1, {2, 3}});
    REQUIRE(process.name().starts_with("Consumer-"));
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 3);
    REQUIRE(*result == 6);

    mp::BasicProcess<TestType> named({.name = "worker"}, Consumer{result.offset(), 1, {}});
    REQUIRE(named.name() == "worker");
    named.start();
    named.join();
    REQUIRE(named.exitcode() == 0);

    mp::BasicProcess<TestType> counting(Counting<long>{4});
    REQUIRE(counting.name().starts_with("Counting-"));
    counting.start();
    counting.join();
    REQUIRE(counting.exitcode() == 5);
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
    // It lives until it is told: one of the fork server's that has ended already needs no
    // descriptor.
    InHeap<std::atomic<int>> flag;
    mp::BasicProcess<TestType> process(wait_until_set, flag.offset());
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
    *flag = 1;
    process.join();
    REQUIRE(process.exitcode() == 0);
}

TEST_CASE("A forked child does not write its parent's buffered output again", "[process]") {
    RedirectedOutput output;
    std::printf("once ");
    exitcode_of<mp::start_method::fork>([] { std::printf("child "); });
    std::printf("after");
    REQUIRE(output.finish() == "once child after");
}

TEMPLATE_TEST_CASE("What a child has written to streams of its own is there when it has ended",
                   "[process]", START_METHODS) {
    const support::Watchdog watchdog(60);
    const std::string path = "/tmp/mp_test_streams_" + std::to_string(::getpid());
    const int code = exitcode_of<TestType>(
        [](std::string name) {
            static std::FILE* const stream = std::fopen(name.c_str(), "w");
            std::fprintf(stream, "line");
        },
        path);
    REQUIRE(code == 0);
    REQUIRE(support::contents_of(path) == "line");
    ::unlink(path.c_str());
}

TEST_CASE("A forked child writes to its parent's stream, and nothing twice", "[process]") {
    const support::Watchdog watchdog(60);
    std::FILE* const stream = std::tmpfile();
    std::fprintf(stream, "parent ");
    exitcode_of<mp::start_method::fork>([stream] { std::fprintf(stream, "child "); });
    std::fflush(stream);
    std::rewind(stream);
    char text[64] = {};
    REQUIRE(std::fgets(text, sizeof text, stream) != nullptr);
    REQUIRE(std::string(text) == "child parent ");
    std::fclose(stream);
}

TEST_CASE("A child that another thread of it reads in leaves all the same", "[process]") {
    const support::Watchdog watchdog(60);
    REQUIRE(exitcode_of<mp::start_method::fork>([] {
                int ends[2];
                if (::pipe(ends) != 0) mp::exit(9);
                std::FILE* const never = ::fdopen(ends[0], "r");
                std::thread([never] { (void)std::fgetc(never); }).detach();
                ::usleep(20'000);
            }) == 0);
}

std::string short_name_of(pid_t pid) {
    return support::contents_of("/proc/" + std::to_string(pid) + "/comm");
}

TEMPLATE_TEST_CASE("ps knows a child by the name of its program", "[process]", START_METHODS) {
    const support::Watchdog watchdog(60);
    mp::BasicProcess<TestType> process([] { ::sleep(600); });
    process.start();
    REQUIRE(support::eventually(
        [&] { return short_name_of(*process.pid()) == short_name_of(::getpid()); }));
    process.kill();
    process.join();
}

TEST_CASE("Nor what another thread writes while the child is forked", "[process]") {
    const support::Watchdog watchdog(120);
    RedirectedOutput output;
    std::atomic<bool> done{false};
    std::thread starter([&done] {
        for (int i = 0; i < 50; ++i) exitcode_of<mp::start_method::fork>([] { std::cout << '.'; });
        done = true;
    });
    std::string expected;
    for (int number = 0; !done; ++number) {
        std::cout << number << '\n';
        expected += std::to_string(number) + '\n';
    }
    starter.join();
    std::string text = output.finish();
    // The dots are anywhere: what was written first is flushed before a child begins.
    REQUIRE(std::erase(text, '.') == 50);
    REQUIRE((text == expected));
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
