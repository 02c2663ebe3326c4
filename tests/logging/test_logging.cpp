// logging.hpp: lines come whole from many processes and threads, and children log as their parent.
// SPDX-License-Identifier: MIT
#include <multiprocessing/logging.hpp>
#include <multiprocessing/logging/file.hpp>
#include <multiprocessing/pool.hpp>
#include <multiprocessing/process.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/nothing_left.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using support::NothingLeft;
using support::Watchdog;

#define START_METHODS mp::start_method::fork, mp::start_method::spawn, mp::start_method::forkserver

namespace {

/// Runs `body` in a forked process, as logging once set up stays so, with standard error sent to
/// a pipe. @returns what came out
template <class Body>
std::string stderr_of(Body body) {
    mp::detail::PipeEnds pipe = mp::detail::make_pipe();
    mp::ForkProcess process([&] {
        ::dup2(pipe.write.get(), STDERR_FILENO);
        pipe.write.reset();
        pipe.read.reset();
        body();
    });
    process.start();
    pipe.write.reset();
    std::string text;
    char buffer[65536];
    for (ssize_t got = 0; (got = ::read(pipe.read.get(), buffer, sizeof buffer)) > 0;) {
        text.append(buffer, static_cast<std::size_t>(got));
    }
    process.join();
    return text;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

std::string content_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// A folder of the test's own, gone with its files at the end.
class Folder {
  public:
    Folder() { REQUIRE(::mkdtemp(path_) != nullptr); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        for (const std::string& name : names()) ::unlink((path() + "/" + name).c_str());
        ::rmdir(path_);
    }
    std::string path() const { return path_; }
    std::set<std::string> names() const {
        std::set<std::string> all = support::names_in(path_);
        all.erase(".");
        all.erase("..");
        return all;
    }

  private:
    char path_[32] = "/tmp/mp_log_XXXXXX";
};

constexpr int log_processes = 8;
constexpr int log_lines = support::sanitized ? 1'000 : 10'000;

// --- what the children do ---

void log_many(int number) {
    const mp::Logger logger = mp::get_logger();
    const std::string filling(static_cast<std::size_t>(number * 20), 'x');
    for (int i = 0; i < log_lines; ++i) logger.info("{} {} {} end", number, i, filling);
}

template <class StartMethod>
void log_from_many_processes() {
    std::vector<mp::BasicProcess<StartMethod>> all;
    for (int i = 0; i < log_processes; ++i) all.emplace_back(log_many, i);
    for (auto& process : all) process.start();
    for (auto& process : all) process.join();
}

void check_many(const std::string& text) {
    std::map<int, int> next;  // by process; each process's lines are in order
    int torn = 0;
    for (const std::string& line : lines_of(text)) {
        if (line.find(" end") == std::string::npos) continue;  // the library's own
        int number = -1;
        int i = -1;
        const std::string message = line.substr(line.find("] ") + 2);
        std::istringstream(message) >> number >> i;
        const std::string expected = std::to_string(number) + " " + std::to_string(i) + " " +
                                     std::string(static_cast<std::size_t>(number * 20), 'x') +
                                     " end";
        torn += line.rfind("[INFO/Process-", 0) != 0 || message != expected || i != next[number]++;
    }
    CHECK(torn == 0);
    for (int i = 0; i < log_processes; ++i) CHECK(next[i] == log_lines);
}

void log_one() { mp::get_logger().info("one"); }
void log_levels() {
    const mp::Logger logger = mp::get_logger();
    logger.debug("not this");
    logger.warning("level {}", logger.level());
}
void plain_handler(const mp::LogRecord& record) {
    const std::string line = "handled " + mp::level_name(record.level) + " " +
                             std::string(record.process_name) + " " + std::string(record.message) +
                             "\n";
    (void)!::write(STDERR_FILENO, line.data(), line.size());
}
void throw_error(int) { throw std::runtime_error("from a callback"); }
int square(int x) { return x * x; }

}  // namespace

TEMPLATE_TEST_CASE("8 processes write 10,000 lines each to one pipe, none torn", "[logging]",
                   START_METHODS) {
    const Watchdog watchdog(250);
    const NothingLeft check;
    check_many(stderr_of([] {
        mp::log_to_stderr(mp::INFO);
        log_from_many_processes<TestType>();
    }));
}

TEMPLATE_TEST_CASE("8 processes write 10,000 lines each to one file, none torn", "[logging]",
                   START_METHODS) {
    const Watchdog watchdog(250);
    const NothingLeft check;
    const Folder folder;
    const std::string path = folder.path() + "/err";
    stderr_of([&] {
        const int file = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);  // as a shell's 2>
        ::dup2(file, STDERR_FILENO);
        mp::log_to_stderr(mp::INFO);
        log_from_many_processes<TestType>();
    });
    check_many(content_of(path));
}

TEST_CASE("A line longer than a pipe takes at once becomes several whole ones", "[logging]") {
    const Watchdog watchdog(60);
    const NothingLeft check;
    std::string message;
    for (int i = 0; i < 5'000; ++i) message += "\u00e9";  // two bytes each
    const auto lines = lines_of(stderr_of([&] {
        mp::log_to_stderr();
        mp::get_logger().warning("{}", message);
    }));
    std::string joined;
    for (const std::string& line : lines) {
        CHECK(line.size() < 4096);
        REQUIRE(line.rfind("[WARNING/Process-", 0) == 0);
        std::string part = line.substr(line.find("] ") + 2);
        CHECK(part.size() % 2 == 0);
        if (part.rfind("... ", 0) == 0) part.erase(0, 4);
        joined += part;
    }
    CHECK(lines.size() == 3);
    CHECK(joined == message);
}

TEMPLATE_TEST_CASE("Children have the level and the outlet of their parent", "[logging]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const std::string text = stderr_of([] {
        mp::log_to_stderr(mp::SUBWARNING);
        mp::BasicProcess<TestType> process({.name = "child"}, log_levels);
        process.start();
        process.join();
    });
    CHECK(text == "[WARNING/child] level 25\n");
}

TEMPLATE_TEST_CASE("The library logs its own events as CPython does", "[logging]", START_METHODS) {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const std::string text = stderr_of([] {
        mp::log_to_stderr(mp::INFO);
        mp::BasicProcess<TestType> process({.name = "child"}, log_one);
        process.start();
        process.join();
        ::_exit(0);
    });
    CHECK(text == "[INFO/child] child process calling self.run()\n"
                  "[INFO/child] one\n"
                  "[INFO/child] process shutting down\n"
                  "[INFO/child] process exiting with exitcode 0\n");
}

TEST_CASE("Nothing is logged until someone asks, then WARNING and above", "[logging]") {
    const Watchdog watchdog(60);
    const NothingLeft check;
    CHECK(stderr_of([] {
              mp::Pool pool(1);
              pool.map(square, std::vector{1});
          }).empty());
    CHECK(stderr_of([] {
              mp::get_logger().info("not this");
              mp::get_logger().error("this");
              ::_exit(0);
          }).find("] this\n") != std::string::npos);
}

TEST_CASE("log_to_stderr twice writes each line once", "[logging]") {
    const Watchdog watchdog(60);
    const NothingLeft check;
    CHECK(lines_of(stderr_of([] {
              mp::log_to_stderr();
              mp::log_to_stderr();
              mp::get_logger().error("once");
          })).size() == 1);
}

TEMPLATE_TEST_CASE("log_to_file gives each process a file of its own", "[logging]", START_METHODS) {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const Folder folder;
    const std::string text = stderr_of([&] {
        mp::log_to_file(folder.path() + "/{name}-{pid}.log", mp::INFO);
        mp::get_logger().info("parent");
        mp::BasicProcess<TestType> process({.name = "a/b"}, log_one);
        process.start();
        process.join();
        ::_exit(0);
    });
    CHECK(text.empty());
    REQUIRE(folder.names().size() == 2);
    for (const std::string& name : folder.names()) {
        const std::string content = content_of(folder.path() + "/" + name);
        if (name.rfind("a_b-", 0) == 0) {
            CHECK(content.find("[INFO/a/b] one\n") != std::string::npos);
            CHECK(content.find("parent") == std::string::npos);
        } else {
            CHECK(content.find("] parent\n") != std::string::npos);
            CHECK(content.find("one") == std::string::npos);
        }
    }
}

TEMPLATE_TEST_CASE("What a process says of itself is in its lines and its children's", "[logging]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const Folder folder;
    const std::string text = stderr_of([&] {
        mp::detail::set_process_fields({{"rank", "3"}, {"host", "a/b"}});
        mp::log_to_stderr(mp::WARNING);
        mp::BasicProcess<TestType> process({.name = "child"}, log_levels);
        process.start();
        process.join();
        mp::log_to_file(folder.path() + "/{rank}-{host}.log");
        mp::get_logger().set_handler([](const mp::LogRecord& record) {
            std::string line;
            for (const auto& [name, value] : record.fields) line += name + "=" + value + ";";
            line += "\n";
            (void)!::write(STDERR_FILENO, line.data(), line.size());
        });
        const mp::LogFields fields{{"request", "17"}};
        mp::get_logger().error("one");
        ::_exit(0);
    });
    CHECK(text.rfind("[WARNING/child, rank 3, host a/b] level 30\n"
                     "rank=3;host=a/b;request=17;\n[ERROR/",
                     0) == 0);
    CHECK(text.find(", rank 3, host a/b] one\n") != std::string::npos);
    CHECK(folder.names() == std::set<std::string>{"3-a_b.log"});
}

TEST_CASE("log_to_file says why a file cannot be opened", "[logging]") {
    const Watchdog watchdog(60);
    const NothingLeft check;
    CHECK_THROWS_AS(mp::log_to_file("/nowhere/at/all.log"), std::system_error);
    // A child's: it falls back to standard error.
    const std::string text = stderr_of([] {
        mp::log_to_file("/tmp/mp_log_{pid}.log", mp::WARNING);
        ::unlink(mp::detail::log_file_name("/tmp/mp_log_{pid}.log", "").c_str());
        mp::ForkProcess process([] {
            const rlimit none{3, 3};
            ::setrlimit(RLIMIT_NOFILE, &none);
            mp::get_logger().error("first");
            mp::get_logger().error("second");
        });
        process.start();
        process.join();
    });
    CHECK(text.find("Too many open files") != std::string::npos);
    CHECK(text.find("] first\n") != std::string::npos);
    CHECK(text.find("] second\n") != std::string::npos);
}

TEST_CASE("A full disk and a closed standard error stop nothing", "[logging]") {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const auto lines = lines_of(stderr_of([] {
        mp::log_to_file("/dev/full");
        mp::get_logger().error("1");
        mp::get_logger().error("2");
        ::close(STDERR_FILENO);
        mp::log_to_stderr();
        mp::get_logger().error("3");
    }));
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].find("No space left") != std::string::npos);
}

TEMPLATE_TEST_CASE("A handler without state works in children too", "[logging]", START_METHODS) {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const std::string text = stderr_of([] {
        mp::get_logger().set_handler(plain_handler);
        mp::BasicProcess<TestType> process({.name = "child"}, log_levels);
        process.start();
        process.join();
    });
    CHECK(text == "handled WARNING child level 30\n");
}

TEST_CASE("Without a relay a handler with a state stays behind, and the log says so once",
          "[logging]") {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const std::string text = stderr_of([] {
        mp::detail::handler_relay = nullptr;  // log_handlers.hpp, if it is there, has set it
        mp::get_logger().set_handler([n = 0](const mp::LogRecord& record) mutable {
            const std::string line = std::to_string(++n) + " " + std::string(record.message) + "\n";
            (void)!::write(STDERR_FILENO, line.data(), line.size());
        });
        for (int i = 0; i < 2; ++i) {
            mp::SpawnProcess process({.name = "child"}, log_levels);
            process.start();
            process.join();
        }
    });
    CHECK(text.rfind("1 this log handler", 0) == 0);
    CHECK(text.find("2 this") == std::string::npos);
    CHECK(text.find("[WARNING/child] level 30\n") != std::string::npos);
}

TEST_CASE("A handler that throws or logs takes nothing along", "[logging]") {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const std::string text = stderr_of([] {
        mp::get_logger().set_handler([](const mp::LogRecord&) {
            mp::get_logger().error("again");
            throw std::runtime_error("no room");
        });
        mp::get_logger().error("x");
    });
    CHECK(text == "multiprocessing: a log handler threw: no room\n");
}

TEST_CASE("A callback of a pool that throws is logged", "[logging]") {
    const Watchdog watchdog(60);
    const NothingLeft check;
    const auto body = [](bool logs) {
        if (logs) mp::log_to_stderr();
        mp::Pool pool(1);
        pool.apply_async({.callback = throw_error}, square, 2).get();
        pool.close();
        pool.join();
    };
    CHECK(stderr_of([&] { body(true); }).find("[ERROR/Process-") == 0);
    CHECK(stderr_of([&] { body(false); }).find("multiprocessing: exception in a callback") == 0);
}

TEST_CASE("A fork in a program with several threads is warned of once", "[logging]") {
    if (support::sanitized) return;  // a sanitizer has threads of its own
    const Watchdog watchdog(60);
    const NothingLeft check;
    const auto forks = [](bool with_thread) {
        return stderr_of([=] {
            mp::log_to_stderr();
            mp::Pool pool(1);  // its threads do not count
            std::atomic<bool> stop{false};
            std::thread thread;
            if (with_thread)
                thread = std::thread([&] {
                    while (!stop) ::usleep(1000);
                });
            for (int i = 0; i < 2; ++i) {
                mp::ForkProcess process([] {});
                process.start();
                process.join();
            }
            stop = true;
            if (with_thread) thread.join();
        });
    };
    CHECK(forks(false).empty());
    const auto lines = lines_of(forks(true));
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].find("several threads") != std::string::npos);
}

TEST_CASE("Threads log, and change level and outlets, while others fork", "[logging]") {
    const Watchdog watchdog(200);
    const NothingLeft check;
    const std::string text = stderr_of([] {
        mp::log_to_stderr(mp::ERROR);
        std::atomic<bool> stop{false};
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&, i] {
                for (int n = 0; !stop; ++n) {
                    mp::get_logger().error("thread {} end", i);
                    if (i == 0) mp::get_logger().set_level(n % 2 ? mp::ERROR : mp::WARNING);
                    if (i == 1 && n % 100 == 0) mp::log_to_stderr();
                    ::usleep(200);
                }
            });
        }
        for (int i = 0; i < 100; ++i) {
            mp::ForkProcess process([] { mp::get_logger().error("child end"); });
            process.start();
            if (i % 4 == 0) process.kill();  // also in the middle of a line
            process.join();
        }
        stop = true;
        for (std::thread& thread : threads) thread.join();
    });
    int children = 0;
    int torn = 0;
    for (const std::string& line : lines_of(text)) {
        children += line.find("] child end") != std::string::npos;
        torn += line.rfind("[", 0) != 0 || line.find("[", 1) != std::string::npos;
    }
    CHECK(torn == 0);
    CHECK(children >= 75);
}
